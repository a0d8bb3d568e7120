/* The wire between a parent and the init (or exec'd process) that it cloned: whole messages over a
 * seqpacket socket. All of it is listed here. */
#ifndef BERTH_RUNTIME_CHANNEL_H
#define BERTH_RUNTIME_CHANNEL_H

#include <stdint.h>

#include "base/error.h"

enum channel_message_type {
    CHANNEL_ERROR = 1, /* either way: 'error' says what failed; the child then exits */
    CHANNEL_GO,        /* to the child: ids are mapped (number: its pid outside) */
    CHANNEL_HOOKS,     /* to the parent: all is mounted, run your hooks; answered by GO or ERROR */
    CHANNEL_TERMINAL,  /* to the parent: the descriptor of the terminal's other side */
    CHANNEL_READY,     /* to the parent: waiting for START */
    CHANNEL_START,     /* to the child: exec. Answered by ERROR, or by the end of the stream */
};

struct channel_message {
    uint32_t type;
    int32_t number;
    struct error error;
};

/* 'passed_fd' -1: none. */
int channel_send(int fd, enum channel_message_type type, int32_t number, const struct error *error,
                 int passed_fd, struct error *err);

/* 1 with a message, 0 at the end of the stream, -1 on failure. *out_fd is the descriptor that came
 * along or -1 (NULL: none is wanted). */
int channel_receive(int fd, struct channel_message *out, int *out_fd, struct error *err);

#endif
