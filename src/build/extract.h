/* Archives unpacked into a directory: the context, and what ADD adds. Hostile: names are resolved
 * in the directory as if it were "/", and everything is counted. */
#ifndef BERTH_BUILD_UNPACK_H
#define BERTH_BUILD_UNPACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/stream.h"

#define UNPACK_SIZE_LIMIT  (UINT64_C(64) << 30)
#define UNPACK_COUNT_LIMIT 4000000
#define UNPACK_RATIO_LIMIT 1000 /* plain to compressed */

struct unpack_options {
    bool keeps_owners;   /* of the archive; otherwise everything is the caller's */
    bool is_owner_given; /* everything gets uid and gid */
    uid_t uid;
    gid_t gid;
    const char *mode_change; /* checked text of --chmod, or NULL */
    bool skips_devices;
    int cancel_fd; /* -1: none */
};

/* Unpacks a tar, plain or compressed in any way. 'archive' is borrowed. */
int unpack_archive(struct stream *archive, int directory_fd, const struct unpack_options *options,
                   struct error *err);

/* Does the file hold a tar? Told from its content; the offset is back at the start afterwards. */
bool unpack_is_archive(int fd);

#endif
