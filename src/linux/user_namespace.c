/* A user namespace lives by a process or a descriptor: a child that does nothing holds it until its
 * tables are written and it is opened. */
#include "linux/user_namespace.h"

#include <fcntl.h>
#include <linux/securebits.h>
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

void id_table_add(struct id_table *table, uint32_t inside, uint32_t outside, uint32_t count)
{
    if (count && table->count < ID_RANGE_LIMIT)
        table->ranges[table->count++] = (struct id_range){ inside, outside, count };
}

void id_table_swap(struct id_table *out, uint32_t a, uint32_t b)
{
    uint32_t low = MIN(a, b), high = MAX(a, b);

    out->count = 0;
    id_table_add(out, 0, 0, low);
    id_table_add(out, low, high, 1);
    id_table_add(out, low + 1, low + 1, high > low ? high - low - 1 : 0);
    id_table_add(out, high, low, high > low);
    id_table_add(out, high + 1, high + 1, UINT32_MAX - high - 1);
}

uint32_t id_table_inside(const struct id_table *table, uint32_t outside)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct id_range *range = &table->ranges[i];

        if (outside >= range->outside && outside - range->outside < range->count)
            return range->inside + (outside - range->outside);
    }
    return ID_NOBODY;
}

int64_t id_table_outside(const struct id_table *table, uint32_t inside)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct id_range *range = &table->ranges[i];

        if (inside >= range->inside && inside - range->inside < range->count)
            return (int64_t)range->outside + (inside - range->inside);
    }
    return -1;
}

static int write_table(pid_t pid, const char *file, const struct id_table *table, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    char path[48];

    for (size_t i = 0; i < table->count; i++)
        str_add_format(&text, "%u %u %u\n", table->ranges[i].inside, table->ranges[i].outside,
                       table->ranges[i].count);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, str_text(&text), text.length) < 0)
        return error_sys(err, "write %s", path);
    return 0;
}

static int open_of(pid_t pid, uint64_t flag, struct error *err)
{
    char path[48];

    snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, namespace_file(flag));
    return namespace_open(path, flag, err);
}

static int open_with_tables(pid_t pid, const struct id_map *map, int *out_network_fd,
                            struct error *err)
{
    if (write_table(pid, "uid_map", &map->uids, err) < 0 ||
        write_table(pid, "gid_map", &map->gids, err) < 0)
        return -1;
    CLEANUP(close) int fd = open_of(pid, CLONE_NEWUSER, err);
    if (fd < 0)
        return -1;
    if (out_network_fd && (*out_network_fd = open_of(pid, CLONE_NEWNET, err)) < 0)
        return -1;
    return TAKE_FD(fd);
}

/* Only calls into the kernel: the other threads, and what they held, did not come along. */
static _Noreturn void hold(void)
{
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

int user_namespace_make(const struct id_map *map, int *out_network_fd, struct error *err)
{
    CLEANUP(close) int pidfd = -1;
    int code;
    pid_t pid = namespace_clone(CLONE_NEWUSER | (out_network_fd ? CLONE_NEWNET : 0), -1, &pidfd,
                                err);

    if (pid == 0)
        hold();
    if (pid < 0)
        return error_context(err, "user namespace");
    int fd = open_with_tables(pid, map, out_network_fd, err);
    pidfd_signal(pidfd, SIGKILL, NULL);
    pidfd_wait(pidfd, &code, NULL);
    return fd;
}

int user_make_files_as(uint32_t uid, uint32_t gid, struct error *err)
{
    /* Otherwise root's rights go with its number. */
    unsigned long bits = uid ? SECBIT_NO_SETUID_FIXUP : 0;

    if (uid && prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
        return error_sys(err, "keep rights");
    syscall(SYS_setfsgid, gid);
    syscall(SYS_setfsuid, uid);
    if (!uid && prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
        return error_sys(err, "give up kept rights");
    return 0;
}
