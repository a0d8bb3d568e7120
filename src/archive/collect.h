/* A part of a tree becomes an archive: what is copied out of a container, or exported. */
#ifndef BERTH_ARCHIVE_COLLECT_H
#define BERTH_ARCHIVE_COLLECT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/stream.h"
#include "codec/tar.h"
#include "linux/user_namespace.h"

/* A file that is made here. */
struct collect_text {
    const char *name, *text;
};

struct collect_options {
    /* Name that the top gets in the archive ("x" gives "x", "x/a"…; "/" gives "/", "/a"…). NULL: a
     * directory's content only ("a"…). */
    const char *name;
    bool (*keeps_xattr)(const char *name); /* NULL: security.capability and user.* */
    const struct id_map *seen_in;          /* owners are written as this table's insides; NULL */
    bool with_nanoseconds;                 /* times with fractions of seconds */
    int cancel_fd;                         /* -1: none */
    const struct collect_text *texts;      /* files in front of all others */
    size_t text_count;
    bool is_continued; /* more follows: the archive has no end yet */
};

/* Writes a plain tar of 'name' in the directory 'dir_fd' ("." is that directory itself) with all
 * below it to 'out' (borrowed). No link is followed, sockets are left out, entries that vanish
 * meanwhile are passed over. Anything else that goes wrong ends the archive with an error. */
int collect_tree(int dir_fd, const char *name, const struct collect_options *options,
                 struct stream *out, struct error *err);

/* The entry that an archive of one open, regular file would have, for those who pass on the file
 * itself (extract_file). INVALID for another kind of file. */
int collect_describe(int fd, const char *name, struct tar_entry *out, struct error *err);

/* Bytes of that archive: headers, content, end. */
int collect_size(const struct tar_entry *entry, int64_t *out_size, struct error *err);

#endif
