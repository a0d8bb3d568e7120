/* Changes of files below some directories, told by the kernel (inotify). */
#ifndef BERTH_CLI_FILE_WATCH_H
#define BERTH_CLI_FILE_WATCH_H

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"

struct file_watch;

/* 'skips' says of directories that need not be looked at; may be NULL. */
int file_watch_open(bool (*skips)(void *data, const char *directory), void *data,
                    struct file_watch **out, struct error *err);
void file_watch_close(struct file_watch *watch);
CLEANUP_POINTER(file_watch_close, struct file_watch)

/* Watches a file, or a directory with all below it, those that come later too. A path that is not
 * there yet is watched by its parent, which has to be. UNAVAILABLE with a remedy when the kernel's
 * limit of watches is reached. */
int file_watch_add(struct file_watch *watch, const char *path, struct error *err);

/* Readable when something changed. */
int file_watch_fd(const struct file_watch *watch);

/* Adds the absolute paths that changed (came, were written, went) to 'out' (values are not used).
 * After the kernel lost count, everything that is there. */
int file_watch_read(struct file_watch *watch, struct map *out, struct error *err);

/* Adds everything that is there below what is watched. */
int file_watch_list(struct file_watch *watch, struct map *out, struct error *err);

#endif
