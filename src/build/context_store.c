/* What a crash leaves is found by what is missing: an index, or the record of a kept one. */
#include "build/context_store.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/context_index.h"

#include "base/banned.h"

static bool is_kept_name(const char *name)
{
    return name[0] == CONTEXT_KEPT_PREFIX && text_is_hex(name + 1, CONTEXT_NAME_LENGTH - 1);
}

static int by_use(const void *a, const void *b)
{
    const struct context_info *left = a, *right = b;

    return left->used_ns < right->used_ns ? -1 : left->used_ns > right->used_ns;
}

int context_store_list(struct context_store *store, struct context_info **out, size_t *out_count,
                       struct error *err)
{
    DIR *dir = opendir(store->path);
    struct context_info *infos = NULL;
    size_t count = 0;
    struct dirent *entry;

    if (!dir)
        return error_sys(err, "read %s", store->path);
    while ((entry = readdir(dir))) {
        CLEANUP(free) char *path = path_join(store->path, entry->d_name);
        struct context_about about = {};

        if (entry->d_name[0] == '.')
            continue;
        infos = xrealloc(infos, count + 1, sizeof(*infos));
        struct context_info *info = &infos[count++];
        *info = (struct context_info){ .name = xstrdup(entry->d_name) };
        if (context_about_read(path, &about)) {
            info->size_bytes = about.size_bytes;
            info->created_ns = about.created_ns;
            info->used_ns = about.used_ns;
            info->description = about.description;
        }
        mutex_lock(&store->lock);
        info->is_in_use = map_has(&store->busy, entry->d_name);
        mutex_unlock(&store->lock);
    }
    closedir(dir);
    if (count > 0)
        qsort(infos, count, sizeof(*infos), by_use);
    *out = infos;
    *out_count = count;
    return 0;
}

void context_infos_free(struct context_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(infos[i].name);
        free(infos[i].description);
    }
    free(infos);
}

int context_store_remove(struct context_store *store, const char *name, struct error *err)
{
    CLEANUP(free) char *path = NULL;

    if (!text_is_hex(name, CONTEXT_NAME_LENGTH) && !is_kept_name(name))
        return 0;
    mutex_lock(&store->lock);
    bool is_busy = map_has(&store->busy, name);
    if (!is_busy)
        map_set(&store->busy, name, NULL);
    mutex_unlock(&store->lock);
    if (is_busy)
        return 0;
    path = path_join(store->path, name);
    int result = tree_remove(path, err);
    mutex_lock(&store->lock);
    map_remove(&store->busy, name);
    mutex_unlock(&store->lock);
    return result < 0 ? -1 : 1;
}

/* Those unused the longest, until the rest is within the limits. */
static void trim(struct context_store *store)
{
    struct context_info *infos;
    size_t count;
    int64_t total = 0;

    if (context_store_list(store, &infos, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        total += infos[i].size_bytes;
    for (size_t i = 0; i < count; i++)
        if ((total > store->limit_bytes || count - i > CONTEXT_STORE_COUNT_LIMIT) &&
            context_store_remove(store, infos[i].name, NULL) > 0)
            total -= infos[i].size_bytes;
    context_infos_free(infos, count);
}

void context_store_release(struct context_store *store, const char *name)
{
    mutex_lock(&store->lock);
    map_remove(&store->busy, name);
    mutex_unlock(&store->lock);
    trim(store);
}

/* What a crash has left: trees of one build, and those of which it is not known what is in them. */
static void remove_strays(struct context_store *store)
{
    DIR *dir = opendir(store->path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(free) char *path = path_join(store->path, entry->d_name);
        CLEANUP(free)
        char *proof = path_join(path, is_kept_name(entry->d_name) ? "about" : "index");

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (entry->d_name[0] == '.' || !file_exists(proof)))
            tree_remove(path, NULL);
    }
    if (dir)
        closedir(dir);
}

int context_store_open(const char *data_path, int64_t limit_bytes, struct context_store **out,
                       struct error *err)
{
    struct context_store *store = NEW(struct context_store);

    store->path = path_join(data_path, "build-contexts");
    store->limit_bytes = limit_bytes;
    mutex_init(&store->lock);
    map_init_empty(&store->busy, NULL);
    map_init_empty(&store->by_id, NULL);
    if (dir_make(store->path, 0700, err) < 0) {
        context_store_close(store);
        return -1;
    }
    remove_strays(store);
    *out = store;
    return 0;
}

void context_store_close(struct context_store *store)
{
    if (!store)
        return;
    map_done(&store->busy);
    map_done(&store->by_id);
    mutex_done(&store->lock);
    free(store->path);
    free(store);
}
