#include "store/unpack.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "store/test_tools.h"
#include "store/whiteout.h"

static int inside_fd, outside_fd;
static struct error err;

/* "inside" is where archives go; "outside" is what they must not touch. */
static void set_up(void)
{
    test_directory_make();
    int fd = open(test_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cr_assert_eq(mkdirat(fd, "inside", 0755), 0);
    cr_assert_eq(mkdirat(fd, "outside", 0755), 0);
    inside_fd = openat(fd, "inside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    outside_fd = openat(fd, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(openat(outside_fd, "secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    close(fd);
}

static void tear_down(void)
{
    cr_assert_eq(tree_remove(test_directory, &err), 0, "%s", err.text);
}

TestSuite(unpack, .init = set_up, .fini = tear_down);

static int unpack_text(const struct str *archive, bool marks_by_name)
{
    struct unpack options = { .root_fd = inside_fd,
                              .marks_by_name = marks_by_name,
                              .size_limit = 1 << 20,
                              .entry_limit = 1000 };
    struct unpacked unpacked;

    return unpack_archive(&options, stream_from_memory(archive->data, archive->length), &unpacked,
                          &err);
}

static int unpack(const char *entries)
{
    CLEANUP(str_done) struct str archive = {};

    archive_make(&archive, entries);
    return unpack_text(&archive, false);
}

static void empty_inside(void)
{
    CLEANUP(free) char *path = path_join(test_directory, "inside");

    close(inside_fd);
    cr_assert_eq(tree_remove(path, &err), 0, "%s", err.text);
    cr_assert_eq(mkdir(path, 0755), 0);
    inside_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

#define A16  "aaaaaaaaaaaaaaaa"
#define A256 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16

/* What becomes of archives; 'wanted' NULL: refused. */
static const struct {
    const char *entries, *wanted;
} archives[] = {
    /* plain ones */
    { "a/, a/b = text, c -> a/b, n % 1:3, p |", "a a/b=text c->a/b n%1:3 p|" },
    { "./a/b/c = x", "a a/b a/b/c=x" },
    { "/etc/x = y", "etc etc/x=y" },
    { "a//b/./c = x, a/../d = y", "a a/b a/b/c=x d=y" },
    { "x = 1, y => x, z => ./y", "x=1 y=1 z=1" },
    { "s -> nowhere, t => s", "s->nowhere t->nowhere" },
    { "x = 1, x => x", "x=1" },
    { "./", "" },
    { "", "" },
    /* names that climb out */
    { "../outside/x = y", NULL },
    { "a/../../outside/x = y", NULL },
    { "..", NULL },
    { "x => ../outside/secret", NULL },
    { "x => /../outside/secret", NULL },
    /* through links: they lead as if this were the root */
    { "l -> ../outside, l/x = y", NULL },
    { "l -> /, l/x = y", "l->/ x=y" },
    { "d/, l -> /d, l/x = y", "d d/x=y l->/d" },
    { "d/, l -> ../../../d, l/x = y", "d d/x=y l->../../../d" },
    { "d/e/, l -> d/e, l/../x = y", "d d/e l->d/e x=y" },
    { "l -> /proc/self/root, l/x = y", NULL },
    { "l -> l, l/x = y", NULL },
    { "l -> ../outside/secret, l = text", "l=text" },
    { "l -> ../outside, l/", "l" },
    { "l -> ../outside/secret, x => l", "l->../outside/secret x->../outside/secret" },
    { "l -> ../outside, x => l/secret", NULL },
    /* hard links to what is not there */
    { "x => y", NULL },
    { "x => y, y = 1", NULL },
    { "d/, x => d", NULL },
    { ".wh.y, x => y", NULL },
    { "x => /etc/passwd", NULL },
    /* one after the other */
    { "a = 1, a = 2", "a=2" },
    { "a = 1, b => a, a = 2", "a=2 b=1" },
    { "a = 1, a/", "a" },
    { "a/, a/b = 1, a = 2", "a=2" },
    { "a/, a/b = 1, a/", "a a/b=1" },
    { "a/, a/b/, a/b/c = 1, a -> x, a/, a/b/, a/b/d = 2", "a a/b a/b/d=2" },
    { "d/, d/x = 1, d -> /e, e/, d/y = 2", "d->/e e e/y=2" },
    { "a = 1, a/b = 2", NULL },
    { "n % 1:3, n = text", "n=text" },
    /* whiteouts */
    { ".wh.a, d/, d/.wh.b", "a%0:0 d d/b%0:0" },
    { "a = 1, .wh.a", "a=1" },
    { ".wh.a, a = 1", "a=1" },
    { "a % 0:0", "a%0:0" },
    { ".wh..wh.plnk/, .wh..wh.plnk/1.2 = x, .wh..wh.aufs", "" },
    { ".wh.", NULL },
    { ".wh..", NULL },
    { ".wh...", NULL },
    { ".wh.a/b = x", NULL },
    { "d/.wh.a/b/c = x", NULL },
    { "l -> ../outside, l/.wh.secret", NULL },
    /* size */
    { A256 " = x", NULL },
    { "d/" A256 "/x = y", NULL },
    { "x -> " A256 A256, "x->" A256 },
};

Test(unpack, contains_every_archive)
{
    for (size_t i = 0; i < COUNT(archives); i++) {
        if (strlen(archives[i].entries) > 512 && archives[i].wanted)
            continue;
        int result = unpack(archives[i].entries);
        CLEANUP(free) char *inside = test_describe(inside_fd);
        CLEANUP(free) char *outside = test_describe(outside_fd);

        cr_expect_eq(result, archives[i].wanted ? 0 : -1, "%s: %d %s (%s)", archives[i].entries,
                     result, err.text, inside);
        if (result < 0)
            cr_expect_eq(err.kind, ERROR_INVALID, "%s: %s", archives[i].entries, err.text);
        if (archives[i].wanted && result == 0)
            cr_expect_str_eq(inside, archives[i].wanted, "%s: %s", archives[i].entries, inside);
        cr_expect_str_eq(outside, "secret=", "%s: %s", archives[i].entries, outside);
        empty_inside();
    }
}

Test(unpack, hides_by_name_without_overlayfs)
{
    CLEANUP(str_done) struct str archive = {};

    archive_make(&archive, ".wh.a, a = 1, d/, d/.wh..wh..opq, b % 0:0");
    cr_assert_eq(unpack_text(&archive, true), 0, "%s", err.text);
    CLEANUP(free) char *inside = test_describe(inside_fd);
    cr_expect_str_eq(inside, ".wh.a= .wh.b= a=1 d d/.wh..wh..opq=");
}

static bool is_opaque(const char *name)
{
    CLEANUP(close) int fd = openat(inside_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return opaque_is(fd);
}

Test(unpack, makes_directories_opaque)
{
    cr_assert_eq(unpack("a/, a/.wh..wh..opq, b/x = 1, .wh.b, .wh.c, c/, .wh.d, d/x = 1, e/"), 0,
                 "%s", err.text);
    cr_expect(is_opaque("a") && is_opaque("b") && is_opaque("c") && is_opaque("d"));
    cr_expect_not(is_opaque("e"));
}

Test(unpack, keeps_what_makes_a_file)
{
    struct tar_xattr xattrs[] = { { (char *)"user.colour", (char *)"red", 3 },
                                  { (char *)"trusted.overlay.opaque", (char *)"y", 1 },
                                  { (char *)"user.overlay.opaque", (char *)"y", 1 },
                                  { (char *)"security.selinux", (char *)"x", 1 } };
    struct tar_entry dir = { .name = (char *)"d",
                             .type = TAR_DIRECTORY,
                             .mode = 01750,
                             .uid = 12,
                             .gid = 34,
                             .mtime_s = 5000,
                             .xattrs = xattrs,
                             .xattr_count = 4 };
    struct tar_entry file = { .name = (char *)"d/f",
                              .type = TAR_FILE,
                              .mode = 04755,
                              .uid = 70000,
                              .gid = 1,
                              .mtime_s = 6000,
                              .size = 4,
                              .xattrs = xattrs,
                              .xattr_count = 4 };
    CLEANUP(str_done) struct str archive = {};
    struct stat status;
    char names[256];

    archive_add_entry(&archive, &dir, NULL);
    archive_add_entry(&archive, &file, "text");
    archive_finish(&archive);
    cr_assert_eq(unpack_text(&archive, false), 0, "%s", err.text);
    cr_assert_eq(fstatat(inside_fd, "d/f", &status, 0), 0);
    cr_expect_eq(status.st_mode, S_IFREG | 04755);
    cr_expect(status.st_uid == 70000 && status.st_gid == 1 && status.st_mtim.tv_sec == 6000);
    cr_assert_eq(fstatat(inside_fd, "d", &status, 0), 0);
    cr_expect_eq(status.st_mode, S_IFDIR | 01750);
    cr_expect_eq(status.st_mtim.tv_sec, 5000);
    cr_expect_not(is_opaque("d"));
    CLEANUP(close) int fd = openat(inside_fd, "d/f", O_RDONLY | O_CLOEXEC);
    ssize_t size = flistxattr(fd, names, sizeof(names));
    cr_expect_eq(size, (ssize_t)sizeof("user.colour"));
}

Test(unpack, stops_at_its_limits)
{
    CLEANUP(str_done) struct str many = {}, large = {};
    CLEANUP(free) char *content = xcalloc(1, (1 << 20) + 1);
    struct tar_entry entry = { .name = (char *)"x", .type = TAR_FILE, .size = (1 << 20) + 1 };

    for (int i = 0; i < 1001; i++)
        archive_add(&many, "x = 1");
    archive_finish(&many);
    cr_expect_eq(unpack_text(&many, false), -1);
    cr_expect(err.kind == ERROR_INVALID && strstr(err.text, "entries"), "%s", err.text);

    archive_add_entry(&large, &entry, content);
    archive_finish(&large);
    cr_expect_eq(unpack_text(&large, false), -1);
    cr_expect(err.kind == ERROR_INVALID && strstr(err.text, "bytes"), "%s", err.text);
}

Test(unpack, refuses_what_is_cut_off)
{
    CLEANUP(str_done) struct str archive = {};

    archive_make(&archive, "a = 1, b = 2");
    str_cut(&archive, 1024 + 512 + 100);
    cr_expect_eq(unpack_text(&archive, false), -1);
    cr_expect_eq(err.kind, ERROR_INVALID, "%s", err.text);
}

/* Each link makes the next directories deeper than a path can say. */
Test(unpack, copes_with_depth)
{
    CLEANUP(str_done) struct str archive = {}, path = {};

    for (int i = 0; i < 400; i++)
        str_add(&path, "d/");
    for (int i = 0; i < 10; i++) {
        CLEANUP(free)
        char *deep = i ? xasprintf("l%d/%s", i - 1, str_text(&path)) : xstrdup(str_text(&path));
        CLEANUP(free)
        char *link = i ? xasprintf("l%d -> l%d/%s.", i, i - 1, str_text(&path))
                       : xasprintf("l0 -> %s.", str_text(&path));

        archive_add(&archive, deep);
        archive_add(&archive, link);
    }
    archive_finish(&archive);
    cr_assert_eq(unpack_text(&archive, false), 0, "%s", err.text);
    empty_inside();
}
