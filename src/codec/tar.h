/* Tar archives, read (by libarchive) and written as a sequence of entries. Nothing here touches the
 * file system. Names are as in the archive: hostile until somebody resolved them (store/unpack.c
 * does). */
#ifndef BERTH_CODEC_TAR_H
#define BERTH_CODEC_TAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/map.h"
#include "base/stream.h"

#define TAR_NAME_LIMIT  4096                /* longer names and link targets are INVALID */
#define TAR_XATTR_LIMIT ((size_t)64 * 1024) /* all attributes of one entry together */

enum tar_type {
    TAR_FILE,
    TAR_DIRECTORY,
    TAR_SYMLINK,
    TAR_HARDLINK,
    TAR_CHARACTER_DEVICE,
    TAR_BLOCK_DEVICE,
    TAR_FIFO,
    TAR_OTHER, /* sockets and what we do not know */
};

struct tar_xattr {
    char *name;
    void *value;
    size_t size;
};

/* Zero it before use; tar_entry_done frees it. */
struct tar_entry {
    char *name;
    char *link_target; /* of symbolic and hard links */
    enum tar_type type;
    mode_t mode; /* permission bits with setuid, setgid and sticky */
    int64_t uid, gid;
    int64_t size; /* of the content that follows, 0 for all but TAR_FILE */
    int64_t mtime_s;
    int64_t mtime_ns; /* fraction */
    unsigned device_major, device_minor;
    struct tar_xattr *xattrs;
    size_t xattr_count;
};
void tar_entry_done(struct tar_entry *entry);
CLEANUP_VALUE(tar_entry_done, struct tar_entry)

/* Reads from 'stream' (taken), which holds a plain tar: put stream_inflate in front of it. */
struct tar_reader;
struct tar_reader *tar_reader_new(struct stream *stream, struct error *err);
/* 1: 'entry' (which is done and filled anew) is next; 0: the archive is over, and the stream was
 * read to its end, so that a hash over it is complete. INVALID for a broken archive ("unexpected
 * EOF" when it is cut, "archive/tar: invalid tar header" for what is none). */
int tar_reader_next(struct tar_reader *reader, struct tar_entry *entry, struct error *err);
/* Content of the current entry in blocks: 1 and a block at 'offset' (holes of sparse files are
 * skipped), 0 at its end. */
int tar_reader_block(struct tar_reader *reader, const void **out_data, size_t *out_size,
                     int64_t *out_offset, struct error *err);
void tar_reader_free(struct tar_reader *reader);
CLEANUP_POINTER(tar_reader_free, struct tar_reader)

/* Writes to 'stream' (borrowed): pax headers only where an entry needs them (long names, xattrs as
 * SCHILY.xattr, large numbers, and sub-second times when 'with_nanoseconds'); equal entries give
 * equal bytes. Directories get a trailing slash. TAR_OTHER is UNSUPPORTED. */
struct tar_writer;
struct tar_writer *tar_writer_new(struct stream *stream, bool with_nanoseconds, struct error *err);
int tar_writer_entry(struct tar_writer *writer, const struct tar_entry *entry, struct error *err);
int tar_writer_data(struct tar_writer *writer, const void *data, size_t size,
                    struct error *err);                             /* entry->size in all */
int tar_writer_file(struct tar_writer *writer, int fd, size_t size, /* from its offset on */
                    struct error *err);
/* The current entry is complete: what fills its last record is written now, not with what follows.
 */
int tar_writer_end(struct tar_writer *writer, struct error *err);
/* The current entry's content, filled up to a record, goes another way. */
void tar_writer_skip(struct tar_writer *writer);
int tar_writer_finish(struct tar_writer *writer, struct error *err);
void tar_writer_free(struct tar_writer *writer);
CLEANUP_POINTER(tar_writer_free, struct tar_writer)

#endif
