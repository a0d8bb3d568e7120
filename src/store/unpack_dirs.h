/* Directories of a tree that is being unpacked: found and made inside its root, the last used ones
 * kept open, since neighbours in an archive are mostly neighbours on disk. */
#ifndef BERTH_STORE_UNPACK_DIRS_H
#define BERTH_STORE_UNPACK_DIRS_H

#include <time.h>

#include "base/map.h"
#include "base/strv.h"
#include "store/unpack.h"

#define OPEN_DIRECTORY_LIMIT 24
#define TIME_COUNT_LIMIT     65536 /* directories whose times wait */
#define BARE_COUNT_LIMIT     16384 /* directories whose attributes wait */

struct unpack_dirs {
    const struct unpack *options;
    struct {
        char *path;
        int fd;
    } open[OPEN_DIRECTORY_LIMIT]; /* last used first */
    size_t open_count;
    struct strv timed;       /* directories… */
    struct timespec *mtimes; /* …that get these times at the end */
    size_t mtime_capacity;
    struct map bare; /* directories that were made without being described; a value: they are now */
};

/* The directory 'path' ("" is the root), made with what is above it if missing. The descriptor
 * stays open for this call and the next. */
int unpack_dirs_open(struct unpack_dirs *dirs, const char *path, bool make, struct error *err);
/* Remembers an open directory; 'fd' is taken. */
void unpack_dirs_add(struct unpack_dirs *dirs, const char *path, int fd);
/* Forgets all that is open: a directory or link was replaced. */
void unpack_dirs_forget(struct unpack_dirs *dirs);

/* The archive says itself what the directory looks like. */
void unpack_dirs_described(struct unpack_dirs *dirs, const char *path);

/* Times of directories are set at the end, when nothing is created in them any more. */
void unpack_dirs_set_mtime(struct unpack_dirs *dirs, const char *path, struct timespec mtime);
/* Gives directories that were not described the looks of those below, and all their times. */
int unpack_dirs_settle(struct unpack_dirs *dirs, struct error *err);

void unpack_dirs_done(struct unpack_dirs *dirs);
CLEANUP_VALUE(unpack_dirs_done, struct unpack_dirs)

#endif
