/* What a Dockerfile is told of what is unwise in it, and which of that a directive leaves out. */
#include "build/check.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/macros.h"

static bool no_environment(void *data UNUSED, const char *image UNUSED, struct strv *out UNUSED)
{
    return true;
}

/* The names of the rules that speak, in the order of their lines; -1: the file is refused. */
static int show(const char *text, struct str *out, bool *is_error, struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(graph_done) struct build_graph graph = {};
    CLEANUP(check_findings_done) struct check_findings findings = {};

    if (dockerfile_parse(text, strlen(text), "D", &file, err) < 0 ||
        graph_make(&file, &graph, err) < 0 ||
        check_run(&file, &graph, no_environment, NULL, &findings, err) < 0)
        return -1;
    for (size_t i = 0; i < findings.count; i++)
        str_add_format(out, "%s ", findings.items[i].rule);
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

Test(check, refuses_a_directive_that_it_does_not_know)
{
    CLEANUP(str_done) struct str rules = {};
    bool is_error = false;
    struct error err;

    cr_assert_eq(show("# check=hide=all\n" UNWISE, &rules, &is_error, &err), -1);
    cr_assert_eq(err.kind, ERROR_INVALID);
}
