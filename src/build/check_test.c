/* What a Dockerfile is told of what is unwise in it, and which of that a directive leaves out. */
#include "build/check.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/macros.h"
#include "spec/dockerignore.h"

static bool look_at_image(void *data UNUSED, const char *name, struct strv *out UNUSED,
                          struct platform *out_platform)
{
    platform_of("linux", strcmp(name, "foreign") == 0 ? "s390x" : "amd64", NULL, out_platform);
    return true;
}

static struct str texts, hints; /* of what show found: all, and what may be meant */

/* The names of the rules that speak, in the order of their lines; -1: the file is refused. */
static int show(const char *text, struct str *out, bool *is_error, struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(graph_done) struct build_graph graph = {};
    CLEANUP(check_findings_done) struct check_findings findings = {};
    CLEANUP(build_args_done) struct build_args args = {};
    CLEANUP(dockerignore_free) struct dockerignore *ignored = NULL;
    CLEANUP(platform_done) struct platform platform = {};

    if (dockerfile_parse(text, strlen(text), "D", &file, err) < 0 ||
        graph_make(&file, &graph, err) < 0 ||
        dockerignore_parse("*.key\nlogs\n", &ignored, err) < 0)
        return -1;
    platform_of("linux", "amd64", NULL, &platform);
    build_args_init(&args, NULL, NULL);
    graph_resolve(&graph, graph.count - 1, &args, file.escape, err);
    const struct check_subject subject = { &file,   text,          &graph, &platform,
                                           ignored, look_at_image, NULL };
    if (check_run(&subject, &findings, err) < 0)
        return -1;
    str_cut(&texts, 0);
    str_cut(&hints, 0);
    for (size_t i = 0; i < findings.count; i++) {
        const char *said = findings.items[i].text, *hint = strstr(said, "(did you mean");

        str_add_format(out, "%s ", findings.items[i].rule);
        str_add_format(&texts, "%s\n", said);
        str_add(&hints, hint ?: "");
    }
    *is_error = findings.is_error;
    return 0;
}

#define UNWISE "FROM scratch AS One\nCMD run\n"

static const struct {
    const char *text, *rules;
    bool is_error;
} directives[] = {
    { UNWISE, "StageNameCasing JSONArgsRecommended ", false },
    { "# check=skip=StageNameCasing\n" UNWISE, "JSONArgsRecommended ", false },
    { "# check=skip=StageNameCasing,JSONArgsRecommended\n" UNWISE, "", false },
    { "# check=skip=all\n" UNWISE, "", false },
    { "# check=skip=JSONArgsRecommended;error=true\n" UNWISE, "StageNameCasing ", true },
    { "# check=error=true; skip=all\n" UNWISE, "", true },
    { "# check=skip=StageNameCasing;skip=JSONArgsRecommended\n" UNWISE, "StageNameCasing ", false },
    { "# check=skip=all;skip=StageNameCasing\n" UNWISE, "JSONArgsRecommended ", false },
};

Test(check, leaves_out_what_the_directive_skips)
{
    for (size_t i = 0; i < COUNT(directives); i++) {
        CLEANUP(str_done) struct str rules = {};
        bool is_error = false;
        struct error err;

        cr_assert_eq(show(directives[i].text, &rules, &is_error, &err), 0, "%s: %s",
                     directives[i].text, err.text);
        cr_assert_str_eq(str_text(&rules), directives[i].rules, "%s: %s", directives[i].text,
                         str_text(&rules));
        cr_assert_eq(is_error, directives[i].is_error, "%s", directives[i].text);
    }
}

/* What the reference frontend finds in the same files, in the order of their lines. */
static const struct {
    const char *text, *rules;
} cases[] = {
    { "FROM $NO\n", "InvalidDefaultArgInFrom UndefinedArgInFrom " },
    { "ARG A\nARG B=latest C=$B\nFROM busybox:$A\nFROM busybox:$C\nFROM ${A}\nFROM "
      "busybox:${A:-1}\n",
      "InvalidDefaultArgInFrom InvalidDefaultArgInFrom " },
    { "ARG A=${\nFROM $A\n", "" },
    { "FROM scratch\nEXPOSE $P\nCOPY <<a <<'b' /x/\n$Q\na\n$R\nb\nRUN <<c\n$S\nc\n",
      "UndefinedVar " },
    { "# escape=`\nFROM scratch\nLABEL a=`$X b=$Y\n", "UndefinedVar " },
    { "FROM foreign\n", "InvalidBaseImagePlatform " },
    { "FROM --platform=$TARGETOS/s390x foreign\n", "" },
    { "FROM scratch\nRUN --mount=type=cache,target=/a,id=$B x\nCOPY --chown=$C a /b\n",
      "UndefinedVar UndefinedVar " },
    { "FROM scratch\nCOPY a.key /x\n", "" },
    { "# check=experimental=CopyIgnoredFile\nFROM scratch AS a\nCOPY a.key b ./logs/new /x/\n"
      "COPY --from=a a.key *.key /x/\nADD /b.key /x\nCOPY <<a.key $B.key /x/\na.key\n",
      "CopyIgnoredFile CopyIgnoredFile CopyIgnoredFile UndefinedVar " },
    { "# check=experimental=all;skip=all\nFROM scratch AS One\nCOPY a.key /x\n",
      "CopyIgnoredFile " },
    { "# aa\nARG A=1\nFROM scratch\n", "" },
    { "# check=experimental=InvalidDefinitionDescription\nARG A=1\n# aa\nARG B=2\n# C it\n\nARG "
      "C=3\n"
      "# E\nARG D=4 E=5\n# x\nFROM scratch\n# no name\nFROM scratch AS f\n#  f it\nFROM scratch AS "
      "f2\n"
      "#f3 it\nFROM scratch AS f3\n# x y\n \n  ARG Z Y\n# z\nRUN x\nARG Z\n",
      "InvalidDefinitionDescription InvalidDefinitionDescription InvalidDefinitionDescription "
      "InvalidDefinitionDescription " },
};

Test(check, finds_what_the_reference_frontend_finds)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(str_done) struct str rules = {};
        bool is_error = false;
        struct error err;

        cr_assert_eq(show(cases[i].text, &rules, &is_error, &err), 0, "%s: %s", cases[i].text,
                     err.text);
        cr_expect_str_eq(str_text(&rules), cases[i].rules, "%s: %s", cases[i].text,
                         str_text(&rules));
    }
}

Test(check, says_it_in_the_words_of_the_reference_frontend)
{
    CLEANUP(str_done) struct str rules = {};
    bool is_error = false;
    struct error err;

    cr_assert_eq(show("FROM --platform=$TARGETPLATFORM scratch\nFROM scratch AS Context\n", &rules,
                      &is_error, &err),
                 0);
    cr_expect_str_eq(str_text(&texts),
                     "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this "
                     "is the default behavior\n"
                     "Stage name should not use the same name as reserved stage \"context\"\n"
                     "Stage name 'Context' should be lowercase\n");
}

Test(check, names_what_may_be_meant)
{
    const char *const text = "ARG TAG=1\nFROM busybox:$TAH\nFROM scratch\nARG WORD LONG_WORD\n"
                             "LABEL a=$WROD b=$X c=$LONGWORD d=$WORDIER\n";
    CLEANUP(str_done) struct str said = {};
    bool is_error = false;
    struct error err;

    cr_assert_eq(show(text, &said, &is_error, &err), 0, "%s", err.text);
    cr_expect_str_eq(str_text(&hints),
                     "(did you mean TAG?)(did you mean $WORD?)(did you mean $LONG_WORD?)");
}

Test(check, refuses_a_directive_that_it_does_not_know)
{
    CLEANUP(str_done) struct str rules = {};
    bool is_error = false;
    struct error err;

    cr_assert_eq(show("# check=hide=all\n" UNWISE, &rules, &is_error, &err), -1);
    cr_assert_eq(err.kind, ERROR_INVALID);
}
