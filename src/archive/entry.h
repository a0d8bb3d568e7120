/* A file of a tree as an entry of an archive. The tree may be somebody else's who changes it
 * meanwhile: files are opened without following a link or waiting for a pipe's other end, and what
 * was opened is looked at again. */
#ifndef BERTH_ARCHIVE_ENTRY_H
#define BERTH_ARCHIVE_ENTRY_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/map.h"
#include "codec/tar.h"

/* What lstat says: kind, mode, owner, size, time, device. Name, target and attributes are not
 * touched. Sockets become TAR_OTHER. */
void entry_describe(const struct stat *status, struct tar_entry *entry);

/* Opens a file or directory for reading. CONFLICT if it is of another kind than 'status' says. */
int entry_open(int dir_fd, const char *name, const struct stat *status, struct error *err);

/* Adds the extended attributes that 'keeps' wants, sorted by name. */
int entry_read_xattrs(int fd, bool (*keeps)(const char *name), struct tar_entry *entry,
                      struct error *err);

/* Sets the target of a symbolic link. */
int entry_read_link(int dir_fd, const char *name, struct tar_entry *entry, struct error *err);

/* Hard links among the files of one archive: the first name of a file gets its content, the others
 * become links to it. Past a number of names a file that has several is written again. */
struct entry_links {
    struct map first; /* "device:inode" → name */
};
bool entry_becomes_link(struct entry_links *links, const struct stat *status, const char *name,
                        struct tar_entry *entry);
void entry_links_done(struct entry_links *links);
CLEANUP_VALUE(entry_links_done, struct entry_links)

#endif
