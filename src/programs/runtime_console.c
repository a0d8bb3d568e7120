/* One poll loop over signals, the process, and the two sides of a terminal. */
#include "programs/runtime_console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/descriptor.h"
#include "base/file.h"
#include "linux/pidfd.h"
#include "linux/pty.h"

#include "base/banned.h"

enum { CHUNK = 8192 };

int console_send(const char *socket_path, int console_fd, struct error *err)
{
    static const char name[] = "/dev/ptmx";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(socket_path) >= sizeof(address.sun_path))
        return error_set(err, ERROR_INVALID, "console socket path is too long");
    memcpy(address.sun_path, socket_path, strlen(socket_path));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, "console socket %s", socket_path);
    if (descriptor_send(fd, name, sizeof(name) - 1, console_fd, err) < 0)
        return error_context(err, "console to %s", socket_path);
    return 0;
}

int console_catch_signals(struct error *err)
{
    sigset_t set;

    sigfillset(&set);
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGBUS);
    sigdelset(&set, SIGABRT);
    sigdelset(&set, SIGFPE);
    sigdelset(&set, SIGILL);
    sigdelset(&set, SIGTSTP);
    sigdelset(&set, SIGTTIN);
    sigdelset(&set, SIGTTOU);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : error_sys(err, "signalfd");
}

static void pass_signals(struct container *container, int signal_fd)
{
    struct signalfd_siginfo info;

    while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGWINCH && container->console_fd >= 0)
            pty_copy_size(0, container->console_fd);
        else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGURG && info.ssi_signo != SIGPIPE)
            pidfd_signal(container->pidfd, (int)info.ssi_signo, NULL);
    }
}

/* False when the source has nothing more to give. */
static bool copy_some(int from_fd, int to_fd)
{
    char bytes[CHUNK];
    ssize_t size = read(from_fd, bytes, sizeof(bytes));

    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    return size > 0 && fd_write_all(to_fd, bytes, (size_t)size, NULL) == 0;
}

static void relay(struct container *container, int signal_fd)
{
    struct pollfd pollers[] = {
        { .fd = signal_fd, .events = POLLIN },
        { .fd = container->pidfd, .events = POLLIN },
        { .fd = container->console_fd, .events = POLLIN },
        { .fd = container->console_fd >= 0 ? 0 : -1, .events = POLLIN },
    };
    bool ended = false;

    /* What the process left in its terminal is read to the end. */
    while (!ended || pollers[2].fd >= 0) {
        int ready = poll(pollers, 4, ended ? 100 : -1);

        if (ready == 0 && ended)
            break;
        if (ready < 0 && errno != EINTR)
            break;
        if (pollers[0].revents)
            pass_signals(container, signal_fd);
        if (pollers[2].revents && !copy_some(container->console_fd, 1))
            pollers[2].fd = -1;
        if (pollers[3].revents && !copy_some(0, container->console_fd))
            pollers[3].fd = -1;
        if (pollers[1].revents) {
            ended = true;
            pollers[1].fd = -1;
            pollers[3].fd = -1;
        }
    }
}

int console_wait(struct container *container, int signal_fd, int *out_code, struct error *err)
{
    struct termios old;
    bool is_raw = container->console_fd >= 0 && pty_make_raw(0, &old, NULL) == 0;

    if (container->console_fd >= 0)
        pty_copy_size(0, container->console_fd);
    relay(container, signal_fd);
    if (is_raw)
        pty_restore(0, &old);
    return pidfd_wait(container->pidfd, out_code, err);
}
