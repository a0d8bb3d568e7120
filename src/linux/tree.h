/* Whole directory trees: walking and copying them. Nothing recurses and few descriptors are open at
 * a time, so that no depth of directories is too deep; no link is followed. */
#ifndef BERTH_LINUX_TREE_H
#define BERTH_LINUX_TREE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

struct tree_entry {
    int dir_fd;       /* of the directory that it is in */
    const char *name; /* there */
    const char *path; /* from the root of the walk, without a leading '/' */
    struct stat status;
};

struct tree_visitor {
    /* Called for every entry; 1 for a directory: its content is passed over. */
    int (*enter)(void *data, const struct tree_entry *entry, struct error *err);
    /* Called for a directory after its content. May be NULL. */
    int (*leave)(void *data, const struct tree_entry *entry, struct error *err);
};

/* Visits all below 'root_fd' (not itself), each directory's entries sorted by byte. Entries that
 * vanish meanwhile are passed over; CONFLICT if directories are moved under the walker. */
int tree_walk(int root_fd, const struct tree_visitor *visitor, void *data, struct error *err);

struct tree_copy {
    /* Asked for every extended attribute; NULL keeps all but trusted.overlay.*. */
    bool (*keeps_xattr)(const char *name);
    /* Called before an entry is copied; 1: it is passed over with all below it. May be NULL. */
    int (*enter)(void *data, const struct tree_entry *entry, struct error *err);
    /* Called when a directory's content is copied, before its attributes are. 1: the copy is not
     * wanted, its attributes are left alone. May be NULL. */
    int (*leave)(void *data, const struct tree_entry *entry, struct error *err);
    /* Asked before each file's content is copied. 1: the caller is going to do that afterwards,
     * with duplicates of these descriptors; the copy gets its size and its attributes now. May be
     * NULL. */
    int (*put_off)(void *data, const char *path, int from_fd, int to_fd, off_t size);
    void *data;
    /* The caller is going to wait until all is on disk: the disk begins at once, and works while
     * the caller does. */
    bool is_kept;
};

/* Copies all below 'from_fd' into the directory 'to_fd': owners, modes, times, extended attributes,
 * hard links among the copied, devices, holes of sparse files. Sockets are left out. What is in the
 * way at the target is replaced, except that directories are merged. 'options' may be NULL. */
int tree_copy(int from_fd, int to_fd, const struct tree_copy *options, struct error *err);

/* Copies owner, mode, extended attributes (those that 'keeps' wants) and times from one open file
 * or directory to another. */
int tree_copy_attributes(int from_fd, int to_fd, bool (*keeps)(const char *name),
                         struct error *err);

/* Tells the file system that the trees which begin in this directory have nothing to do with each
 * other. ext4 puts a new tree close to where it begins, and there it looks at each inode that was
 * freed in the last minutes: most of the time of many small files that come after a removal. With
 * the mark each tree begins somewhere else. Other file systems may refuse it. */
void tree_spread(const char *path);

#endif
