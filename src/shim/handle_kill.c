/* Killing a supervisor without its help. No pid is trusted: whoever holds the listening socket of
 * that container as the descriptor that supervisors have it, is it. */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/pidfd.h"
#include "shim/handle.h"

#include "base/banned.h"

#define ACCEPTS_CONNECTIONS 0x10000 /* the kernel's __SO_ACCEPTCON, as /proc/net/unix has it */
#define SOCKETS_LIMIT       ((size_t)64 * 1024 * 1024)

enum { LISTEN_FD = 4, KILL_LIMIT_MS = 5000 };

/* "0000…: 00000002 00000000 00010000 0005 01 12345 /proc/self/fd/7/<id>.sock"; 0 if it is another.
 */
static uint64_t listener_inode(char *line, const char *suffix)
{
    unsigned flags;
    unsigned long inode;
    char path[256];

    if (sscanf(line, "%*x: %*x %*x %x %*x %*x %lu %255s", &flags, &inode, path) != 3)
        return 0;
    return (flags & ACCEPTS_CONNECTIONS) && text_ends(path, suffix) ? inode : 0;
}

static uint64_t find_listener(const char *container_id, struct error *err)
{
    CLEANUP(str_done) struct str table = {};
    CLEANUP(free) char *suffix = xasprintf("/%s" SOCKET_SUFFIX, container_id);
    char *rest, *line;
    uint64_t inode = 0;

    if (file_read("/proc/net/unix", SOCKETS_LIMIT, &table, err) < 0)
        return 0;
    str_text(&table);
    for (rest = table.data; inode == 0 && (line = strsep(&rest, "\n"));)
        inode = listener_inode(line, suffix);
    return inode;
}

static bool holds(const char *pid, const char *wanted)
{
    char path[64], link[64];

    snprintf(path, sizeof(path), "/proc/%.16s/fd/%d", pid, LISTEN_FD);
    ssize_t size = readlink(path, link, sizeof(link) - 1);
    if (size < 0)
        return false;
    link[size] = '\0';
    return strcmp(link, wanted) == 0;
}

/* The descriptor is taken before the look: what is seen is seen of that process or, if it is gone
 * meanwhile, of one that no signal reaches through it. */
static bool kill_if_holder(const char *pid, const char *wanted, int *out_pidfd)
{
    if (!holds(pid, wanted))
        return false;
    CLEANUP(close) int pidfd = pidfd_open_process((pid_t)strtol(pid, NULL, 10), NULL);
    if (pidfd < 0 || !holds(pid, wanted) || pidfd_signal(pidfd, SIGKILL, NULL) < 0)
        return false;
    *out_pidfd = TAKE_FD(pidfd);
    return true;
}

int shim_kill(const char *container_id, struct error *err)
{
    struct error failure = {};
    uint64_t inode = find_listener(container_id, &failure);
    CLEANUP(free) char *wanted = xasprintf("socket:[%llu]", (unsigned long long)inode);
    CLEANUP(close) int pidfd = -1;
    struct dirent *entry;

    if (failure.kind != ERROR_NONE)
        return error_set(err, failure.kind, "%s", failure.text);
    if (inode == 0)
        return 0;
    DIR *dir = opendir("/proc");
    if (!dir)
        return error_sys(err, "open /proc");
    while (pidfd < 0 && (entry = readdir(dir)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            kill_if_holder(entry->d_name, wanted, &pidfd);
    closedir(dir);
    struct pollfd gone = { .fd = pidfd, .events = POLLIN };
    if (pidfd < 0 || poll(&gone, 1, KILL_LIMIT_MS) > 0)
        return 0;
    return error_set(err, ERROR_UNAVAILABLE, "the supervisor of container %s does not end",
                     container_id);
}
