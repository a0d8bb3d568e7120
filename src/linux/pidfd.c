/* pidfd_open, pidfd_send_signal, waitid, poll. */
#include "linux/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"

#include "base/banned.h"

#ifndef P_PIDFD
#define P_PIDFD ((idtype_t)3)
#endif

int pidfd_open_process(pid_t pid, struct error *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0) {
        int number = errno;

        error_sys(err, "process %d", (int)pid);
        if (err && number == ESRCH)
            err->kind = ERROR_NOT_FOUND;
    }
    return fd;
}

int pidfd_signal(int pidfd, int signal, struct error *err)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0)
        return 0;
    if (errno == ESRCH)
        return error_set(err, ERROR_NOT_FOUND, "process already finished");
    return error_sys(err, "send signal %d", signal);
}

int pidfd_wait(int pidfd, int *out_code, struct error *err)
{
    siginfo_t info = {};

    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
        if (errno != EINTR)
            return error_sys(err, "wait");
    *out_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return 0;
}

bool pidfd_has_ended(int pidfd)
{
    return fd_is_readable(pidfd);
}

uint64_t process_start_time(pid_t pid)
{
    char path[32], text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (length <= 0)
        return 0;
    text[length] = 0;
    /* Field 2 is a name that may hold anything: count from its last ')'. Field 22 is wanted. */
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}
