/* Archives unpacked into a directory: the context, and what ADD adds. Hostile: names are resolved
 * in the directory as if it were "/", and everything is counted. */
#ifndef BERTH_BUILD_EXTRACT_H
#define BERTH_BUILD_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/stream.h"

#define EXTRACT_SIZE_LIMIT  (UINT64_C(64) << 30)
#define EXTRACT_COUNT_LIMIT 4000000
#define EXTRACT_RATIO_LIMIT 1000 /* plain to compressed */

struct extract_options {
    bool keeps_owners;   /* of the archive; otherwise everything is the caller's */
    bool is_owner_given; /* everything gets uid and gid */
    uid_t uid;
    gid_t gid;
    const char *mode_change; /* checked text of --chmod, or NULL */
    bool skips_devices;
    int cancel_fd; /* -1: none */
};

/* Unpacks a tar, plain or compressed in any way. 'archive' is borrowed. */
int extract_archive(struct stream *archive, int directory_fd, const struct extract_options *options,
                    struct error *err);

/* Does the file hold a tar? Told from its content; the offset is back at the start afterwards. */
bool extract_is_archive(int fd);

#endif
