/* What is in a build context, without the files' content: how a client tells the engine (and the
 * engine itself, between builds) which files there are and whether they have changed. berth's own.
 *
 * One record per directory, regular file and symbolic link, a directory in front of what is in it:
 *
 *   <d|f|l> <mode, octal> <size> <modified, seconds> <identity> <path> NUL   [<link's target> NUL]
 *
 * The identity is any word without blanks which is another one whenever a file may have changed.
 * The engine adds the digest of what it has seen to its own copies: "<identity>,<64 hex>". */
#ifndef BERTH_SPEC_CONTEXT_MANIFEST_H
#define BERTH_SPEC_CONTEXT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"

#define CONTEXT_MANIFEST_SIZE_LIMIT  ((size_t)512 << 20)
#define CONTEXT_MANIFEST_COUNT_LIMIT ((size_t)4 << 20)

enum context_type { CONTEXT_DIRECTORY = 'd', CONTEXT_FILE = 'f', CONTEXT_LINK = 'l' };

struct context_entry {
    enum context_type type;
    mode_t mode; /* permissions */
    int64_t size, modified_s;
    const char *identity, *path;
    const char *target; /* of a link; NULL */
};

void context_manifest_add(struct str *out, const struct context_entry *entry);

/* Entries point into a text that the manifest owns. */
struct context_manifest {
    char *text;
    struct context_entry *entries;
    size_t count;
    struct map by_path; /* path → struct context_entry */
};

/* Reads records; 'text' is taken. INVALID for anything that is not as said above: paths that are
 * not relative and clean, that are there twice, or whose directory is not there before. */
int context_manifest_read(char *text, size_t size, struct context_manifest *out, struct error *err);
void context_manifest_done(struct context_manifest *manifest);
CLEANUP_VALUE(context_manifest_done, struct context_manifest)

/* NULL if there is none. */
const struct context_entry *context_manifest_find(const struct context_manifest *manifest,
                                                  const char *path);

#endif
