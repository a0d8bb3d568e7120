/* Histories are compared step by step; times do not count, but are taken over. */
#include "build/cache_image.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/step.h"
#include "codec/sha256.h"
#include "spec/reference.h"

#include "base/banned.h"

#define COMMENT_WORD "berth-cache"
#define OTHERS_LIMIT 1000 /* images that one may name */

char *cache_images_comment(const struct strv *digests)
{
    CLEANUP(free) char *list = strv_join(digests, " ");

    return xasprintf(COMMENT_WORD " %s", list);
}

static void open_one(struct job *job, const char *name, bool may_name_others);

/* Those that it names come from where it came from. */
static void open_others(struct job *job, const char *name, const char *comment)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(strv_done) struct strv words = {};

    if (!comment || !text_starts(comment, COMMENT_WORD " ") ||
        reference_parse(name, &reference, NULL) < 0)
        return;
    CLEANUP(free) char *repository = reference_familiar_name(&reference);
    strv_split(&words, comment, ' ');
    for (size_t i = 1; i < MIN(words.count, (size_t)OTHERS_LIMIT); i++) {
        CLEANUP(free) char *other = xasprintf("%s@%s", repository, words.items[i]);

        if (digest_is_valid(words.items[i]))
            open_one(job, other, false);
    }
}

static void open_one(struct job *job, const char *name, bool may_name_others)
{
    CLEANUP(image_unref) struct image *image = NULL;
    struct error why = {};

    if (job_find_image(job, name, NULL, &image, &why) < 0) {
        CLEANUP(free) char *line = xasprintf("[Warning] cache-from %s: %s\n", name, why.text);

        output_error_text(&job->head, line, strlen(line));
        outputs_note(&job->outputs, line);
        return;
    }
    job_hold(job, image->chain_id);
    job->cache_images = xrealloc(job->cache_images, job->cache_image_count + 1,
                                 sizeof(struct image *));
    const char *comment = image->config.comment;
    job->cache_images[job->cache_image_count++] = TAKE(image);
    if (may_name_others)
        open_others(job, name, comment);
}

void cache_images_open(struct job *job)
{
    const struct strv *names = job->options->cache_from;

    for (size_t i = 0; names && !job->options->no_cache && i < names->count; i++)
        open_one(job, names->items[i], true);
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

/* Is it the one asked for? */
static bool is_wanted(const struct image_history *step, const char *key, const char *created_by)
{
    return text_equal(step->comment, key) || (created_by && is_same_step(step, created_by));
}

/* The image's next step if it began as the stage did, and that is the one asked for. */
static const struct image_history *next_step(const struct image_config *image,
                                             const struct image_config *so_far, const char *key,
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
    return is_wanted(next, key, created_by) &&
                   (next->empty_layer || image->rootfs.diff_ids.count > layers)
               ? next
               : NULL;
}

/* Steps on nothing look the same for all platforms. */
static bool is_same_machine(const struct image_config *image, const struct image_config *so_far)
{
    return text_equal(image->architecture ?: "", so_far->architecture ?: "") &&
           text_equal(image->variant ?: "", so_far->variant ?: "");
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
    strv_add(&stage->keys, key);
    mutex_lock(&job->lock);
    job->has_new_entries = true;
    mutex_unlock(&job->lock);
    output_cached(&stage->output);
    return cache_put(job->builder->database, key, &entry, has_layer ? layer.size_bytes : 0, err) < 0
               ? -1
               : 1;
}

int cache_images_probe(struct job *job, struct stage *stage, const char *key,
                       const char *created_by, struct error *err)
{
    if (job->cache_image_count == 0 || stage->is_uncached)
        return 0;
    for (size_t i = 0; i < job->cache_image_count; i++) {
        const struct image *image = job->cache_images[i];
        const struct image_history *step = is_same_machine(&image->config, &stage->image)
                                               ? next_step(&image->config, &stage->image, key,
                                                           created_by)
                                               : NULL;
        int taken = step ? take_over(job, stage, image, step, key, err) : 0;

        if (taken != 0)
            return taken;
    }
    return 0;
}

/* ---- making them ---- */

/* A word that no other build's images have: each build's go when it is done with them, while
 * another one may be sending what would be the same image. */
static char *own_comment(void)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    return xasprintf(COMMENT_WORD " %.16s", id);
}

static int make_one(struct job *job, const struct stage *stage, struct strv *out_ids,
                    struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    struct image_config config;

    if (stage->keys.count == 0 || stage->keys.count > stage->image.history.count)
        return 0;
    json_fields_copy(image_config_fields, &stage->image, &config);
    for (size_t i = 0; i < stage->keys.count; i++) {
        struct image_history *step = &JSON_ITEMS(
            &config.history, struct image_history)[config.history.count - stage->keys.count + i];

        free(step->comment);
        step->comment = xstrdup(stage->keys.items[i]);
    }
    free(config.comment);
    config.comment = own_comment();
    int result = store_image_create(job->builder->store, &config, "", &image, err);
    json_fields_done(image_config_fields, &config);
    if (result == 0 && !strv_contains(out_ids, image->id))
        strv_add(out_ids, image->id);
    return result;
}

int cache_images_make(struct job *job, struct strv *out_ids, struct error *err)
{
    enum build_cache_mode mode = job->options->cache_mode;

    for (size_t i = 0; mode == BUILD_CACHE_MAX && i < job->graph.count; i++)
        if (i != job->target && job->graph.stages[i].is_needed &&
            make_one(job, &job->stages[i], out_ids, err) < 0)
            return -1;
    return mode == BUILD_CACHE_NONE ? 0 : make_one(job, &job->stages[job->target], out_ids, err);
}
