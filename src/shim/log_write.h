/* Writing a container's log: output in, lines of a json-file log out, rotated and bounded. What
 * cannot be written (disk full) is dropped: a container never waits for its log. */
#ifndef BERTH_SHIM_LOG_WRITE_H
#define BERTH_SHIM_LOG_WRITE_H

#include <stdint.h>

#include "shim/shim.h"

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAM_COUNT };

struct log_writer;

/* Opens or makes the current file. A line that a crash has torn off at its end is removed.
 * "json-file" and "local" are both kept as json-file; "none" gives NULL, which all functions here
 * accept. INVALID for any other driver. */
int log_writer_open(const struct shim_log_options *options, struct log_writer **out,
                    struct error *err);

/* Adds output that was read at 'wall_ns' (wall clock). Whole lines become entries at once, the rest
 * waits for its newline, for 16 KiB (then it is a partial entry without newline; all parts of a
 * line bear the time of the first) or for log_writer_end. */
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
