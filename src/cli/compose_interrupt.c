/* A thread that waits for a signal in place of the one that carries the plan out. */
#include "cli/compose_interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/terminal.h"

#include "base/banned.h"

void compose_interrupt_say(void)
{
    fprintf(stderr, "%sGracefully Stopping... press Ctrl+C again to force\n",
            terminal_is(STDERR_FILENO) ? "\r" : "");
}

static void *watch(void *data)
{
    struct compose_interrupt *interrupt = data;

    for (;;) {
        struct pollfd fds[] = { { .fd = interrupt->end_fd, .events = POLLIN },
                                { .fd = interrupt->signal_fd, .events = POLLIN } };
        struct signalfd_siginfo info;

        if (poll(fds, COUNT(fds), -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[0].revents)
            return NULL;
        if (!fds[1].revents || read(interrupt->signal_fd, &info, sizeof(info)) <= 0)
            continue;
        if (!atomic_load(&interrupt->has_begun)) { /* nothing runs yet that would be stopped */
            fflush(NULL);
            _exit(EXIT_INTERRUPTED);
        }
        compose_interrupt_say();
        atomic_store(&interrupt->is_called_off, true);
        return NULL;
    }
}

int compose_interrupt_watch(struct compose_interrupt *interrupt, int signal_fd, struct error *err)
{
    *interrupt = (struct compose_interrupt){ .signal_fd = signal_fd };
    interrupt->end_fd = eventfd(0, EFD_CLOEXEC);
    if (interrupt->end_fd < 0)
        return error_sys(err, "eventfd");
    if (thread_start("interrupt", watch, interrupt, &interrupt->thread, err) == 0)
        return 0;
    close_cleanup(&interrupt->end_fd);
    return -1;
}

void compose_interrupt_end(struct compose_interrupt *interrupt)
{
    eventfd_write(interrupt->end_fd, 1);
    pthread_join(interrupt->thread, NULL);
    close_cleanup(&interrupt->end_fd);
}
