/* Contexts that are kept are private cache mounts: one directory per build that runs, found by a
 * key that no mount can have. */
#include "base/memory.h"
#include "build/job.h"

#include "base/banned.h"

_Static_assert(BUILD_KEPT_NAME_SIZE == CACHE_MOUNT_NAME_SIZE, "names must fit");

int builder_context_take(struct builder *builder, const char *key, int cancel_fd,
                         struct build_kept *out, struct error *err)
{
    CLEANUP(free) char *id = xstrdup(key);
    const struct mount_rule rule = { .type = MOUNT_CACHE,
                                     .sharing = SHARING_PRIVATE,
                                     .is_context = true,
                                     .id = id,
                                     .is_mode_given = true,
                                     .mode = 0700 };
    bool is_new;

    return cache_mount_take(&builder->cache_mounts, &rule, key, cancel_fd, out->name, &out->path,
                            &is_new, err);
}

void builder_context_give_back(struct builder *builder, struct build_kept *kept)
{
    if (!kept->path)
        return;
    cache_mount_give_back(&builder->cache_mounts, kept->name, true);
    free(kept->path);
    kept->path = NULL;
}
