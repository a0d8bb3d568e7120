/* What COPY and ADD copy from: a tree (the context, an image, a stage) and the arguments that name
 * something in it. The tree is hostile and looked up in its root only; it does not change
 * meanwhile. */
#ifndef BERTH_BUILD_SOURCE_H
#define BERTH_BUILD_SOURCE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/strv.h"

#define SOURCE_COUNT_LIMIT ((size_t)1 << 20) /* files that one pattern may match */
#define SOURCE_DEPTH_LIMIT 128               /* directories within directories */

struct source {
    char *path;       /* in the tree */
    const char *name; /* last component, borrowed from path */
    bool is_directory;
    char *digest; /* set by source_digest: "file:<hex>" or "dir:<hex>" */
    char *kept;   /* what of the path is kept with --parents, "" for nothing; NULL otherwise */
};

struct sources {
    struct source *items;
    size_t count;
};
void sources_done(struct sources *sources);
CLEANUP_VALUE(sources_done, struct sources)

/* Adds what an argument names: one file or directory, or all that its pattern matches (sorted).
 * NOT_FOUND "stat <argument>: file does not exist" if a plain name is not there; a pattern may
 * match nothing. */
int source_find(int root_fd, const char *argument, struct sources *out, struct error *err);
/* The same of a plain name, in which no character is a wildcard. */
int source_find_plain(int root_fd, const char *name, struct sources *out, struct error *err);
/* The same as source_find, and says which directories of the path are kept: those behind a "/./" in
 * the argument, or all. */
int source_find_kept(int root_fd, const char *argument, struct sources *out, struct error *err);

/* Is a file below a source left out by --exclude? 'path' is relative to the source. */
struct dockerignore;
bool source_is_excluded(const struct dockerignore *excludes, const char *path);
/* A source that is a file itself, which a pattern names by its name or by its path. */
bool source_itself_is_excluded(const struct dockerignore *excludes, const struct source *source);

/* Digests of files' content (64 hex) that need not be worked out again, by path in the tree. */
struct known_digests {
    bool (*find)(void *data, const char *path, char out[65]);
    void (*learn)(void *data, const char *path, const char *hex);
    void *data;
};

/* Sets the digest: names, kinds, modes, link targets, attributes and contents, not times; owners if
 * 'counts_owners' says so. What 'excludes' (NULL: nothing) excludes does not count. 'known' (may be
 * NULL) saves reading files; it is about files without extended attributes. CANCELLED when
 * 'cancel_fd' (-1: none) becomes readable. */
int source_digest(int root_fd, struct source *source, const struct dockerignore *excludes,
                  bool counts_owners, const struct known_digests *known, int cancel_fd,
                  struct error *err);

/* "file:<hex>" of one source, "multi:<hex>" over several. */
char *sources_digest(const struct sources *sources);

/* Sorted names in a directory, without "." and "..". 'fd' is kept. */
int directory_names(int fd, struct strv *out, struct error *err);

/* The extended attributes that are copied: security.capability and user.*, sorted. */
void attribute_names(int fd, struct strv *out);

/* CANCELLED if the descriptor is readable. */
int check_cancelled(int cancel_fd, struct error *err);

#endif
