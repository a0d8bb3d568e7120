/* Directories of RUN --mount=type=cache: kept between builds beside the layers, one row of the
 * record each, written before the directory is made. Safe to use from any thread. */
#ifndef BERTH_BUILD_CACHE_MOUNT_H
#define BERTH_BUILD_CACHE_MOUNT_H

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "base/thread.h"
#include "build/mount_rule.h"
#include "record/database.h"

#define CACHE_MOUNT_NAME_SIZE 40

struct cache_mounts {
    struct database *database;
    char *path; /* directory of all of them */
    struct mutex lock;
    struct condition changed;
    struct map users; /* guarded by lock: name → count of users; < 0: one that has it alone */
};

/* Makes record and disk agree: directories without a row go, rows without a directory too. */
int cache_mounts_open(struct cache_mounts *mounts, struct database *database, const char *data_path,
                      struct error *err);
void cache_mounts_close(struct cache_mounts *mounts);

/* Gives the directory of a rule, waiting (sharing=locked) while somebody else has it. 'is_new':
 * there was none, it is empty. 'out_name' is for giving it back. CANCELLED. */
int cache_mount_take(struct cache_mounts *mounts, const struct mount_rule *rule, const char *target,
                     int cancel_fd, char out_name[CACHE_MOUNT_NAME_SIZE], char **out_path,
                     bool *out_is_new, struct error *err);
void cache_mount_give_back(struct cache_mounts *mounts, const char *name, bool is_exclusive);

struct cache_mount_info {
    char *name, *description;
    int64_t created_ns, used_ns, size_bytes;
    bool in_use;
};
/* All of them; 'out' is freed with cache_mounts_free. Sizes are counted anew. */
int cache_mounts_list(struct cache_mounts *mounts, struct cache_mount_info **out, size_t *out_count,
                      struct error *err);
void cache_mounts_free(struct cache_mount_info *infos, size_t count);

/* Removes one that nobody uses: 1, or 0 if it is in use. */
int cache_mount_remove(struct cache_mounts *mounts, const char *name, struct error *err);

#endif
