/* Histories are compared step by step; times do not count, but are taken over. */
#include "build/cache_image.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "build/step.h"

#include "base/banned.h"

static void open_one(struct job *job, const char *name)
{
    CLEANUP(image_unref) struct image *image = NULL;
    struct error why = {};

    if (job_find_image(job, name, &image, &why) < 0) {
        CLEANUP(free) char *line = xasprintf("[Warning] cache-from %s: %s\n", name, why.text);

        output_error_text(&job->head, line, strlen(line));
        outputs_note(&job->outputs, line);
        return;
    }
    job_hold(job, image->chain_id);
    job->cache_images = xrealloc(job->cache_images, job->cache_image_count + 1,
                                 sizeof(struct image *));
    job->cache_images[job->cache_image_count++] = TAKE(image);
}

void cache_images_open(struct job *job)
{
    const struct strv *names = job->options->cache_from;

    for (size_t i = 0; names && !job->options->no_cache && i < names->count; i++)
        open_one(job, names->items[i]);
}

void cache_images_close(struct job *job)
{
    for (size_t i = 0; i < job->cache_image_count; i++)
        image_unref(job->cache_images[i]);
    free(job->cache_images);
    job->cache_images = NULL;
    job->cache_image_count = 0;
}

static const struct image_history *history_at(const struct image_config *image, size_t index)
{
    return &JSON_ITEMS(&image->history, struct image_history)[index];
}

static bool is_same_step(const struct image_history *step, const char *created_by)
{
    return step->created_by && strcmp(step->created_by, created_by) == 0;
}

/* The image's next step if it began as the stage did, and that is the one asked for. */
static const struct image_history *next_step(const struct image_config *image,
                                             const struct image_config *so_far,
                                             const char *created_by)
{
    size_t steps = so_far->history.count, layers = so_far->rootfs.diff_ids.count;

    if (image->history.count <= steps || image->rootfs.diff_ids.count < layers)
        return NULL;
    for (size_t i = 0; i < layers; i++)
        if (strcmp(image->rootfs.diff_ids.items[i], so_far->rootfs.diff_ids.items[i]) != 0)
            return NULL;
    for (size_t i = 0; i < steps; i++)
        if (!is_same_step(history_at(image, i), history_at(so_far, i)->created_by ?: "") ||
            history_at(image, i)->empty_layer != history_at(so_far, i)->empty_layer)
            return NULL;
    const struct image_history *next = history_at(image, steps);
    return is_same_step(next, created_by) &&
                   (next->empty_layer || image->rootfs.diff_ids.count > layers)
               ? next
               : NULL;
}

/* 1: taken over; 0: its layer is not here. */
static int take_over(struct job *job, struct stage *stage, const struct image *image,
                     const struct image_history *step, const char *key, struct error *err)
{
    CLEANUP(cache_entry_done) struct cache_entry entry = {};
    char chain_id[DIGEST_TEXT_SIZE];
    struct layer layer;
    bool has_layer = !step->empty_layer;

    if (has_layer) {
        image_chain_id(&image->config.rootfs.diff_ids, stage->image.rootfs.diff_ids.count + 1,
                       chain_id);
        if (store_layer_get(job->builder->store, chain_id, &layer, NULL) < 0)
            return 0;
        job_hold(job, chain_id);
    }
    stage_commit(stage, step->created_by, has_layer ? &layer : NULL, step->created_ns, &entry);
    mutex_lock(&job->lock);
    job->has_new_entries = true;
    mutex_unlock(&job->lock);
    output_cached(&stage->output);
    return cache_put(job->builder->database, key, &entry, step->created_by,
                     has_layer ? layer.size_bytes : 0, err) < 0
               ? -1
               : 1;
}

int cache_images_probe(struct job *job, struct stage *stage, const char *key,
                       const char *created_by, struct error *err)
{
    if (job->cache_image_count == 0 || stage->is_uncached)
        return 0;
    if (stage_settle(stage, job->builder->database, err) < 0)
        return -1;
    for (size_t i = 0; i < job->cache_image_count; i++) {
        const struct image *image = job->cache_images[i];
        const struct image_history *step = next_step(&image->config, &stage->image, created_by);
        int taken = step ? take_over(job, stage, image, step, key, err) : 0;

        if (taken != 0)
            return taken;
    }
    return 0;
}
