/* The options of a mount in a runtime configuration, sorted by what they are for. */
#ifndef BERTH_LINUX_MOUNT_OPTIONS_H
#define BERTH_LINUX_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

struct mount_options {
    uint64_t set, clear;                     /* MOUNT_ATTR_* of the mount itself */
    uint64_t recursive_set, recursive_clear; /* of all below too ("rro") */
    uint64_t propagation;                    /* MS_PRIVATE…, 0: not said */
    bool propagation_recursive;
    bool is_bind, is_recursive;
    bool is_read_only;
    struct strv data; /* for the filesystem: "mode=755", "newinstance" */
};

/* INVALID for two that exclude each other in this runtime (remount); anything unknown is data. */
int mount_options_parse(const struct strv *words, struct mount_options *out, struct error *err);
void mount_options_done(struct mount_options *options);
CLEANUP_VALUE(mount_options_done, struct mount_options)

/* MS_… and whether it starts with 'r' for a word of propagation; false for any other word. */
bool mount_propagation_parse(const char *word, uint64_t *out, bool *out_recursive);

#endif
