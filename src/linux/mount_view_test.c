/* Views of trees. What needs root is skipped without it. */
#include "linux/mount_view.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/mount.h"
#include "linux/namespace.h"
#include "linux/path.h"

static int tmpfs(struct error *err)
{
    int fd = mount_create("tmpfs", NULL, 0, 0, err);

    if (fd < 0 && err->sys == EPERM)
        cr_skip_test("needs the right to mount");
    cr_assert_geq(fd, 0, "%s", err->text);
    return fd;
}

static void make_file(int dir_fd, const char *path)
{
    CLEANUP(close) int fd = path_open(dir_fd, path, O_WRONLY | O_CREAT, 0600, NULL);

    cr_assert_geq(fd, 0);
}

static bool is_there(int root_fd, const char *path)
{
    CLEANUP(close) int fd = path_open(root_fd, path, O_PATH, 0, NULL);

    return fd >= 0;
}

Test(mount_view, shows_what_is_put_together_and_nothing_of_the_host)
{
    struct mount_view view = {};
    struct error err = {};
    CLEANUP(close) int root = tmpfs(&err), volume = tmpfs(&err), file = -1;

    make_file(root, "below");
    mkdirat(root, "dir", 0755);
    cr_assert_eq(symlinkat("/../../dir", root, "link"), 0);
    make_file(volume, "inside");
    cr_assert_eq(mount_view_make(root, &view, &err), 0, "%s", err.text);
    struct mount_part parts[] = {
        { .mount_fd = volume, .target = "/link/made/here", .makes_target = true },
        { .mount_fd = tmpfs(&err), .target = "/missing" }
    };
    cr_assert_eq(mount_view_add(&view, parts, COUNT(parts), &err), 0, "%s", err.text);
    cr_expect(is_there(view.root_fd, "/below"));
    cr_expect(is_there(view.root_fd, "/dir/made/here/inside"));
    cr_expect_not(is_there(view.root_fd, "/missing"));
    cr_expect_not(is_there(view.root_fd, "/proc"));
    file = path_open(view.root_fd, "/dir/made/here/inside", O_PATH, 0, NULL);
    cr_expect(parts[0].mount_id && mount_id_of(file) == parts[0].mount_id);
    cr_expect_eq(parts[1].mount_id, 0);

    /* Nobody else sees it. */
    CLEANUP(str_done) struct str mounts = {};
    cr_assert_eq(file_read("/proc/self/mountinfo", 1 << 24, &mounts, &err), 0);
    cr_expect_null(strstr(str_text(&mounts), "made/here"));

    /* Nor does a copy of the root show what is mounted in it. */
    CLEANUP(close) int copy = mount_view_clone_root(&view, &err);
    cr_assert_geq(copy, 0, "%s", err.text);
    cr_expect(is_there(copy, "dir/made/here") && !is_there(copy, "dir/made/here/inside"));
    mount_view_done(&view);
    cr_expect(is_there(copy, "below"), "a copy outlives the view");
    close(parts[1].mount_fd);
}

Test(mount_view, copies_mounts_of_another_namespace)
{
    struct error err = {};
    struct mount_view view = {};
    CLEANUP(close) int root = tmpfs(&err), inner = tmpfs(&err);
    struct mount_wish wishes[] = { { .path = "/" },
                                   { .path = "/t", .filesystem = TMPFS_MAGIC },
                                   { .path = "/t", .filesystem = PROC_SUPER_MAGIC },
                                   { .path = "/none" } };

    mkdirat(root, "t", 0755);
    make_file(inner, "inside");
    cr_assert_eq(mount_view_make(root, &view, &err), 0, "%s", err.text);
    struct mount_part part = { .mount_fd = inner, .target = "t" };
    cr_assert_eq(mount_view_add(&view, &part, 1, &err), 0, "%s", err.text);
    cr_assert_eq(mount_clone_from(view.namespace_fd, wishes, COUNT(wishes), &err), 0, "%s",
                 err.text);
    cr_expect(is_there(wishes[0].fd, "t") && !is_there(wishes[0].fd, "t/inside"));
    cr_expect(is_there(wishes[1].fd, "inside"));
    cr_expect(wishes[2].fd < 0 && wishes[3].fd < 0);
    close(wishes[0].fd);
    close(wishes[1].fd);
    mount_view_done(&view);
}

Test(mount_view, leaves_the_process_where_it_is)
{
    struct error err = {};
    struct mount_view view = {};
    CLEANUP(close) int root = tmpfs(&err);
    struct stat before, after;

    stat("/", &before);
    cr_assert_eq(mount_view_make(root, &view, &err), 0, "%s", err.text);
    mount_view_done(&view);
    stat("/", &after);
    cr_expect(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
    cr_expect(file_exists("/proc/self/ns/mnt"));
}
