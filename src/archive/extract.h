/* Archives unpacked into a tree: a build's context, what ADD adds, what is copied into a container.
 * Hostile, the archive and the tree alike: names are looked up in the tree as if it were "/",
 * whatever somebody does to it meanwhile, and everything is counted. */
#ifndef BERTH_ARCHIVE_EXTRACT_H
#define BERTH_ARCHIVE_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/stream.h"
#include "linux/user_namespace.h"

#define EXTRACT_SIZE_LIMIT  (UINT64_C(64) << 30)
#define EXTRACT_COUNT_LIMIT 4000000
#define EXTRACT_RATIO_LIMIT 1000 /* plain to compressed */

struct extract_options {
    const char *path; /* directory of the tree that names are below; NULL: its root */
    /* What the archive calls 'old_name' at the top is unpacked as 'new_name' (NULL: nothing is).
     * "/" stands for names that begin with a slash. */
    const char *old_name, *new_name;
    bool keeps_owners;   /* of the archive; otherwise everything is the caller's */
    bool is_owner_given; /* everything gets uid and gid */
    uid_t uid;
    gid_t gid;
    /* All owners, the caller's too, are numbers inside this table; NULL: they are what they are. */
    const struct id_map *seen_in;
    bool skips_devices;
    bool dresses_root; /* the archive's entry "." says owner, mode and time of the root itself */
    /* Extended attributes that are unpacked; NULL: security.capability and user.* */
    bool (*keeps_xattr)(const char *name);
    bool keeps_kinds; /* no directory gives way to another file, and none takes its place */
    int cancel_fd;    /* -1: none */
};

/* Unpacks a tar, plain or compressed in any way, into the tree 'root_fd'. 'archive' is borrowed. */
int extract_archive(struct stream *archive, int root_fd, const struct extract_options *options,
                    struct error *err);

/* The same for one regular file whose content is not in an archive but in the open file 'from_fd':
 * what would have been its entry (which is spent) makes what it would have made. CONFLICT if the
 * file became shorter than the entry says. */
struct tar_entry;
int extract_file(int from_fd, struct tar_entry *entry, int root_fd,
                 const struct extract_options *options, struct error *err);

/* Does the file hold a tar? Told from its content; the offset is back at the start afterwards. */
bool extract_is_archive(int fd);

#endif
