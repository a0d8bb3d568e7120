/* The keys of steps that were carried out without the cache. */
#include "base/memory.h"
#include "base/thread.h"
#include "build/job.h"

#include "base/banned.h"

struct build_group {
    struct mutex lock;
    struct map keys GUARDED_BY(lock);
};

struct build_group *build_group_new(void)
{
    struct build_group *group = NEW(struct build_group);

    mutex_init(&group->lock);
    map_init_empty(&group->keys, NULL);
    return group;
}

void build_group_free(struct build_group *group)
{
    if (!group)
        return;
    map_done(&group->keys);
    mutex_done(&group->lock);
    free(group);
}

void build_group_add(struct build_group *group, const char *key)
{
    if (!group)
        return;
    mutex_lock(&group->lock);
    map_set(&group->keys, key, NULL);
    mutex_unlock(&group->lock);
}

bool build_group_has(struct build_group *group, const char *key)
{
    if (!group)
        return false;
    mutex_lock(&group->lock);
    bool has = map_has(&group->keys, key);
    mutex_unlock(&group->lock);
    return has;
}
