/* A mount of another mount namespace cannot be copied from here. A child enters that namespace,
 * copies it there, and hands the copy back, which belongs to no namespace any more. */
#include "runtime/borrow.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "linux/mount.h"
#include "linux/namespace.h"
#include "linux/path.h"
#include "linux/pidfd.h"
#include "runtime/channel.h"

#include "base/banned.h"

bool borrow_names(const char *source, pid_t *out_pid, const char **out_path)
{
    int pid, length = 0;

    if (sscanf(source, "/proc/%d/root%n", &pid, &length) != 1 || !length || pid <= 0 ||
        source[length] != '/')
        return false;
    *out_pid = pid;
    *out_path = source + length;
    return true;
}

static int copy_there(int pidfd, const char *path, struct error *err)
{
    if (namespace_join(pidfd, CLONE_NEWNS, err) < 0)
        return -1;
    CLEANUP(close) int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_sys(err, "open root");
    /* Links are followed as the container itself would. */
    CLEANUP(close) int fd = path_open(root_fd, path, O_PATH, 0, err);
    return fd < 0 ? -1 : mount_clone(fd, "", true, err);
}

static _Noreturn void child(int pidfd, const char *path, int channel_fd)
{
    struct error err = {};
    int fd = copy_there(pidfd, path, &err);

    channel_send(channel_fd, fd < 0 ? CHANNEL_ERROR : CHANNEL_READY, 0, &err, fd, NULL);
    _exit(0);
}

static int receive_copy(int channel_fd, struct error *err)
{
    struct channel_message message;
    int fd = -1;
    int received = channel_receive(channel_fd, &message, &fd, err);

    if (received < 0)
        return -1;
    if (received == 0 || (message.type == CHANNEL_READY && fd < 0))
        return error_set(err, ERROR_INTERNAL, "the mount was not handed over");
    if (message.type == CHANNEL_READY)
        return fd;
    if (err)
        *err = message.error;
    return -1;
}

int borrow_mount(pid_t pid, const char *path, struct error *err)
{
    CLEANUP(close) int pidfd = pidfd_open_process(pid, err);
    int ends[2], child_pidfd = -1, code;

    if (pidfd < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, "socketpair");
    CLEANUP(close) int own_end = ends[0];
    CLEANUP(close) int their_end = ends[1];
    pid_t copier = namespace_clone(0, -1, &child_pidfd, err);
    if (copier < 0)
        return -1;
    if (copier == 0)
        child(pidfd, path, their_end);
    close(TAKE_FD(their_end));
    int fd = receive_copy(own_end, err);
    pidfd_wait(child_pidfd, &code, NULL);
    close(child_pidfd);
    return fd;
}
