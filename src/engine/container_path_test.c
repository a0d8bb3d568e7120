/* Paths by Docker's rules. */
#include "engine/container_path.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static const struct {
    const char *text, *path, *name;
    bool is_directory;
} spellings[] = { { "/a/b", "/a/b", "b", false },   { "a/b", "/a/b", "b", false },
                  { "/a/b/", "/a/b", "b", true },   { "/a/b/.", "/a/b", ".", true },
                  { "/a/./b", "/a/b", "b", false }, { "/a/../../b", "/b", "b", false },
                  { "/", "/", "/", true },          { ".", "/", ".", true },
                  { "/a/..", "/", "/", false },     { "/a/b..", "/a/b..", "b..", false },
                  { "/a/b./", "/a/b.", "b.", true } };

Test(container_path, is_read_as_docker_does)
{
    for (size_t i = 0; i < COUNT(spellings); i++) {
        CLEANUP(container_path_done) struct container_path path = {};
        struct error err = {};

        cr_assert_eq(container_path_parse(spellings[i].text, &path, &err), 0, "%s", err.text);
        cr_expect_str_eq(path.path, spellings[i].path, "%s", spellings[i].text);
        cr_expect_str_eq(path.name, spellings[i].name, "%s", spellings[i].text);
        cr_expect_eq(path.is_directory, spellings[i].is_directory, "%s", spellings[i].text);
    }
}

Test(container_path, cannot_be_empty)
{
    struct container_path path;
    struct error err = {};

    cr_expect_eq(container_path_parse("", &path, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect_eq(container_path_parse(NULL, &path, &err), -1);
}

Test(container_path, modes_are_those_of_go)
{
    cr_expect_eq(go_file_mode(S_IFREG | 0644), 0644);
    cr_expect_eq(go_file_mode(S_IFREG | 06755), 0755 | 3U << 22);
    cr_expect_eq(go_file_mode(S_IFDIR | 01777), 0777 | 1U << 31 | 1U << 20);
    cr_expect_eq(go_file_mode(S_IFLNK | 0777), 0777 | 1U << 27);
    cr_expect_eq(go_file_mode(S_IFCHR | 0600), 0600 | 1U << 26 | 1U << 21);
    cr_expect_eq(go_file_mode(S_IFBLK | 0600), 0600 | 1U << 26);
    cr_expect_eq(go_file_mode(S_IFIFO | 0600), 0600 | 1U << 25);
    cr_expect_eq(go_file_mode(S_IFSOCK | 0600), 0600 | 1U << 24);
}

static const struct {
    const char *path, *resolved;
} ways[] = {
    { "/dir/file", "/dir/file" },
    { "/up/dir", "/dir" },
    { "/abs", "/dir" },
    { "/broken/x", "/gone/x" },
    { "/chain/file", "/dir/file" },
    { "/none/at/all", "/none/at/all" },
};

Test(container_path, links_are_followed_inside_the_root)
{
    char top[] = "/tmp/container_path_XXXXXX";

    cr_assert(mkdtemp(top));
    CLEANUP(close) int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(fd, "dir", 0755);
    cr_assert_eq(symlinkat("../../..", fd, "up") | symlinkat("/dir", fd, "abs") |
                     symlinkat("/gone", fd, "broken") | symlinkat("up/abs", fd, "chain") |
                     symlinkat("loop", fd, "loop"),
                 0);
    for (size_t i = 0; i < COUNT(ways); i++) {
        CLEANUP(free) char *resolved = container_path_resolve(fd, ways[i].path);

        cr_expect_str_eq(resolved, ways[i].resolved);
    }
    CLEANUP(free) char *loop = container_path_resolve(fd, "/loop");
    cr_expect_str_eq(loop, "/loop");
    tree_remove(top, NULL);
}

Test(container_path, below_is_told_by_whole_names)
{
    cr_expect(container_path_is_below("/proc", "/proc") &&
              container_path_is_below("/proc/1", "/proc"));
    cr_expect_not(container_path_is_below("/process", "/proc"));
}
