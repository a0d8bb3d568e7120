/* The files of one log: the current one, and older ones named with ".1" (newest) and up; those may
 * be gzipped (".1.gz"). */
#ifndef BERTH_SHIM_LOG_FILES_H
#define BERTH_SHIM_LOG_FILES_H

#include <stdbool.h>

#define LOG_FILES_LIMIT 1000

/* Name of a file: index 0 is the current one. Yours. */
char *log_file_path(const char *path, int index, bool gzipped);

/* Makes room for a new current file: all move up by one, what would be the 'max_files'th is
 * removed. */
void log_files_rotate(const char *path, int max_files);

#endif
