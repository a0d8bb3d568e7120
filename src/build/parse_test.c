/* Dockerfiles as text: the recorded ones, and every rule of the lexer. */
#include "build/parse.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "build/parse_golden.h"

/* Instructions one per line: word[flags](arguments), arguments between '|', JSON as <…>. */
static char *show(const struct dockerfile *file)
{
    struct str out = {};

    for (size_t i = 0; i < file->count; i++) {
        const struct instruction *instruction = &file->instructions[i];
        CLEANUP(free) char *arguments = strv_join(&instruction->arguments, "|");
        CLEANUP(free) char *flags = strv_join(&instruction->flags, ",");

        str_add_format(&out, "%d-%d %s", instruction->line, instruction->last_line,
                       instruction->kind ? instruction->kind->word : "?");
        if (*flags)
            str_add_format(&out, "[%s]", flags);
        str_add_format(&out, instruction->is_json ? "<%s>" : "(%s)", arguments);
        for (size_t k = 0; k < instruction->heredoc_count; k++)
            str_add_format(&out, "%s%s=%s", instruction->heredocs[k].name,
                           instruction->heredocs[k].expand ? "$" : "",
                           instruction->heredocs[k].content);
        str_add_char(&out, '\n');
    }
    return str_take(&out);
}

Test(parse, reads_the_recorded_files)
{
    for (size_t i = 0; i < COUNT(golden_dockerfiles); i++) {
        CLEANUP(dockerfile_done) struct dockerfile file = {};
        CLEANUP(str_done) struct str steps = {};
        const char *text = golden_dockerfiles[i].text, *wanted = golden_dockerfiles[i].steps;
        struct error err = {};

        cr_assert_eq(dockerfile_parse(text, strlen(text), "Dockerfile", &file, &err), 0, "%s: %s",
                     golden_dockerfiles[i].name, err.text);
        for (size_t k = 0; k < file.count; k++) {
            cr_expect_eq(instruction_check(&file.instructions[k], &err), 0, "%s: %s",
                         golden_dockerfiles[i].name, err.text);
            str_add_format(&steps, "%s\n", file.instructions[k].text);
        }
        if (golden_dockerfiles[i].step_count > 0)
            cr_expect_eq((int)file.count, golden_dockerfiles[i].step_count, "%s",
                         golden_dockerfiles[i].name);
        cr_expect_eq(strncmp(str_text(&steps), wanted, strlen(wanted)), 0, "%s:\n%s\nwanted\n%s",
                     golden_dockerfiles[i].name, str_text(&steps), wanted);
    }
}

static const struct {
    const char *text, *instructions;
} files[] = {
    { "FROM a\nRUN b\n", "1-1 FROM(a)\n2-2 RUN(b)\n" },
    { "FROM a", "1-1 FROM(a)\n" },
    { "\xef\xbb\xbf"
      "FROM a\r\nRUN b \\\r\n  c\r\n",
      "1-1 FROM(a)\n2-3 RUN(b   c)\n" },
    { "  from   a   AS  b  \n", "1-1 FROM(a|AS|b)\n" },
    { "#c\n\n  # c\nFROM a # no comment\n", "4-4 FROM(a|#|no|comment)\n" },
    { "FROM a\nRUN x \\\n  # gone\n\n  y\n", "1-1 FROM(a)\n2-5 RUN(x   y)\n" },
    { "FROM a\nRUN x \\  \t\ny\n", "1-1 FROM(a)\n2-3 RUN(x y)\n" },
    { "FROM a\nRUN x \\\\\nRUN y\n", "1-1 FROM(a)\n2-2 RUN(x \\\\)\n3-3 RUN(y)\n" },
    { "# escape=`\nFROM a\nRUN x `\ny\\\n", "2-2 FROM(a)\n3-4 RUN(x y\\)\n" },
    { "# Escape = `\n# syntax=x/y:1\nFROM a\\\n", "3-3 FROM(a\\)\n" },
    { "# other=1\n# escape=`\nFROM a\\\nb\n", "3-4 FROM(ab)\n" },
    { "\n# escape=`\nFROM a\\\nb\n", "3-4 FROM(ab)\n" },
    { "RUN [\"a\", \"b c\"]\n", "1-1 RUN<a|b c>\n" },
    { "RUN [ \"a\" ] \n", "1-1 RUN<a>\n" },
    { "RUN []\n", "1-1 RUN<>\n" },
    { "RUN [a]\n", "1-1 RUN([a])\n" },
    { "RUN ['a']\n", "1-1 RUN(['a'])\n" },
    { "RUN [\"a\"] x\n", "1-1 RUN([\"a\"] x)\n" },
    { "RUN [\"a\\u0041\\n\"]\n", "1-1 RUN<aA\n>\n" },
    { "COPY a b\n", "1-1 COPY(a|b)\n" },
    { "COPY [\"a b\", \"c\"]\n", "1-1 COPY<a b|c>\n" },
    { "COPY --from=x --chown=1:2 a  b\n", "1-1 COPY[from=x,chown=1:2](a|b)\n" },
    { "COPY --link --from=\"x y\" -- --a b\n", "1-1 COPY[link,from=x y](--a|b)\n" },
    { "ENV a=b c='d e' f=\"g h\" i=j\\ k\n", "1-1 ENV(a|b|c|'d e'|f|\"g h\"|i|j\\ k)\n" },
    { "ENV a  b  c \n", "1-1 ENV(a|b  c)\n" },
    { "LABEL \"a b\"=c\n", "1-1 LABEL(\"a b\"|c)\n" },
    { "ARG a b=c \"d=e f\"\n", "1-1 ARG(a|b=c|\"d=e f\")\n" },
    { "EXPOSE 1 2/udp\n", "1-1 EXPOSE(1|2/udp)\n" },
    { "WORKDIR a b\n", "1-1 WORKDIR(a b)\n" },
    { "HEALTHCHECK --retries=3 CMD [\"x\"]\n", "1-1 HEALTHCHECK[retries=3]<CMD|x>\n" },
    { "HEALTHCHECK cmd x  y\n", "1-1 HEALTHCHECK(cmd|x  y)\n" },
    { "ONBUILD  copy a b\n", "1-1 ONBUILD(copy|copy a b)\n" },
    { "FOO bar\n", "1-1 ?()\n" },
    { "RUN\n", "1-1 RUN()\n" },
    { "RUN <<EOF\na $b\n# c\nEOF\nRUN x\n", "1-4 RUN(<<EOF)EOF$=a $b\n# c\n\n5-5 RUN(x)\n" },
    { "COPY <<a <<-'b' /\n1\na\n\t\t2\n\tb\n", "1-5 COPY(<<a|<<-'b'|/)a$=1\nb=2\n\n" },
    { "RUN cat <<< x\n", "1-1 RUN(cat <<< x)\n" },
    { "RUN echo '<<EOF'\n", "1-1 RUN(echo '<<EOF')\n" },
    { "RUN [\"<<EOF\"]\n", "1-1 RUN<<<EOF>\n" },
    { "CMD <<EOF\n", "1-1 CMD(<<EOF)\n" },
};

Test(parse, knows_the_rules_of_lines)
{
    for (size_t i = 0; i < COUNT(files); i++) {
        CLEANUP(dockerfile_done) struct dockerfile file = {};
        struct error err = {};

        cr_assert_eq(dockerfile_parse(files[i].text, strlen(files[i].text), "D", &file, &err), 0,
                     "%s: %s", files[i].text, err.text);
        CLEANUP(free) char *shown = show(&file);
        cr_expect_str_eq(shown, files[i].instructions, "%s gave\n%swanted\n%s", files[i].text,
                         shown, files[i].instructions);
    }
}

static const struct {
    const char *text, *message;
} failures[] = {
    { "", "the Dockerfile (D) cannot be empty" },
    { "# c\n", "failed to parse D: file with no instructions" },
    { "# escape=x\nFROM a\n",
      "failed to parse D: invalid escape token 'x' does not match ` or \\" },
    { "# escape=\\\n# escape=\\\nFROM a\n",
      "failed to parse D: only one escape parser directive can be used" },
    { "ENV a\n", "failed to parse D: ENV must have two arguments" },
    { "LABEL a\n", "failed to parse D: LABEL must have two arguments" },
    { "ENV A=1 B\n",
      "failed to parse D: Syntax error - can't find = in \"B\". Must be of the form: name=value" },
    { "ENV A=${B?no b}\n",
      "failed to parse D: Syntax error - can't find = in \"b}\". Must be of the form: name=value" },
    { "RUN [1]\n", "failed to parse D: when using JSON array syntax, arrays must be comprised of "
                   "strings only" },
    { "RUN <<EOF\nx\n", "failed to parse D: unterminated heredoc: a line that is EOF and "
                        "nothing else ends it" },
};

Test(parse, refuses_what_cannot_be_read)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        CLEANUP(dockerfile_done) struct dockerfile file = {};
        struct error err = {};

        cr_expect_eq(dockerfile_parse(failures[i].text, strlen(failures[i].text), "D", &file, &err),
                     -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect_str_eq(err.text, failures[i].message);
    }
}

/* The text behind "dockerfile parse error on line 1: ". */
static const struct {
    const char *text, *message;
} wrong[] = {
    { "FOO x", "unknown instruction: FOO (did you mean FROM?)" },
    { "fro x", "unknown instruction: fro (did you mean from?)" },
    { "SOMETHING x", "unknown instruction: SOMETHING" },
    { "FROM a b", "FROM requires either one or three arguments" },
    { "FROM a of b", "FROM requires either one or three arguments" },
    { "FROM a AS 1x", "invalid name for build stage: \"1x\", name can't start with a number or "
                      "contain symbols" },
    { "COPY --foo a b", "unknown flag: --foo (did you mean from?)" },
    { "COPY --from=a --from=b c d", "duplicate flag specified: --from" },
    { "COPY --from a b", "missing a value on flag: --from" },
    { "COPY --link=x a b", "expecting boolean value for flag --link, not: x" },
    { "CMD --x y", "unknown flag: --x" },
    { "COPY a",
      "COPY requires at least two arguments, but only one was provided. Destination could "
      "not be determined" },
    { "ADD a", "ADD requires at least two arguments, but only one was provided. Destination could "
               "not be determined" },
    { "WORKDIR", "WORKDIR requires exactly one argument" },
    { "USER", "USER requires exactly one argument" },
    { "VOLUME", "VOLUME requires at least one argument" },
    { "VOLUME [\"\"]", "VOLUME specified can not be an empty string" },
    { "ARG", "ARG requires at least one argument" },
    { "ARG =x", "ARG names can not be blank" },
    { "ENV", "ENV requires at least one argument" },
    { "ENV =x", "ENV names can not be blank" },
    { "ONBUILD", "ONBUILD requires at least one argument" },
    { "ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger" },
    { "ONBUILD maintainer x", "MAINTAINER isn't allowed as an ONBUILD trigger" },
    { "ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed" },
    { "SHELL /bin/sh", "SHELL requires the arguments to be in JSON form" },
    { "SHELL []", "SHELL requires at least one argument" },
    { "HEALTHCHECK", "HEALTHCHECK requires at least one argument" },
    { "HEALTHCHECK FOO", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)" },
    { "HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments" },
    { "HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD" },
    { "HEALTHCHECK --interval=1us CMD x", "Interval \"interval\" cannot be less than 1ms" },
};

Test(parse, checks_instructions)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(instruction_done) struct instruction instruction = {};
        CLEANUP(free)
        char *message = xasprintf("dockerfile parse error on line 1: %s", wrong[i].message);
        struct error err = {};

        cr_assert_eq(dockerfile_parse_line(wrong[i].text, '\\', &instruction, &err), 0, "%s",
                     err.text);
        cr_expect_eq(instruction_check(&instruction, &err), -1, "%s", wrong[i].text);
        cr_expect_str_eq(err.text, message);
    }
}

static const struct {
    const char *text, *message;
} refused[] = {
    { "RUN --device=x y", "the --device option is not supported by this builder yet (line 1)" },
    { "RUN --mount=type=cache,target=/x y", NULL },
    { "RUN --security=insecure y", NULL },
    { "COPY --link --parents --exclude=x a b", NULL },
    { "RUN <<EOF", NULL },
};

Test(parse, says_what_is_not_carried_out)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        CLEANUP(instruction_done) struct instruction instruction = {};
        struct error err = {};

        cr_assert_eq(dockerfile_parse_line(refused[i].text, '\\', &instruction, &err), 0);
        cr_assert_eq(instruction_check(&instruction, &err), 0, "%s", err.text);
        cr_expect_eq(instruction_check_support(&instruction, &err), refused[i].message ? -1 : 0);
        if (refused[i].message)
            cr_expect_str_eq(err.text, refused[i].message);
    }
}

Test(parse, warns_of_empty_continuations)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    const char *text = "FROM busybox\nRUN echo a \\\n\n && echo b\n";

    cr_assert_eq(dockerfile_parse(text, strlen(text), "D", &file, NULL), 0);
    cr_assert_eq(file.warnings.count, 2);
    cr_expect_str_eq(file.warnings.items[0],
                     "[WARNING]: Empty continuation line found in: RUN echo a  && echo b");
}
