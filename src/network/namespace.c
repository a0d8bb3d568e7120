/* unshare and setns change the network namespace of one thread only. */
#include "network/namespace.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "linux/netlink.h"

#include "base/banned.h"

#define LOOPBACK_INDEX 1

/* What the engine of Docker gives to each container of its own namespace: anybody may ping and bind
 * low ports. */
static const struct {
    const char *path, *value;
} sysctls[] = {
    { "/proc/sys/net/ipv4/ping_group_range", "0 2147483647" },
    { "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0" },
};

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

static int prepare(struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    for (size_t i = 0; i < COUNT(sysctls); i++)
        if (file_write_existing(sysctls[i].path, sysctls[i].value, err) < 0)
            return -1;
    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
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
        result = prepare(err);
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
