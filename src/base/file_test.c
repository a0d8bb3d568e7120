#include "base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static char place[] = "/tmp/berth-file-test-XXXXXX";

static void make_place(void)
{
    cr_assert_not_null(mkdtemp(place));
}

static void remove_place(void)
{
    struct error err = {};

    cr_expect_eq(tree_remove(place, &err), 0, "%s", err.text);
    cr_expect_not(file_exists(place));
}

TestSuite(file, .init = make_place, .fini = remove_place);

static const struct {
    const char *path, *clean;
} paths[] = {
    { "", "." },
    { ".", "." },
    { "/", "/" },
    { "//", "/" },
    { "/..", "/" },
    { "/../a", "/a" },
    { "a/../..", ".." },
    { "../a/", "../a" },
    { "a//b/./c", "a/b/c" },
    { "/a/b/../..", "/" },
    { "a/..", "." },
    { "/a/../../b", "/b" },
    { "../../x", "../../x" },
    { "/a/...", "/a/..." },
};

Test(path, is_cleaned_lexically)
{
    for (size_t i = 0; i < COUNT(paths); i++) {
        CLEANUP(free) char *clean = path_clean(paths[i].path);

        cr_expect_str_eq(clean, paths[i].clean, "%s gave %s", paths[i].path, clean);
    }
}

static const struct {
    const char *a, *b, *joined;
} joins[] = {
    { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "a", "/b", "a/b" },
    { "/", "b", "/b" },  { "/", "/b", "/b" },  { "a//", "//b", "a/b" },
};

Test(path, is_joined_with_one_slash)
{
    for (size_t i = 0; i < COUNT(joins); i++) {
        CLEANUP(free) char *joined = path_join(joins[i].a, joins[i].b);

        cr_expect_str_eq(joined, joins[i].joined);
    }
    cr_expect_str_eq(path_base("/a/b"), "b");
    cr_expect_str_eq(path_base("b"), "b");
    CLEANUP(free) char *absolute = path_absolute("/a/../b/");
    cr_expect_str_eq(absolute, "/b");
}

Test(file, is_replaced_in_one_step)
{
    CLEANUP(free) char *path = path_join(place, "f");
    CLEANUP(str_done) struct str text = {};
    struct error err = {};
    struct stat status;

    for (int round = 0; round < 2; round++) {
        const char *content = round ? "new" : "old and longer";

        cr_assert_eq(file_write_atomic(path, content, strlen(content), 0600, round, &err), 0, "%s",
                     err.text);
        str_clear(&text);
        cr_assert_eq(file_read(path, 100, &text, &err), 0, "%s", err.text);
        cr_expect_str_eq(text.data, content);
    }
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0600);
    CLEANUP(free) char *temporary = path_join(place, "f.new");
    cr_expect_not(file_exists(temporary));
}

Test(file, leaves_the_old_one_when_it_cannot_be_written)
{
    CLEANUP(free) char *path = path_join(place, "dir/f");
    struct error err = {};

    cr_expect_eq(file_write_atomic(path, "x", 1, 0600, false, &err), -1);
    cr_expect(strstr(err.text, "no such file or directory"));
}

Test(file, is_read_up_to_a_limit)
{
    CLEANUP(free) char *path = path_join(place, "f");
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    cr_expect_eq(file_read(path, 10, &text, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    cr_assert_eq(file_write_atomic(path, "0123456789", 10, 0600, false, &err), 0);
    cr_expect_eq(file_read(path, 10, &text, &err), 0);
    cr_expect_eq(text.length, 10);
    str_clear(&text);
    cr_expect_eq(file_read(path, 9, &text, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}

Test(file, finds_or_makes_directories)
{
    CLEANUP(free) char *path = path_join(place, "a/b/c");
    CLEANUP(free) char *file = path_join(place, "f");
    struct error err = {};

    cr_assert_eq(dir_make(path, 0755, &err), 0, "%s", err.text);
    cr_assert_eq(dir_make(path, 0755, &err), 0, "%s", err.text);
    cr_assert_eq(file_write_atomic(file, "", 0, 0600, false, &err), 0);
    cr_expect_eq(dir_make(file, 0755, &err), -1, "a file is no directory");
    CLEANUP(free) char *below = path_join(file, "x");
    cr_expect_eq(dir_make(below, 0755, &err), -1);
}

Test(file, removes_trees_without_following_links)
{
    CLEANUP(free) char *kept = path_join(place, "kept");
    CLEANUP(free) char *precious = path_join(kept, "precious");
    CLEANUP(free) char *tree = path_join(place, "tree");
    CLEANUP(free) char *deep = path_join(tree, "a/b/c");
    CLEANUP(free) char *link = path_join(deep, "link");
    CLEANUP(free) char *top_link = path_join(place, "top");
    struct error err = {};

    cr_assert_eq(dir_make(kept, 0755, &err), 0);
    cr_assert_eq(file_write_atomic(precious, "x", 1, 0600, false, &err), 0);
    cr_assert_eq(dir_make(deep, 0755, &err), 0);
    cr_assert_eq(symlink(kept, link), 0);
    cr_assert_eq(symlink(kept, top_link), 0);
    cr_expect_eq(tree_remove(tree, &err), 0, "%s", err.text);
    cr_expect_eq(tree_remove(top_link, &err), 0, "%s", err.text);
    cr_expect_not(file_exists(tree));
    cr_expect_not(file_exists(top_link));
    cr_expect(file_exists(precious));
    cr_expect_eq(tree_remove(tree, &err), 0, "absent is fine");
}

Test(file, stops_removing_when_called_off)
{
    CLEANUP(free) char *tree = path_join(place, "tree");
    CLEANUP(free) char *deep = path_join(tree, "a/b");
    atomic_bool is_called_off = true;
    struct error err = {};

    cr_assert_eq(dir_make(deep, 0755, &err), 0);
    cr_expect_eq(tree_remove_until(tree, &is_called_off, &err), -1);
    cr_expect_eq(err.kind, ERROR_CANCELLED);
    cr_expect(file_exists(tree));
    is_called_off = false;
    cr_expect_eq(tree_remove_until(tree, &is_called_off, &err), 0, "%s", err.text);
    cr_expect_not(file_exists(tree));
}

Test(file, removes_trees_of_any_depth)
{
    CLEANUP(close) int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error err = {};

    for (int i = 0; i < 3000; i++) {
        cr_assert_eq(mkdirat(fd, "d", 0700), 0);
        int below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(below, 0);
        close(fd);
        fd = below;
    }
    CLEANUP(free) char *top = path_join(place, "d");
    cr_expect_eq(tree_remove(top, &err), 0, "%s", err.text);
}

Test(file, measures_each_inode_once)
{
    CLEANUP(free) char *a = path_join(place, "a"), *b = path_join(place, "b");
    int64_t bytes = 0;
    struct error err = {};

    cr_assert_eq(file_write_atomic(a, "12345", 5, 0600, false, &err), 0);
    cr_assert_eq(link(a, b), 0);
    cr_assert_eq(tree_size(place, &bytes, &err), 0, "%s", err.text);
    cr_expect_eq(bytes, 5);
}

Test(file, says_whether_a_read_would_return_at_once)
{
    int ends[2];

    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    cr_expect_not(fd_is_readable(ends[0]), "nothing was written");
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_expect(fd_is_readable(ends[0]));
    char byte;
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    cr_expect_not(fd_is_readable(ends[0]), "everything was read");
    close(ends[1]);
    cr_expect(fd_is_readable(ends[0]), "the end");
    close(ends[0]);
    cr_expect_not(fd_is_readable(-1));
}
