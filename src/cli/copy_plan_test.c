/* Docker's table of copies. */
#include "cli/copy_plan.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"

static const struct {
    struct copy_end source, target;
    const char *directory, *old_name, *new_name, *error;
} cases[] = {
    { { "/a/file", true, false, NULL }, { "/d", true, true, NULL }, "/d", "file", NULL, NULL },
    { { "/a/file", true, false, NULL }, { "/d/", true, true, NULL }, "/d/", "file", NULL, NULL },
    { { "/a/file", true, false, NULL }, { "/d/x", true, false, NULL }, "/d", "file", "x", NULL },
    { { "/a/file", true, false, NULL }, { "/d/x", false, false, NULL }, "/d", "file", "x", NULL },
    { { "/a/file", true, false, NULL },
      { "/d/x/", false, false, NULL },
      NULL,
      NULL,
      NULL,
      "no such directory" },
    { { "/a/dir", true, true, NULL }, { "/d", true, true, NULL }, "/d", "dir", NULL, NULL },
    { { "/a/dir", true, true, NULL },
      { "/d/x", true, false, NULL },
      NULL,
      NULL,
      NULL,
      "cannot copy directory" },
    { { "/a/dir", true, true, NULL }, { "/d/x", false, false, NULL }, "/d", "dir", "x", NULL },
    { { "/a/dir/.", true, true, NULL }, { "/d/x", false, false, NULL }, "/d", ".", "x", NULL },
    { { "/a/dir/.", true, true, NULL }, { "/d/x/", false, false, NULL }, "/d", ".", "x", NULL },
    { { "/", true, true, NULL }, { "/d/x", false, false, NULL }, "/d", "/", "x", NULL },
    { { "/a/real", true, false, "link" }, { "x", false, false, NULL }, ".", "real", "x", NULL },
    { { "/a/real", true, true, "link" }, { "/d", true, true, NULL }, "/d", "real", "link", NULL },
    { { "/a/file", true, false, NULL }, { "/x", false, false, NULL }, "/", "file", "x", NULL },
};

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

Test(copy_plan, follows_what_is_there)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(copy_plan_done) struct copy_plan plan = {};
        struct error err = {};
        int result = copy_plan_make(&cases[i].source, &cases[i].target, &plan, &err);

        cr_expect_eq(result, cases[i].error ? -1 : 0, "%zu: %s", i, err.text);
        if (cases[i].error)
            cr_expect_str_eq(err.text, cases[i].error);
        cr_expect(is_same(plan.directory, cases[i].directory), "%zu: %s", i, plan.directory);
        cr_expect(is_same(plan.old_name, cases[i].old_name), "%zu: %s", i, plan.old_name);
        cr_expect(is_same(plan.new_name, cases[i].new_name), "%zu: %s", i, plan.new_name);
    }
}

static const struct {
    const char *argument, *container, *path;
} arguments[] = {
    { "c:/a", "c", "/a" },      { "c:", "c", "" },          { "/a:b", NULL, "/a:b" },
    { "./a:b", NULL, "./a:b" }, { "plain", NULL, "plain" }, { "c:a:b", "c", "a:b" },
    { "-", NULL, "-" },         { ":/a", NULL, ":/a" },
};

Test(copy_plan, tells_containers_from_paths)
{
    for (size_t i = 0; i < COUNT(arguments); i++) {
        const char *path;
        CLEANUP(free) char *container = copy_argument_container(arguments[i].argument, &path);

        cr_expect(is_same(container, arguments[i].container), "%s", arguments[i].argument);
        cr_expect_str_eq(path, arguments[i].path);
    }
}

static const struct {
    const char *path, *target, *result, *shown_name;
} links[] = {
    { "/a/link", "/b/real", "/b/real", "link" },
    { "/a/same", "/b/same", "/b/same", NULL },
    { "/a/link/", "/b/real", "/b/real/", "link" },
    { "/a/link/.", "/b/real", "/b/real/.", NULL },
};

Test(copy_plan, keeps_names_through_links)
{
    for (size_t i = 0; i < COUNT(links); i++) {
        CLEANUP(free) char *shown = NULL;
        CLEANUP(free) char *result = copy_path_through_link(links[i].path, links[i].target, &shown);

        cr_expect_str_eq(result, links[i].result);
        cr_expect(is_same(shown, links[i].shown_name), "%s", links[i].path);
    }
}
