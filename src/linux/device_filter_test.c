#include "linux/device_filter.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "linux/cgroup.h"
#include "linux/namespace.h"

#include "base/banned.h"

#define ALL (DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD)

/* What a process may do with /dev/null (c 1:3) and /dev/zero (c 1:5) under the rules: "r", "w" and
 * "m" (making a node). */
/* clang-format off */
static const struct {
    const char *what;
    struct device_rule rules[5];
    size_t count;
    const char *null_access, *zero_access;
} cases[] = {
    { "nothing said",        { { 0 } }, 0, "", "" },
    { "all allowed",         { { true, 'a', -1, -1, ALL } }, 1, "rwm", "rwm" },
    { "one allowed",         { { false, 'a', -1, -1, ALL }, { true, 'c', 1, 3, ALL } }, 2, "rwm", "" },
    { "reading only",        { { false, 'a', -1, -1, ALL }, { true, 'c', 1, 3, DEVICE_READ } }, 2, "r", "" },
    { "rights add up",       { { false, 'a', -1, -1, ALL }, { true, 'c', 1, 3, DEVICE_READ },
                               { true, 'c', 1, 3, DEVICE_WRITE } }, 3, "rw", "" },
    { "a whole major",       { { false, 'a', -1, -1, ALL }, { true, 'c', 1, -1, DEVICE_READ } }, 2, "r", "r" },
    { "any node may be made", { { false, 'a', -1, -1, ALL }, { true, 'c', -1, -1, DEVICE_MKNOD } }, 2, "m", "m" },
    { "blocks are not chars", { { false, 'a', -1, -1, ALL }, { true, 'b', 1, 3, ALL } }, 2, "", "" },
    { "one denied",          { { true, 'a', -1, -1, ALL }, { false, 'c', 1, 5, DEVICE_WRITE } }, 2, "rwm", "rm" },
    { "taken back",          { { false, 'a', -1, -1, ALL }, { true, 'c', 1, 3, ALL },
                               { false, 'c', 1, 3, DEVICE_WRITE } }, 3, "rm", "" },
    { "forgotten",           { { true, 'c', 1, 3, ALL }, { false, 'a', -1, -1, ALL },
                               { true, 'c', 1, 5, ALL } }, 3, "", "rwm" },
};
/* clang-format on */

static bool may_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool may_make(unsigned minor_number)
{
    char path[64];

    snprintf(path, sizeof(path), "/tmp/berth-node-%d", (int)getpid());
    int result = mknod(path, S_IFCHR | 0600, makedev(1, minor_number));
    unlink(path);
    return result == 0;
}

static void describe(const char *path, unsigned minor_number, char *out)
{
    if (may_open(path, O_RDONLY))
        *out++ = 'r';
    if (may_open(path, O_WRONLY))
        *out++ = 'w';
    if (may_make(minor_number))
        *out++ = 'm';
    *out = 0;
}

static void try_case(size_t i, int group_fd)
{
    int pipe_fds[2], pidfd = -1;
    char found[2][4] = {};
    struct error err = {};

    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t pid = namespace_clone(0, group_fd, &pidfd, &err);
    if (pid == 0) {
        describe("/dev/null", 3, found[0]);
        describe("/dev/zero", 5, found[1]);
        (void)!write(pipe_fds[1], found, sizeof(found));
        _exit(0);
    }
    cr_assert_gt(pid, 0, "%s", err.text);
    cr_assert_eq(read(pipe_fds[0], found, sizeof(found)), (ssize_t)sizeof(found));
    waitpid(pid, NULL, 0);
    close(pidfd);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    cr_expect_str_eq(found[0], cases[i].null_access, "%s: null %s", cases[i].what, found[0]);
    cr_expect_str_eq(found[1], cases[i].zero_access, "%s: zero %s", cases[i].what, found[1]);
}

/* The kernel's verifier reads each program, and processes in the group feel it. */
Test(device_filter, does_what_version_1_did)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_done) struct buf program = {};
        struct error err = {};
        char group[64];

        snprintf(group, sizeof(group), "/berth-test-%d-%zu", (int)getpid(), i);
        cr_assert_eq(cgroup_create(group, &err), 0, "%s", err.text);
        int group_fd = cgroup_open_unified(group, &err);
        if (group_fd < 0) {
            cgroup_remove(group, NULL);
            cr_skip_test("no cgroup version 2 here");
        }
        device_filter_encode(cases[i].rules, cases[i].count, &program);
        int attached = device_filter_attach(group_fd, &program, &err);
        cr_expect_eq(attached, 0, "%s: %s", cases[i].what, err.text);
        if (attached == 0)
            try_case(i, group_fd);
        close(group_fd);
        cgroup_remove(group, NULL);
    }
}
