/* Files of a kept context: what a manifest lists, made, removed and filled in below a directory. */
#ifndef BERTH_BUILD_CONTEXT_TREE_H
#define BERTH_BUILD_CONTEXT_TREE_H

#include "base/stream.h"
#include "spec/context_manifest.h"

#define CONTEXT_BLOCK_SIZE ((size_t)256 * 1024)

/* Where in a tree work goes on: entries of one directory follow each other, so it is looked up
 * once. 'root_fd' is borrowed; 'fd' begins as -1. */
struct context_place {
    int root_fd, fd;
    char *path;
};
void context_place_done(struct context_place *place);
CLEANUP_VALUE(context_place_done, struct context_place)

int context_remove_entry(struct context_place *place, const struct context_entry *entry,
                         struct error *err); /* absent is fine */
int context_make_link(struct context_place *place, const struct context_entry *entry,
                      struct error *err);
int context_make_directory(struct context_place *place, const struct context_entry *entry,
                           struct error *err); /* one that is there is fine */
/* The file of another tree, as it is. */
bool context_link_file(struct context_place *from, struct context_place *to,
                       const struct context_entry *entry);
/* A new file out of as many bytes as its entry says; 'block' has CONTEXT_BLOCK_SIZE. */
int context_receive_file(struct context_place *place, const struct context_entry *entry,
                         struct stream *content, char *block, struct error *err);

/* Modes and times of directories, when nothing is put into them any more. */
int context_settle_directories(int tree_fd, const struct context_manifest *manifest,
                               struct error *err);

#endif
