/* unshare and setns change the network namespace of one thread only. */
#include "network/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "linux/netlink.h"

#include "base/banned.h"

#define LOOPBACK_INDEX 1

/* What the engine of Docker gives to each container of its own namespace: anybody may ping and bind
 * low ports, and links are born without IPv6. */
static const struct sysctl settings[] = {
    { "net/ipv4/ping_group_range", "0 2147483647", false },
    { "net/ipv4/ip_unprivileged_port_start", "0", false },
    { "net/ipv6/conf/default/disable_ipv6", "1", true },
};

/* An instance of procfs of its own, so that nothing is in its cache of names. */
static int open_proc(struct error *err)
{
    CLEANUP(close) int context = fsopen("proc", FSOPEN_CLOEXEC);
    int fd = -1;

    if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
    if (fd < 0) /* an old kernel, or one that forbids it: the machine's, then */
        fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "open /proc") : fd;
}

static int write_one(int proc_fd, const struct sysctl *row, struct error *err)
{
    CLEANUP(free) char *path = path_join("sys", row->path);
    CLEANUP(close) int fd = openat(proc_fd, path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && row->is_optional)
        return 0;
    if (fd < 0 || write(fd, row->value, strlen(row->value)) < 0)
        return error_sys(err, "write \"%s\" to /proc/sys/%s", row->value, row->path);
    return 0;
}

int sysctls_write(const struct sysctl *rows, size_t count, struct error *err)
{
    CLEANUP(close) int proc_fd = count > 0 ? open_proc(err) : -1;

    if (count > 0 && proc_fd < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (write_one(proc_fd, &rows[i], err) < 0)
            return -1;
    return 0;
}

int namespace_current(int *out_fd, struct error *err)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open network namespace");
    *out_fd = fd;
    return 0;
}

static void come_back(int home_fd)
{
    if (setns(home_fd, CLONE_NEWNET) == 0)
        return;
    log_error("cannot return to the host's network namespace");
    abort();
}

static int prepare(void *data UNUSED, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    if (sysctls_write(settings, COUNT(settings), err) < 0 ||
        netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, LOOPBACK_INDEX, IFF_UP, IFF_UP);
    return netlink_call(netlink, &msg, err);
}

int namespace_create(int home_fd, int *out_fd, struct error *err)
{
    CLEANUP(close) int fd = -1;
    int result;

    if (unshare(CLONE_NEWNET) < 0)
        return error_sys(err, "create network namespace");
    result = namespace_current(&fd, err);
    if (result == 0)
        result = prepare(NULL, err);
    come_back(home_fd);
    if (result < 0)
        return error_context(err, "prepare network namespace");
    *out_fd = TAKE_FD(fd);
    return 0;
}

int namespace_visit(int home_fd, int fd, int (*run)(void *data, struct error *err), void *data,
                    struct error *err)
{
    int result;

    if (setns(fd, CLONE_NEWNET) < 0)
        return error_sys(err, "enter network namespace");
    result = run(data, err);
    come_back(home_fd);
    return result;
}

int namespace_prepare(int home_fd, int fd, struct error *err)
{
    return namespace_visit(home_fd, fd, prepare, NULL, err) < 0
               ? error_context(err, "prepare network namespace")
               : 0;
}
