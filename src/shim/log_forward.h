/* The supervisor's end of a log that goes elsewhere: entries wait here until berth-log takes them.
 * What waits is bounded: beyond the limit the container's output is not read, unless entries are to
 * be dropped rather than wait; and when berth-log takes nothing for FORWARD_STALL_MS they are
 * dropped in any case, until it goes on. */
#ifndef BERTH_SHIM_LOG_FORWARD_H
#define BERTH_SHIM_LOG_FORWARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "shim/loop.h"

#define FORWARD_STALL_MS 10000

struct log_forwarder;

struct log_forwarder_options {
    struct loop *loop;
    int program_fd; /* berth-log (taken) */
    const char *settings;
    size_t settings_size;
    size_t limit_bytes;
    bool drops;
    void (*room)(void *data); /* there is room again */
    void *data;
};

/* Starts berth-log and waits until it is connected: its reason otherwise. */
int log_forwarder_new(const struct log_forwarder_options *options, struct log_forwarder **out,
                      struct error *err);
/* NULL is fine for all below. 'text' comes without newline. */
void log_forwarder_add(struct log_forwarder *forwarder, bool is_stderr, bool is_partial,
                       const char *text, size_t size, int64_t wall_ns);
bool log_forwarder_is_full(const struct log_forwarder *forwarder);
uint64_t log_forwarder_deadline(const struct log_forwarder *forwarder); /* 0: none */
void log_forwarder_expire(struct log_forwarder *forwarder, uint64_t now_ns);
/* berth-log has ended (it is started again): false if it was another child. */
bool log_forwarder_ended(struct log_forwarder *forwarder, pid_t pid);
/* Hands over what waits, for a moment, then lets go. */
void log_forwarder_free(struct log_forwarder *forwarder);

#endif
