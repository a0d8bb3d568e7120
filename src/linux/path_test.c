#include "linux/path.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

static char root_path[] = "/tmp/berth-path-XXXXXX";
static int root_fd = -1;

static void make_root(void)
{
    cr_assert(mkdtemp(root_path));
    root_fd = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    mkdirat(root_fd, "etc", 0755);
    mkdirat(root_fd, "var", 0755);
    cr_assert_eq(symlinkat("/etc", root_fd, "absolute"), 0);
    cr_assert_eq(symlinkat("../../../../etc", root_fd, "climbing"), 0);
    cr_assert_eq(symlinkat("/run", root_fd, "var/run"), 0);
    cr_assert_eq(symlinkat("loop", root_fd, "loop"), 0);
    int fd = openat(root_fd, "etc/mine", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    cr_assert(fd >= 0);
    close(fd);
}

static void remove_root(void)
{
    close(root_fd);
    tree_remove(root_path, NULL);
}

static const struct {
    const char *path;
    enum error_kind kind; /* NONE: found */
} look_ups[] = {
    { "etc/mine", ERROR_NONE },
    { "/etc/mine", ERROR_NONE },
    { "/absolute/mine", ERROR_NONE },
    { "/climbing/mine", ERROR_NONE },
    { "../../../etc/mine", ERROR_NONE },
    { "", ERROR_NONE },
    { "/etc/passwd", ERROR_NOT_FOUND },
    { "/absolute/passwd", ERROR_NOT_FOUND },
    { "/climbing/passwd", ERROR_NOT_FOUND },
    { "/../../etc/passwd", ERROR_NOT_FOUND },
    { "/etc/mine/below", ERROR_NOT_FOUND },
    { "/loop", ERROR_FORBIDDEN },
};

Test(path, stays_inside_the_root, .init = make_root, .fini = remove_root)
{
    for (size_t i = 0; i < COUNT(look_ups); i++) {
        struct error err = {};
        CLEANUP(close) int fd = path_open(root_fd, look_ups[i].path, O_PATH, 0, &err);

        cr_expect_eq(fd >= 0, look_ups[i].kind == ERROR_NONE, "%s: %s", look_ups[i].path, err.text);
        cr_expect_eq(err.kind, look_ups[i].kind, "%s: %s", look_ups[i].path,
                     error_kind_name(err.kind));
    }
}

Test(path, follows_no_magic_link)
{
    CLEANUP(close) int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct error err = {};

    cr_expect_lt(path_open(fd, "/proc/self/exe", O_PATH, 0, &err), 0);
    cr_expect_eq(err.kind, ERROR_FORBIDDEN);
    cr_expect_lt(path_open(fd, "/proc/self/fd/0", O_PATH, 0, &err), 0);
    cr_expect_lt(path_open(fd, "/proc/self/root/etc", O_PATH, 0, &err), 0);
}

static bool is_there(const char *path)
{
    CLEANUP(free) char *whole = path_join(root_path, path);

    return file_exists(whole);
}

Test(path, makes_directories_where_links_point, .init = make_root, .fini = remove_root)
{
    struct error err = {};
    CLEANUP(close) int plain_fd = path_make_dir(root_fd, "/a/b/c", 0755, &err);
    cr_expect(plain_fd >= 0, "%s", err.text);
    CLEANUP(close) int again_fd = path_make_dir(root_fd, "a/b/c", 0755, &err);
    cr_expect(again_fd >= 0, "%s", err.text);
    CLEANUP(close) int dangling_fd = path_make_dir(root_fd, "/var/run/secrets", 0755, &err);
    cr_expect(dangling_fd >= 0, "%s", err.text);
    CLEANUP(close) int climbing_fd = path_make_dir(root_fd, "/climbing/new", 0755, &err);
    cr_expect(climbing_fd >= 0, "%s", err.text);

    cr_expect(is_there("a/b/c"));
    cr_expect(is_there("run/secrets"));
    cr_expect(is_there("etc/new"));
    cr_expect_lt(path_make_dir(root_fd, "/loop/x", 0755, &err), 0);
    cr_expect_lt(path_make_dir(root_fd, "/etc/mine/x", 0755, &err), 0);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
}

Test(path, makes_files_with_their_parents, .init = make_root, .fini = remove_root)
{
    struct error err = {};
    CLEANUP(close) int new_fd = path_make_file(root_fd, "/var/run/deep/file", 0640, &err);
    cr_expect(new_fd >= 0, "%s", err.text);
    CLEANUP(close) int old_fd = path_make_file(root_fd, "/etc/mine", 0640, &err);
    cr_expect(old_fd >= 0, "%s", err.text);

    cr_expect(is_there("run/deep/file"));
}

static const struct {
    const char *path, *name; /* NULL: refused */
} parents[] = {
    { "/etc/mine", "mine" }, { "mine", "mine" },  { "/new/dir/x", "x" },
    { "/etc/", NULL },       { "/etc/..", NULL }, { "", NULL },
};

Test(path, splits_off_the_last_component, .init = make_root, .fini = remove_root)
{
    for (size_t i = 0; i < COUNT(parents); i++) {
        struct error err = {};
        const char *name = NULL;
        CLEANUP(close) int fd = path_open_parent(root_fd, parents[i].path, 1, &name, &err);

        cr_expect_eq(fd >= 0, parents[i].name != NULL, "%s: %s", parents[i].path, err.text);
        if (parents[i].name && name)
            cr_expect_str_eq(name, parents[i].name);
    }
}

Test(procfs, writes_only_to_real_files_of_proc)
{
    struct error err = {};
    CLEANUP(close) int fd = procfs_open(&err);

    cr_assert(fd >= 0, "%s", err.text);
    cr_expect_eq(procfs_write(fd, "self/comm", "renamed", &err), 0, "%s", err.text);
    cr_expect_lt(procfs_write(fd, "self/root/tmp/x", "1", &err), 0);
    cr_expect_eq(err.kind, ERROR_FORBIDDEN);
    cr_expect_lt(procfs_write(fd, "../tmp/x", "1", &err), 0);
    cr_expect_lt(procfs_write(fd, "sys/no/such", "1", &err), 0);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
}
