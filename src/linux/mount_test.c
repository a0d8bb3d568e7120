#include "linux/mount.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

static char place[] = "/tmp/berth-mount-XXXXXX";

/* Each test has its own process, hence its own mount namespace: nothing is left on the host. */
static void own_namespace(void)
{
    struct error err = {};

    cr_assert(mkdtemp(place));
    cr_assert_eq(unshare(CLONE_NEWNS), 0);
    cr_assert_eq(mount_change_at("/", true, 0, 0, MS_PRIVATE, &err), 0, "%s", err.text);
}

static void forget(void)
{
    umount2(place, MNT_DETACH);
    tree_remove(place, NULL);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    CLEANUP(free) char *path = path_join(directory, name);
    struct error err = {};

    cr_assert_eq(file_write_atomic(path, text, strlen(text), 0644, false, &err), 0, "%s", err.text);
}

static char *text_at(int dir_fd, const char *name)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    struct str text = {};

    if (fd < 0)
        return xstrdup("absent");
    file_read_fd(fd, 1024, &text, NULL);
    return str_take(&text);
}

Test(mount, places_a_new_filesystem, .init = own_namespace, .fini = forget)
{
    const struct mount_setting settings[] = { { "source", "mine" }, { "size", "64k" } };
    struct error err = {};
    CLEANUP(close) int fd = mount_create("tmpfs", settings, 2, MOUNT_ATTR_NOEXEC, &err);

    cr_assert(fd >= 0, "%s", err.text);
    cr_assert_eq(mount_place_at(fd, place, &err), 0, "%s", err.text);
    write_text(place, "file", "inside");
    CLEANUP(free) char *text = text_at(fd, "file");
    cr_expect_str_eq(text, "inside");
    cr_expect_eq(mount_remove(place, &err), 0, "%s", err.text);
    cr_expect_eq(mount_remove(place, &err), 0, "not mounted is fine: %s", err.text);
}

Test(mount, says_what_the_kernel_says)
{
    const struct mount_setting bad = { "size", "nonsense" };
    struct error err = {};

    cr_expect_lt(mount_create("tmpfs", &bad, 1, 0, &err), 0);
    cr_expect(strstr(err.text, "size"), "%s", err.text);
    cr_expect_lt(mount_create("nosuchfs", NULL, 0, 0, &err), 0);
    cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
    cr_expect_lt(mount_clone(AT_FDCWD, "/no/such", false, &err), 0);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
}

Test(mount, makes_a_copy_read_only_without_touching_the_original, .init = own_namespace,
     .fini = forget)
{
    struct error err = {};

    CLEANUP(close) int fd = mount_clone(AT_FDCWD, place, false, &err);
    cr_assert(fd >= 0, "%s", err.text);
    cr_assert_eq(mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, &err), 0, "%s",
                 err.text);
    cr_expect_lt(openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644), 0);
    cr_expect_eq(errno, EROFS);
    write_text(place, "new", "original");
    CLEANUP(free) char *text = text_at(fd, "new");
    cr_expect_str_eq(text, "original");
}

static int overlay_of(size_t layers, bool writable, struct error *err)
{
    CLEANUP(strv_done) struct strv lower = {};
    CLEANUP(free) char *upper = path_join(place, "upper"), *work = path_join(place, "work");

    mkdir(upper, 0755);
    mkdir(work, 0755);
    for (size_t i = 0; i < layers; i++) {
        CLEANUP(free) char *layer = xasprintf("%s/layer%zu", place, i);
        CLEANUP(free) char *name = xasprintf("file%zu", i);

        mkdir(layer, 0755);
        write_text(layer, name, "own");
        write_text(layer, "shared", name);
        strv_add(&lower, layer);
    }
    return mount_overlay(&(struct mount_overlay){ .lower = &lower,
                                                  .upper = writable ? upper : NULL,
                                                  .work = writable ? work : NULL },
                         err);
}

/* overlayfs does not stand on overlayfs: a tmpfs below makes the test independent of the host. */
static void own_tmpfs(void)
{
    struct error err = {};

    own_namespace();
    CLEANUP(close) int fd = mount_create("tmpfs", NULL, 0, 0, &err);
    cr_assert(fd >= 0 && mount_place_at(fd, place, &err) == 0, "%s", err.text);
}

Test(mount, stacks_layers, .init = own_tmpfs, .fini = forget)
{
    struct error err = {};
    CLEANUP(close) int fd = overlay_of(3, true, &err);

    cr_assert(fd >= 0, "%s", err.text);
    CLEANUP(free) char *top = text_at(fd, "shared"), *deep = text_at(fd, "file2");
    cr_expect_str_eq(top, "file0");
    cr_expect_str_eq(deep, "own");
    CLEANUP(close) int file_fd = openat(fd, "shared", O_WRONLY | O_TRUNC | O_CLOEXEC);
    cr_assert(file_fd >= 0);
    cr_assert_eq(write(file_fd, "changed", 7), 7);
    CLEANUP(free) char *upper = xasprintf("%s/upper/shared", place);
    cr_expect(file_exists(upper));
}

Test(mount, stacks_more_layers_than_a_page_of_names_holds, .init = own_tmpfs, .fini = forget)
{
    struct error err = {};
    CLEANUP(close) int fd = overlay_of(120, false, &err);

    cr_assert(fd >= 0, "%s", err.text);
    CLEANUP(free) char *deep = text_at(fd, "file119");
    cr_expect_str_eq(deep, "own");
    cr_expect_lt(openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644), 0);
}

Test(mount, runs_a_program_that_cannot_be_overwritten, .init = own_namespace, .fini = forget)
{
    CLEANUP(free) char *program = path_join(place, "program");
    CLEANUP(free) char *copy = xasprintf("cp /bin/sleep %s", program);
    struct error err = {};

    cr_assert_eq(system(copy), 0); /* NOLINT: fixed text */
    CLEANUP(close) int fd = mount_program(program, &err);
    cr_assert(fd >= 0, "%s", err.text);
    pid_t pid = fork();
    if (pid == 0) {
        char path[32];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        execl(path, "sleep", "100", NULL);
        _exit(127);
    }
    CLEANUP(free) char *link = xasprintf("/proc/%d/exe", (int)pid);
    struct stat mine, theirs;
    cr_assert_eq(stat("/proc/self/exe", &mine), 0);
    do /* until the exec */
        cr_assert_eq(stat(link, &theirs), 0);
    while (theirs.st_ino == mine.st_ino);
    CLEANUP(close) int exe_fd = open(link, O_RDONLY | O_CLOEXEC);
    cr_assert(exe_fd >= 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CLEANUP(free) char *again = xasprintf("/proc/self/fd/%d", exe_fd);
    cr_expect_lt(open(again, O_WRONLY | O_CLOEXEC), 0, "the program could be overwritten");
    cr_expect_eq(errno, EROFS);
}
