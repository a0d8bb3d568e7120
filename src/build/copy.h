/* Copying files into an image: from one tree (the context, another image) into a mounted root. Both
 * sides are somebody else's, so every look-up stays in its root. */
#ifndef BERTH_BUILD_COPY_H
#define BERTH_BUILD_COPY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "build/source.h"

struct contents;
struct copy_links;

struct copy {
    int source_root_fd, target_root_fd;
    /* The directory that holds the changes to the target, an overlay: regular files of the source
     * that need not be changed get there by hard links. -1: everything is copied. The target is not
     * to be looked at afterwards through the mount that was written to. */
    int share_root_fd;
    const struct known_digests *known; /* of the source's files, NULL: none */
    struct contents *contents;         /* what is known of those that were shared goes here */
    uid_t uid;                         /* of everything copied, and of directories made for it */
    gid_t gid;
    bool keeps_owners;       /* of what is copied */
    bool is_owner_given;     /* by --chown; otherwise unpacked archives keep their owners */
    const char *mode_change; /* checked text of --chmod, or NULL */
    bool unpacks;            /* ADD: archives are unpacked */
    const struct dockerignore *excludes; /* below a source, NULL: nothing */
    int cancel_fd;                       /* -1: none */
    /* Of copy_source itself; NULL for callers. */
    const char *source_path;
    struct copy_links *links;
};

/* Copies one source to 'target_path', an absolute path in the target root. Of a directory the
 * contents are copied; a file lands in the target if that is a directory or 'is_directory' says it
 * shall be. Modes, times, links and attributes are kept; hard links among what is copied too. */
int copy_source(const struct copy *copy, const struct source *source, const char *target_path,
                bool is_directory, struct error *err);

/* Makes a directory and its missing parents (0755, owned as 'copy' says); gives a descriptor. */
int copy_make_directory(const struct copy *copy, const char *path, struct error *err);

#endif
