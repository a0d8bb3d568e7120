#include "linux/tree_sync.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define DEPTH 3000

static char directory[] = "/tmp/berth-tree-sync-XXXXXX";
static int root_fd;
static struct error err;

static void set_up(void)
{
    cr_assert(mkdtemp(directory));
    root_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(void)
{
    close(root_fd);
    cr_assert_eq(tree_remove(directory, &err), 0, "%s", err.text);
}

TestSuite(tree_sync, .init = set_up, .fini = tear_down);

static void write_file(int dir_fd, const char *name)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0);

    cr_assert_eq(write(fd, "text", 4), 4);
}

/* What cannot be waited for, or would wait for somebody, is passed over. */
Test(tree_sync, takes_whatever_a_tree_has)
{
    cr_assert_eq(mkdirat(root_fd, "a", 0755), 0);
    CLEANUP(close) int fd = openat(root_fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 50; i++) {
        CLEANUP(free) char *name = xasprintf("file%d", i);

        write_file(fd, name);
    }
    cr_assert_eq(mkfifoat(fd, "fifo", 0644), 0);
    cr_assert_eq(symlinkat("/nowhere", fd, "link"), 0);
    cr_assert_eq(linkat(fd, "file0", root_fd, "hard", 0), 0);
    cr_expect_eq(tree_sync_each(root_fd, &err), 0, "%s", err.text);
    cr_expect_eq(tree_sync(root_fd, &err), 0, "%s", err.text);
}

Test(tree_sync, reaches_any_depth)
{
    CLEANUP(close) int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < DEPTH; i++) {
        cr_assert_eq(mkdirat(fd, "deep", 0755), 0);
        int below_fd = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = below_fd;
    }
    write_file(fd, "file");
    cr_expect_eq(tree_sync_each(root_fd, &err), 0, "%s", err.text);
}

Test(tree_sync, says_what_went_wrong)
{
    cr_expect_eq(tree_sync(-1, &err), -1);
    cr_expect_eq(tree_sync_each(-1, &err), -1);
}
