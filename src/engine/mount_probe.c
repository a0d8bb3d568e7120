/* A thread of its own looks; one that is stuck is left to itself, and ends when what it looks at
 * does. */
#include "engine/mount_probe.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

enum { ANSWER_LIMIT_S = 10 };

struct probe {
    struct mutex lock;
    struct condition changed;
    char *path;
    int users; /* who looks, and who waits for it */
    bool is_done, exists;
};

static void leave(struct probe *probe)
{
    mutex_lock(&probe->lock);
    bool is_last = --probe->users == 0;
    mutex_unlock(&probe->lock);
    if (!is_last)
        return;
    mutex_done(&probe->lock);
    condition_done(&probe->changed);
    free(probe->path);
    free(probe);
}

static void *look(void *data)
{
    struct probe *probe = data;
    bool exists = file_exists(probe->path);

    mutex_lock(&probe->lock);
    probe->exists = exists;
    probe->is_done = true;
    condition_broadcast(&probe->changed);
    mutex_unlock(&probe->lock);
    leave(probe);
    return NULL;
}

int mount_probe(const char *path, bool *out_exists, struct error *err)
{
    uint64_t deadline_ns = clock_monotonic_ns() + ANSWER_LIMIT_S * (uint64_t)NS_PER_S;
    struct probe *probe = NEW(struct probe);
    int result = 0;

    mutex_init(&probe->lock);
    condition_init(&probe->changed);
    probe->path = xstrdup(path);
    probe->users = 2;
    if (thread_start_detached("probe", look, probe, err) < 0) {
        leave(probe);
        leave(probe);
        return -1;
    }
    mutex_lock(&probe->lock);
    while (!probe->is_done && condition_wait_until(&probe->changed, &probe->lock, deadline_ns))
        ;
    if (probe->is_done)
        *out_exists = probe->exists;
    else
        result = error_set(err, ERROR_UNAVAILABLE, "%s does not answer within %d s", path,
                           ANSWER_LIMIT_S);
    mutex_unlock(&probe->lock);
    leave(probe);
    return result;
}
