/* clone3 and setns, called directly: no libc wraps the one, and all wrap the other with an int. */
#include "linux/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

/* clang-format off */
static const struct {
    const char *type, *file;
    uint64_t flag;
} kinds[] = {
    { "cgroup",  "cgroup", CLONE_NEWCGROUP },
    { "ipc",     "ipc",    CLONE_NEWIPC    },
    { "mount",   "mnt",    CLONE_NEWNS     },
    { "network", "net",    CLONE_NEWNET    },
    { "pid",     "pid",    CLONE_NEWPID    },
    { "time",    "time",   CLONE_NEWTIME   },
    { "user",    "user",   CLONE_NEWUSER   },
    { "uts",     "uts",    CLONE_NEWUTS    },
};
/* clang-format on */

uint64_t namespace_flag(const char *type)
{
    for (size_t i = 0; type && i < COUNT(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return kinds[i].flag;
    return 0;
}

const char *namespace_file(uint64_t flag)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (kinds[i].flag == flag)
            return kinds[i].file;
    return NULL;
}

int namespace_open(const char *path, uint64_t flag, struct error *err)
{
    CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        int number = errno;

        error_sys(err, "namespace %s", path);
        if (err && (number == ENOENT || number == ENOTDIR))
            err->kind = ERROR_NOT_FOUND;
        return -1;
    }
    int type = ioctl(fd, NS_GET_NSTYPE);
    if (type < 0 || (uint64_t)(unsigned)type != flag)
        return error_set(err, ERROR_INVALID, "%s is not a %s namespace", path,
                         namespace_file(flag) ?: "known");
    return TAKE_FD(fd);
}

int namespace_join(int fd, uint64_t flags, struct error *err)
{
    if (syscall(SYS_setns, fd, (int)flags) < 0)
        return error_sys(err, "join namespaces 0x%llx", (unsigned long long)flags);
    return 0;
}

bool namespace_is_shared(pid_t pid, uint64_t flag)
{
    char mine[32], theirs[48];
    struct stat a, b;

    snprintf(mine, sizeof(mine), "/proc/self/ns/%s", namespace_file(flag) ?: "");
    snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", (int)pid, namespace_file(flag) ?: "");
    if (stat(mine, &a) < 0)
        return true;
    return stat(theirs, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

pid_t namespace_clone(uint64_t flags, int cgroup_fd, int *out_pidfd, struct error *err)
{
    int pidfd = -1;
    struct clone_args arguments = {
        .flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
    };

    if (cgroup_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup_fd;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0)
        return error_sys(err, "clone");
    if (pid > 0)
        *out_pidfd = pidfd;
    return pid;
}
