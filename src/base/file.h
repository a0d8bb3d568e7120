/* Files and directories of ours: paths here are the engine's own, never a path that a container or
 * a client chose (those go through linux/path.h). Descriptors returned are O_CLOEXEC. */
#ifndef BERTH_BASE_FILE_H
#define BERTH_BASE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/file.h"
#include "base/str.h"

char *path_join(const char *a, const char *b); /* with exactly one '/' between them */
char *path_absolute(const char *path); /* against the working directory; cleaned by path_clean */
char *
path_clean(const char *path); /* lexically: no "//", "." or "..", no trailing '/'; "/.." is "/" */
const char *path_base(const char *path); /* behind the last '/' (borrowed) */

/* Reads a whole file of at most 'limit' bytes. NOT_FOUND if there is none, INVALID if it is larger.
 */
int file_read(const char *path, size_t limit, struct str *out, struct error *err);
int file_read_fd(int fd, size_t limit, struct str *out, struct error *err);

/* Replaces a file in one step (temporary name, then rename); 'sync' also forces it to disk. */
int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode, bool sync,
                      struct error *err);

/* Forces to disk that the name is there, or gone: the directory above it. */
int parent_sync(const char *path, struct error *err);

/* Writes to an existing file (a kernel file: one write call). */
int file_write_existing(const char *path, const char *text, struct error *err);

/* Writes or reads everything, over short counts and EINTR. fd_read_full stops early only at the end
 * of the file. */
int fd_write_all(int fd, const void *data, size_t size, struct error *err);
ssize_t fd_read_full(int fd, void *data, size_t size, struct error *err);

/* Would a read return at once, with bytes, the end or an error? Never waits; -1 is never readable.
 * So is asked whether a cancel descriptor has called something off. */
bool fd_is_readable(int fd);

bool file_exists(const char *path);

/* Makes a directory and its missing parents; one that is there already is fine. */
int dir_make(const char *path, mode_t mode, struct error *err);

/* Removes a file or a directory with all below it, crossing no mount, following no symlink. Absent
 * is fine. */
int tree_remove(const char *path, struct error *err);
int tree_remove_at(int dir_fd, const char *name, struct error *err);
/* The same, called off (CANCELLED) when the flag is set: a part of it is left. */
int tree_remove_until(const char *path, const atomic_bool *is_called_off, struct error *err);

/* What a tree occupies, each inode once, crossing no mount. */
struct tree_usage {
    int64_t size_bytes; /* of its regular files, as they are read, and of symbolic links */
    int64_t disk_bytes; /* of all inodes and of the directory itself: what du counts */
};
/* 'path' is a directory or a file. What vanishes meanwhile is passed over. */
int tree_usage(const char *path, struct tree_usage *out, struct error *err);
/* The same, called off (CANCELLED) when the flag is set. */
int tree_usage_until(const char *path, const atomic_bool *is_called_off, struct tree_usage *out,
                     struct error *err);
int tree_size(const char *path, int64_t *out_bytes, struct error *err); /* size_bytes alone */

#endif
