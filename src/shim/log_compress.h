/* Compressing the rotated files of a log, one after the other, in a process of its own: neither the
 * container nor anybody at its streams waits for it. */
#ifndef BERTH_SHIM_LOG_COMPRESS_H
#define BERTH_SHIM_LOG_COMPRESS_H

#include <stdbool.h>
#include <sys/types.h>

struct log_compressor;

/* 'program_fd' is berth-log (borrowed). */
struct log_compressor *log_compressor_new(const char *path, int max_files, int program_fd);
/* Begins with the oldest plain one, if there is one and nothing is going on. */
void log_compressor_wake(struct log_compressor *compressor);
/* A child has ended: false if it was not ours. The compressed file takes the place of the plain one
 * under the name that this has by now. */
bool log_compressor_ended(struct log_compressor *compressor, pid_t pid, int status);
void log_compressor_free(
    struct log_compressor *compressor); /* does not wait for what is going on */

#endif
