/* Writing a container's log: output in, lines of a json-file log out, rotated and bounded. What
 * cannot be written (disk full) is dropped: a container never waits for its log. */
#ifndef BERTH_SHIM_LOG_WRITE_H
#define BERTH_SHIM_LOG_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/shim.h"

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAM_COUNT };

struct log_writer;

/* Opens or makes the current file. A line that a crash has torn off at its end is removed. "none"
 * gives NULL, which all functions here accept, unless entries are to be forwarded: then there is no
 * file. INVALID for any driver but "json-file".
 * 'program_fd' (taken; -1: none) is berth-log, which compressing needs. */
int log_writer_open(const struct shim_log_options *options, int program_fd, struct log_writer **out,
                    struct error *err);
/* Entries go there too; taken: closed with the writer. */
struct log_forwarder;
void log_writer_forward(struct log_writer *writer, struct log_forwarder *forwarder);
struct log_forwarder *log_writer_forwarder(struct log_writer *writer); /* NULL: none */
/* A child of this process has ended; false if it had nothing to do with the log. */
bool log_writer_child_ended(struct log_writer *writer, pid_t pid, int status);

/* Adds output that was read at 'wall_ns' (wall clock). Whole lines become entries at once, the rest
 * waits for its newline, for 16 KiB (then it is a partial entry without newline; all parts of a
 * line bear the time of the first) or for log_writer_end. Where a clock was set back by up to
 * LOG_STEP_LIMIT_NS, the time stands still instead. */
void log_writer_add(struct log_writer *writer, enum log_stream stream, const char *data,
                    size_t size, int64_t wall_ns);

/* The stream has ended: what waits is written as it is. */
void log_writer_end(struct log_writer *writer, enum log_stream stream, int64_t wall_ns);

/* Hands everything added to the kernel. To be called after each batch. */
void log_writer_flush(struct log_writer *writer);

/* Gives memory back that is needed only while output comes. */
void log_writer_rest(struct log_writer *writer);

void log_writer_close(struct log_writer *writer); /* flushes */
CLEANUP_POINTER(log_writer_close, struct log_writer)

#endif
