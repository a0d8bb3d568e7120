/* Building images: the context arrives as an archive, the builder does the rest. */
#ifndef BERTH_ENGINE_BUILD_H
#define BERTH_ENGINE_BUILD_H

#include "base/error.h"
#include "base/stream.h"
#include "build/attest.h"
#include "build/build.h"
#include "build/context_kept.h"
#include "build/context_sync.h"
#include "engine/engine.h"

/* Directories that are there already. They stay as they are: nothing is left out any more. All
 * borrowed. */
struct build_directories {
    int context_fd;
    const struct map *contexts;         /* name → descriptor + 1; may be NULL */
    const struct dockerignore *ignored; /* what was left out of the context; may be NULL */
};

/* Where a build's files come from. */
struct build_input {
    const struct build_directories *directories; /* NULL: none, then one of the two that follow */
    struct stream *archive;      /* plain or compressed, hostile; read unless there is a remote */
    const char *remote;          /* build_context_fetch; NULL: none */
    struct context_sync *synced; /* instead of both; NULL: none */
    /* Further contexts: name → "docker-image://reference", a remote, or "dir:<n>", which is the
     * directory BUILD_CONTEXTS_NAME/<n> of the archive. May be NULL. */
    const struct map *contexts;
    /* Builds twice, the second time without the cache and on a host of another name, and compares:
     * CONFLICT, with the first file that differs. Without SOURCE_DATE_EPOCH both builds get one. */
    bool is_verified;
};
/* What comes along in an archive and is no part of the context: a directory that is taken out of
 * it. It holds further contexts by their numbers, and the Dockerfile if 'options->dockerfile' is
 * the path of a file in it (which is shown under its last name). */
#define BUILD_CONTEXTS_NAME  ".berth-contexts"
#define BUILD_CONTEXTS_LIMIT 64

/* A client's context is brought up to date (build/context_sync.h): compares with what is here, as
 * far as the Dockerfile can need it. With 'wants_all' everything has to come. */
struct context_offer {
    const char *key;
    struct context_manifest *manifest; /* taken */
    const char *dockerfile;            /* its text */
    bool wants_all;
};
int engine_context_begin(struct engine *engine, const struct context_offer *offer,
                         struct context_sync **out, struct error *err);
int engine_context_find(struct engine *engine, const char *id, struct context_sync **out,
                        struct error *err);

/* Brings the files into a temporary directory, builds there and removes the directory again. For
 * several platforms ('options->platform' is a list) the images have no names and are held: they go
 * together into a registry or an output.
 * 'options->context_fd' and 'contexts' are ignored. The results are those of builder_build. */
int engine_build(struct engine *engine, const struct build_input *input,
                 const struct build_options *options, struct build_result *out, struct error *err);

/* What is kept of the context of a client of BuildKit's protocol (build/context_kept.h). */
int engine_context_take(struct engine *engine, const char *key, struct context_kept *out,
                        struct error *err);
void engine_context_give_back(struct engine *engine, struct context_kept *kept, int64_t size_bytes);

#endif
