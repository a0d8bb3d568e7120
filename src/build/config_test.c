/* Instructions applied to a configuration: histories and configurations as the reference builder
 * recorded them. */
#include "build/config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "build/build.h"
#include "build/parse.h"
#include "spec/image.h"

static const struct {
    const char *text, *comments, *config;
} files[] = {
    /* clang-format off */
    { "CMD echo hi\nENTRYPOINT [\"/bin/sh\",\"-c\"]\n",
      "CMD [\"/bin/sh\" \"-c\" \"echo hi\"]\nENTRYPOINT [\"/bin/sh\" \"-c\"]\n",
      "{\"Entrypoint\":[\"/bin/sh\",\"-c\"],\"Cmd\":[\"/bin/sh\",\"-c\",\"echo hi\"]}" },
    { "ENTRYPOINT echo ep\nCMD [\"a\",\"b\"]\n",
      "ENTRYPOINT [\"/bin/sh\" \"-c\" \"echo ep\"]\nCMD [\"a\" \"b\"]\n",
      "{\"Entrypoint\":[\"/bin/sh\",\"-c\",\"echo ep\"],\"Cmd\":[\"a\",\"b\"]}" },
    { "ENV A=1 B=\"two words\" C=$A\nENV D old style  value\nENV A=2 E=${A}x\n"
      "ENV F=${A:-q}${Z:-def}${A:+set}\n",
      "ENV A=1 B=two words C=\nENV D=old style  value\nENV A=2 E=1x\nENV F=2defset\n",
      "{\"Env\":[\"A=2\",\"B=two words\",\"C=\",\"D=old style  value\",\"E=1x\",\"F=2defset\"]}" },
    { "LABEL a=b \"c d\"=\"e f\" g='h\"i'\nLABEL multi=\"line1 \\\nline2\" j=k\nLABEL old style\n",
      "LABEL a=b c d=e f g=h\"i\nLABEL multi=line1 line2 j=k\nLABEL old=style\n",
      "{\"Labels\":{\"a\":\"b\",\"c d\":\"e f\",\"g\":\"h\\\"i\",\"j\":\"k\","
      "\"multi\":\"line1 line2\",\"old\":\"style\"}}" },
    { "EXPOSE 80 443/tcp 53/udp 100-102\nEXPOSE 80/TCP\nEXPOSE 8080:81\n",
      "EXPOSE 100-102 443/tcp 53/udp 80\nEXPOSE 80/TCP\nEXPOSE 8080:81\n",
      "{\"ExposedPorts\":{\"100/tcp\":{},\"101/tcp\":{},\"102/tcp\":{},\"443/tcp\":{},"
      "\"53/udp\":{},\"80/tcp\":{},\"81/tcp\":{}}}" },
    { "VOLUME /a /b\nVOLUME [\"/c d\",\"/e\"]\n", "VOLUME [/a /b]\nVOLUME [/c d /e]\n",
      "{\"Volumes\":{\"/a\":{},\"/b\":{},\"/c d\":{},\"/e\":{}}}" },
    { "SHELL [\"/bin/sh\",\"-ec\"]\nCMD foo\nENTRYPOINT bar\nHEALTHCHECK CMD baz\n",
      "SHELL [/bin/sh -ec]\nCMD [\"/bin/sh\" \"-ec\" \"foo\"]\nENTRYPOINT [\"/bin/sh\" \"-ec\" \"bar\"]\n"
      "HEALTHCHECK &{[CMD-SHELL baz] 0s 0s 0s 0s 0}\n",
      "{\"Entrypoint\":[\"/bin/sh\",\"-ec\",\"bar\"],\"Cmd\":[\"/bin/sh\",\"-ec\",\"foo\"],"
      "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"baz\"]},\"Shell\":[\"/bin/sh\",\"-ec\"]}" },
    { "HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --start-interval=2s --retries=4 "
      "CMD [\"true\",\"x\"]\nHEALTHCHECK --interval=1m30s CMD wget -q localhost\n",
      "HEALTHCHECK &{[CMD true x] 5s 3s 1m0s 2s 4}\n"
      "HEALTHCHECK &{[CMD-SHELL wget -q localhost] 1m30s 0s 0s 0s 0}\n",
      "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"wget -q localhost\"],\"Interval\":90000000000}}" },
    { "HEALTHCHECK NONE\nSTOPSIGNAL 9\nSTOPSIGNAL SIGINT\nMAINTAINER me <me@x>\n",
      "HEALTHCHECK &{[NONE] 0s 0s 0s 0s 0}\nSTOPSIGNAL 9\nSTOPSIGNAL SIGINT\nMAINTAINER me <me@x>\n",
      "{\"StopSignal\":\"SIGINT\",\"Healthcheck\":{\"Test\":[\"NONE\"]}}" },
    { "ONBUILD RUN echo ob\nONBUILD COPY a.txt /ob/\n",
      "ONBUILD RUN echo ob\nONBUILD COPY a.txt /ob/\n",
      "{\"OnBuild\":[\"RUN echo ob\",\"COPY a.txt /ob/\"]}" },
    { "ENV A=foobarfoo E=\n"
      "ENV R1=${A} R2=$A-x R3=\\$A R4=\"$A\" R5='$A' R6=${E:-d} R7=${E-d} R8=${U-u} R9=${U:+x} "
      "R10=${E+set} R11=\"a\\\"b\" R12=a\\ b R13=\"\\$A\" R14=$ R15=${A}${U}\n"
      "LABEL x=\"${A}\" y='${A}' z=$A/$E\nWORKDIR /$A\nEXPOSE ${E:-80}\nUSER ${U:-root}\n",
      "ENV A=foobarfoo E=\n"
      "ENV R1=foobarfoo R2=foobarfoo-x R3=$A R4=foobarfoo R5=$A R6=d R7= R8=u R9= R10=set R11=a\"b "
      "R12=a b R13=$A R14=$ R15=foobarfoo\nLABEL x=foobarfoo y=${A} z=foobarfoo/\n"
      "WORKDIR /foobarfoo\nEXPOSE 80\nUSER root\n",
      "{\"User\":\"root\",\"ExposedPorts\":{\"80/tcp\":{}},\"Env\":[\"A=foobarfoo\",\"E=\","
      "\"R1=foobarfoo\",\"R2=foobarfoo-x\",\"R3=$A\",\"R4=foobarfoo\",\"R5=$A\",\"R6=d\",\"R7=\","
      "\"R8=u\",\"R9=\",\"R10=set\",\"R11=a\\\"b\",\"R12=a b\",\"R13=$A\",\"R14=$\",\"R15=foobarfoo\"],"
      "\"WorkingDir\":\"/foobarfoo\",\"Labels\":{\"x\":\"foobarfoo\",\"y\":\"${A}\",\"z\":\"foobarfoo/\"}}" },
    { "CMD []\nENTRYPOINT []\n", "CMD []\nENTRYPOINT []\n", "{}" },
    { "CMD [\"a\", 'b']\n", "CMD [\"/bin/sh\" \"-c\" \"[\\\"a\\\", 'b']\"]\n",
      "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[\\\"a\\\", 'b']\"]}" },
    { "WORKDIR /a\nWORKDIR b/../c\nWORKDIR ../d\n", "WORKDIR /a\nWORKDIR /a/c\nWORKDIR /a/d\n",
      "{\"WorkingDir\":\"/a/d\"}" },
    /* clang-format on */
};

static int apply_all(const char *text, struct container_config *config, struct str *comments,
                     struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(free) char *author = NULL;
    bool is_cmd_set = false;

    if (dockerfile_parse(text, strlen(text), "D", &file, err) < 0)
        return -1;
    for (size_t i = 0; i < file.count; i++) {
        CLEANUP(strv_done) struct strv arguments = {};
        CLEANUP(config_change_done)
        struct config_change change = {
            .instruction = &file.instructions[i],
            .arguments = &arguments,
            .config = config,
            .author = &author,
            .is_cmd_set = &is_cmd_set,
        };

        if (instruction_check(&file.instructions[i], err) < 0 ||
            config_expand(&file.instructions[i], &config->env, '\\', &arguments, err) < 0 ||
            file.instructions[i].kind->apply(&change, err) < 0)
            return -1;
        str_add_format(comments, "%s\n", str_text(&change.comment));
    }
    return 0;
}

Test(config, becomes_what_was_recorded)
{
    for (size_t i = 0; i < COUNT(files); i++) {
        struct container_config config = {};
        CLEANUP(str_done) struct str comments = {}, json = {};
        struct error err = {};

        cr_assert_eq(apply_all(files[i].text, &config, &comments, &err), 0, "%s: %s", files[i].text,
                     err.text);
        json_encode(image_container_config_fields, &config, &json);
        cr_expect_str_eq(str_text(&comments), files[i].comments, "%s", str_text(&comments));
        cr_expect_str_eq(str_text(&json), files[i].config, "%s", str_text(&json));
        json_fields_done(image_container_config_fields, &config);
    }
}

Test(config, resets_an_inherited_command)
{
    struct container_config config = {};
    CLEANUP(str_done) struct str comments = {};

    strv_add(&config.cmd, "inherited");
    cr_assert_eq(apply_all("ENTRYPOINT [\"x\"]\n", &config, &comments, NULL), 0);
    cr_expect_eq(config.cmd.count, 0);
    json_fields_done(image_container_config_fields, &config);
}

static const struct {
    const char *text, *message;
} failures[] = {
    { "EXPOSE foo\n", "Invalid containerPort: foo" },
    { "EXPOSE 80/xyz\n", "Invalid proto: xyz" },
    { "EXPOSE 70000\n", "Invalid containerPort: 70000" },
    { "STOPSIGNAL FOO\n", "invalid signal: FOO" },
    { "ENV $U=x\n", "ENV names can not be blank" },
};

Test(config, refuses_wrong_values)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct container_config config = {};
        CLEANUP(str_done) struct str comments = {};
        struct error err = {};

        cr_expect_eq(apply_all(failures[i].text, &config, &comments, &err), -1);
        cr_expect_str_eq(err.text, failures[i].message);
        json_fields_done(image_container_config_fields, &config);
    }
}

static const struct {
    const char *change, *message; /* NULL: allowed */
} changes[] = {
    { "ENV A=1", NULL },
    { "CMD x", NULL },
    { "STOPSIGNAL 9", NULL },
    { "RUN x", "RUN is not a valid change command" },
    { "copy a b", "copy is not a valid change command" },
    { "FOO", "FOO is not a valid change command" },
    { "USER", "dockerfile parse error on line 1: USER requires exactly one argument" },
};

Test(config, takes_changes_of_a_commit)
{
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct container_config config = {};
        CLEANUP(strv_done) struct strv list = {};
        struct error err = {};

        strv_add(&list, changes[i].change);
        cr_expect_eq(build_apply_changes(&list, &config, &err), changes[i].message ? -1 : 0, "%s",
                     changes[i].change);
        if (changes[i].message)
            cr_expect_str_eq(err.text, changes[i].message);
        json_fields_done(container_config_fields, &config);
    }
}
