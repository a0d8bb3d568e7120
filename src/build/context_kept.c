/* A name is the digest of the key and of the number of builds that use it already. */
#include "build/context_kept.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "build/context_index.h"
#include "codec/sha256.h"

#include "base/banned.h"

static void take_name(struct context_store *store, const char *key,
                      char out[CONTEXT_NAME_LENGTH + 1])
{
    bool is_taken = false;

    mutex_lock(&store->lock);
    for (int i = 0; !is_taken; i++) {
        CLEANUP(free) char *numbered = xasprintf("%d %s", i, key);
        char digest[DIGEST_SIZE];

        sha256_digest(numbered, strlen(numbered), digest);
        snprintf(out, CONTEXT_NAME_LENGTH + 1, "%c%.*s", CONTEXT_KEPT_PREFIX,
                 CONTEXT_NAME_LENGTH - 1, digest_hex(digest));
        is_taken = !map_has(&store->busy, out);
    }
    map_set(&store->busy, out, NULL);
    mutex_unlock(&store->lock);
}

int context_kept_take(struct context_store *store, const char *key, struct context_kept *out,
                      struct error *err)
{
    struct context_kept kept = { .created_ns = clock_wall_ns() };
    struct context_about about = {};

    take_name(store, key, kept.name);
    kept.path = path_join(store->path, kept.name);
    kept.description = xasprintf("local source for %s", key);
    if (context_about_read(kept.path, &about))
        kept.created_ns = about.created_ns;
    free(about.description);
    about = (struct context_about){ .created_ns = kept.created_ns,
                                    .description = kept.description };
    /* Recorded first: what is not is removed at the next start. */
    if (dir_make(kept.path, 0700, err) < 0 || context_about_write(kept.path, &about, err) < 0) {
        context_kept_give_back(store, &kept, 0);
        return -1;
    }
    *out = kept;
    return 0;
}

void context_kept_give_back(struct context_store *store, struct context_kept *kept,
                            int64_t size_bytes)
{
    struct context_about about = { .size_bytes = size_bytes,
                                   .created_ns = kept->created_ns,
                                   .description = kept->description };

    if (!kept->path)
        return;
    if (size_bytes < 0)
        tree_size(kept->path, &about.size_bytes, NULL);
    context_about_write(kept->path, &about, NULL);
    context_store_release(store, kept->name);
    free(kept->path);
    free(kept->description);
    *kept = (struct context_kept){};
}
