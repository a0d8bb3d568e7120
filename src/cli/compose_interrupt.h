/* Interrupts while `up` in the foreground still makes and starts containers. As long as it makes
 * them, one ends the command; once they start, it calls the rest of the plan off. */
#ifndef BERTH_CLI_COMPOSE_INTERRUPT_H
#define BERTH_CLI_COMPOSE_INTERRUPT_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/thread.h"

enum { EXIT_INTERRUPTED = 130 };

struct compose_interrupt {
    int signal_fd; /* of the blocked signals, borrowed */
    int end_fd;
    pthread_t thread;
    atomic_bool has_begun;     /* containers are being started */
    atomic_bool is_called_off; /* an interrupt came since */
};

/* Begins to read 'signal_fd' in a thread of its own. */
int compose_interrupt_watch(struct compose_interrupt *interrupt, int signal_fd, struct error *err);
/* Ends that: what comes from here on is for the caller to read, and so is every further one after
 * the first that called the plan off. */
void compose_interrupt_end(struct compose_interrupt *interrupt);

/* "Gracefully Stopping...", over the "^C" that terminals show. */
void compose_interrupt_say(void);

#endif
