/* A user namespace lives by a process or a descriptor: a child that does nothing holds it until its
 * tables are written and it is opened. */
#include "linux/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "linux/namespace.h"
#include "linux/pidfd.h"

#include "base/banned.h"

size_t id_ranges_swap(uint32_t a, uint32_t b, struct id_range out[ID_SWAP_RANGES])
{
    uint32_t low = MIN(a, b), high = MAX(a, b);
    const struct id_range wanted[ID_SWAP_RANGES] = {
        { 0, 0, low },
        { low, high, 1 },
        { low + 1, low + 1, high > low ? high - low - 1 : 0 },
        { high, low, high > low },
        { high + 1, high + 1, UINT32_MAX - high - 1 },
    };
    size_t count = 0;

    for (size_t i = 0; i < COUNT(wanted); i++)
        if (wanted[i].count)
            out[count++] = wanted[i];
    return count;
}

static int write_table(pid_t pid, const char *file, const struct id_range *ranges, size_t count,
                       struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    char path[48];

    for (size_t i = 0; i < count; i++)
        str_add_format(&text, "%u %u %u\n", ranges[i].inside, ranges[i].outside, ranges[i].count);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, str_text(&text), text.length) < 0)
        return error_sys(err, "write %s", path);
    return 0;
}

static int open_with_tables(pid_t pid, const struct id_range *uids, size_t uid_count,
                            const struct id_range *gids, size_t gid_count, struct error *err)
{
    char path[48];

    if (write_table(pid, "uid_map", uids, uid_count, err) < 0 ||
        write_table(pid, "gid_map", gids, gid_count, err) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    return namespace_open(path, CLONE_NEWUSER, err);
}

/* Only calls into the kernel: the other threads, and what they held, did not come along. */
static _Noreturn void hold(void)
{
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

int user_namespace_make(const struct id_range *uids, size_t uid_count, const struct id_range *gids,
                        size_t gid_count, struct error *err)
{
    CLEANUP(close) int pidfd = -1;
    int code;
    pid_t pid = namespace_clone(CLONE_NEWUSER, -1, &pidfd, err);

    if (pid == 0)
        hold();
    if (pid < 0)
        return error_context(err, "user namespace");
    int fd = open_with_tables(pid, uids, uid_count, gids, gid_count, err);
    pidfd_signal(pidfd, SIGKILL, NULL);
    pidfd_wait(pidfd, &code, NULL);
    return fd;
}
