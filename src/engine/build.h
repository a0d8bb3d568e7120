/* Building images: the context arrives as an archive, the builder does the rest. */
#ifndef BERTH_ENGINE_BUILD_H
#define BERTH_ENGINE_BUILD_H

#include "base/error.h"
#include "base/stream.h"
#include "build/build.h"
#include "engine/engine.h"

/* Where a build's files come from. */
struct build_input {
    struct stream *archive; /* plain or compressed, hostile; read unless there is a remote */
    const char *remote;     /* build_context_fetch; NULL: none */
    /* Further contexts: name → "docker-image://reference", a remote, or "dir:<n>", which is the
     * directory BUILD_CONTEXTS_NAME/<n> of the archive. May be NULL. */
    const struct map *contexts;
    /* Builds twice, the second time without the cache and on a host of another name, and compares:
     * CONFLICT, with the first file that differs. Without SOURCE_DATE_EPOCH both builds get one. */
    bool is_verified;
};
#define BUILD_CONTEXTS_NAME  ".berth-contexts"
#define BUILD_CONTEXTS_LIMIT 64

/* Brings the files into a temporary directory, builds there and removes the directory again.
 * 'options->context_fd' and 'contexts' are ignored. The results are those of builder_build. */
int engine_build(struct engine *engine, const struct build_input *input,
                 const struct build_options *options, struct build_result *out, struct error *err);

#endif
