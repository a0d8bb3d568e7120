/* The files of one log: the current one, and older ones named with ".1" (newest) and up; those may
 * be gzipped (".1.gz"). */
#ifndef BERTH_SHIM_LOG_FILES_H
#define BERTH_SHIM_LOG_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define LOG_FILES_LIMIT 1000
/* How far a clock may go back without a trace in times. */
#define LOG_STEP_LIMIT_NS (10 * NS_PER_S)

/* What tells one file of a log from all others, also after it was compressed: a gzipped file bears
 * in its head what the plain one was. An inode's number alone may come back. */
struct log_identity {
    uint64_t inode;
    int64_t born_ns; /* 0: the file system does not know */
};
bool log_identity_equal(const struct log_identity *a, const struct log_identity *b);
/* Of an open file. A gzipped one that another program made is what it is itself. */
bool log_identity_read(int fd, bool gzipped, struct log_identity *out);
/* Of what a name says; false if there is no such file. */
bool log_identity_find(const char *path, int index, bool gzipped, struct log_identity *out);

/* Name of a file: index 0 is the current one. Yours. */
char *log_file_path(const char *path, int index, bool gzipped);

/* Makes room for a new current file: all move up by one, what would be the 'max_files'th is
 * removed. */
void log_files_rotate(const char *path, int max_files);

#endif
