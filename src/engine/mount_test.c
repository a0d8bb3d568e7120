#include "engine/mount.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/text.h"

#include "base/banned.h"

static bool same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static const struct {
    const char *text, *type, *name, *source, *destination, *mode, *propagation;
    bool rw, no_copy;
} binds[] = {
    { "/a:/b", "bind", NULL, "/a", "/b", "", "rprivate", true, false },
    { "/a//x/../y/:/b/./c/", "bind", NULL, "/a/y", "/b/c", "", "rprivate", true, false },
    { "/a:/b:ro,rslave", "bind", NULL, "/a", "/b", "ro,rslave", "rslave", false, false },
    { "/a:/b:z,ro", "bind", NULL, "/a", "/b", "z,ro", "rprivate", false, false },
    { "/a:/b:cached", "bind", NULL, "/a", "/b", "cached", "rprivate", true, false },
    { "vol:/b", "volume", "vol", NULL, "/b", "z", NULL, true, false },
    { "vol:/b:ro", "volume", "vol", NULL, "/b", "z", NULL, false, false },
    { "vol:/b:nocopy", "volume", "vol", NULL, "/b", "z", NULL, true, true },
    { "/b", "volume", NULL, NULL, "/b", "", NULL, true, false },
    { "vol:/../b", "volume", "vol", NULL, "/b", "z", NULL, true, false },
};

Test(mount, reads_volume_specifications)
{
    for (size_t i = 0; i < COUNT(binds); i++) {
        CLEANUP(container_mount_done) struct container_mount mount = {};
        struct error err = {};

        cr_assert_eq(mount_parse_bind(binds[i].text, &mount, &err), 0, "%s: %s", binds[i].text,
                     err.text);
        cr_expect(same(mount.type, binds[i].type) && same(mount.name, binds[i].name) &&
                      same(mount.source, binds[i].source) &&
                      same(mount.destination, binds[i].destination) &&
                      same(mount.mode, binds[i].mode) &&
                      same(mount.propagation, binds[i].propagation),
                  "%s: %s %s %s %s %s %s", binds[i].text, mount.type, mount.name, mount.source,
                  mount.destination, mount.mode, mount.propagation);
        cr_expect_eq(mount.rw, binds[i].rw, "%s", binds[i].text);
        cr_expect_eq(mount.no_copy, binds[i].no_copy, "%s", binds[i].text);
        cr_expect_eq(mount.is_anonymous, same(mount.type, "volume") && !mount.name);
    }
}

static const char *const wrong_binds[] = {
    "",
    ":",
    "a",
    "/a:b",
    "/a:/",
    "/a:/b:",
    "/a:/b:foo",
    "/a:/b:ro,rw",
    "/a:/b:z,Z",
    "/a:/b:/c:d",
    "v:/b:shared",
    "/a:/b:nocopy",
    "/a:/b:shared,slave",
};

Test(mount, refuses_wrong_volume_specifications)
{
    for (size_t i = 0; i < COUNT(wrong_binds); i++) {
        struct container_mount mount = {};
        struct error err = {};

        cr_expect_eq(mount_parse_bind(wrong_binds[i], &mount, &err), -1, "%s", wrong_binds[i]);
        cr_expect_eq(err.kind, ERROR_INTERNAL, "%s", wrong_binds[i]);
    }
}

static const struct {
    const char *subpath;
    bool is_right;
} subpaths[] = {
    { "a", true },   { "a/b", true },   { "a/../b", true },   { "..a", true },
    { "..", false }, { "../a", false }, { "a/../..", false }, { "/a", false },
};

Test(mount, keeps_subpaths_inside)
{
    for (size_t i = 0; i < COUNT(subpaths); i++) {
        struct volume_options volume = { .subpath = (char *)subpaths[i].subpath };
        const struct mount_request request = { .type = (char *)"volume",
                                               .source = (char *)"vol",
                                               .target = (char *)"/b",
                                               .volume = &volume };
        CLEANUP(container_mount_done) struct container_mount mount = {};
        struct error err = {};

        cr_expect_eq(mount_parse_request(&request, &mount, &err), subpaths[i].is_right ? 0 : -1,
                     "%s", subpaths[i].subpath);
    }
}

static const struct {
    const char *options, *wrong; /* NULL: none is */
} tmpfs[] = {
    { "", NULL },
    { "size=64m,mode=1777,uid=5,gid=6,noexec,exec,ro", NULL },
    { "foo", "foo" },
    { "size=1m,foo=bar", "foo" },
    { "sizes=1m", "sizes" },
};

Test(mount, knows_the_options_of_tmpfs)
{
    for (size_t i = 0; i < COUNT(tmpfs); i++) {
        struct error err = {};
        int result = mount_check_tmpfs(tmpfs[i].options, &err);

        cr_expect_eq(result, tmpfs[i].wrong ? -1 : 0, "%s", tmpfs[i].options);
        if (tmpfs[i].wrong)
            cr_expect(strstr(err.text, tmpfs[i].wrong) && text_ends(err.text, "\""), "%s",
                      err.text);
    }
}
