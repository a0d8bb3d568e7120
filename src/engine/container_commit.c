/* The changes are copied while the container is held; what is made of them does not concern it any
 * more. */
#include "engine/container_commit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

/* What is known before anything is copied. */
struct commit {
    struct container *container;
    struct container_info *info;
    struct image *parent;
    struct reference reference; /* no path: none */
    struct container_config config;
};

static void commit_done(struct commit *commit)
{
    container_info_unref(commit->info);
    container_unref(commit->container);
    if (commit->parent)
        image_unref(commit->parent);
    reference_done(&commit->reference);
    json_fields_done(container_config_fields, &commit->config);
}
CLEANUP_VALUE(commit_done, struct commit)

/* ---- deciding ---- */

static int parse_name(const struct commit_wish *wish, struct reference *out, struct error *err)
{
    if (text_is_empty(wish->repository))
        return 0;
    CLEANUP(free)
    char *name = text_is_empty(wish->tag) ? xstrdup(wish->repository)
                                          : xasprintf("%s:%s", wish->repository, wish->tag);
    if (reference_tag_check(wish->tag, err) < 0 || reference_parse(name, out, err) < 0)
        return -1;
    if (out->digest)
        return error_set(err, ERROR_INVALID, "refusing to create a tag with a digest reference");
    return reference_name_check(out, err);
}

static int check_state(const struct container_info *info, struct error *err)
{
    if (info->state == CONTAINER_DEAD)
        return error_set(err, ERROR_CONFLICT, "you cannot commit container %s which is Dead",
                         info->id);
    if (info->state == CONTAINER_REMOVING)
        return error_set(err, ERROR_CONFLICT,
                         "you cannot commit container %s which is being removed", info->id);
    return 0;
}

static int prepare(struct engine *engine, const char *text, const struct commit_wish *wish,
                   struct commit *commit, struct error *err)
{
    if (text_is_empty(text))
        return error_set(err, ERROR_INVALID, "invalid name or ID supplied: \"\"");
    if (parse_name(wish, &commit->reference, err) < 0 ||
        container_find(engine, text, &commit->container, err) < 0)
        return -1;
    commit->info = container_snapshot(commit->container);
    json_fields_copy(container_config_fields, wish->config ?: &commit->info->config,
                     &commit->config);
    if (build_apply_changes(wish->changes, &commit->config, err) < 0)
        return -1;
    container_config_merge(&commit->config, &commit->info->config);
    if (check_state(commit->info, err) < 0)
        return -1;
    return store_image_find(engine->store, commit->info->image_id, &commit->parent, err);
}

/* ---- copying ---- */

/* True if it was this call that holds the container now. */
static bool hold(struct commit *commit, bool pauses)
{
    struct error ignored;

    return pauses && commit->info->state == CONTAINER_RUNNING &&
           container_pause(commit->container, PAUSE_HOLD, &ignored) == 0;
}

static void let_go(struct commit *commit)
{
    struct error err = {};

    if (container_pause(commit->container, PAUSE_END, &err) < 0)
        log_debug("a container went on before its commit was over", "container",
                  commit->container->id, "error", err.text);
}

static int copy_changes(struct commit *commit, struct layer *out, struct error *err)
{
    struct container *container = commit->container;
    CLEANUP(writable_done) struct writable writable = {};

    if (container_changes_open(container, &writable, err) < 0 ||
        store_layer_copy(container->engine->store, commit->info->spec->chain_id, &writable, out,
                         err) < 0)
        return -1;
    if (!container_is_removed(container))
        return 0;
    /* Files may have gone under the copy. */
    store_layer_release(container->engine->store, out->chain_id);
    return error_set(err, ERROR_CONFLICT, "container %s was removed while it was committed",
                     commit->info->name);
}

/* ---- the image ---- */

static void describe(const struct commit *commit, const struct commit_wish *wish,
                     const struct layer *layer, struct image_config *out)
{
    json_fields_copy(image_config_fields, &commit->parent->config, out);
    json_fields_done(image_container_config_fields, &out->config);
    json_fields_copy(image_container_config_fields, &commit->config, &out->config);
    free(out->author);
    free(out->comment);
    out->author = xstrdup(wish->author);
    out->comment = xstrdup(wish->comment);
    out->created_ns = clock_wall_ns();
    struct image_history *history = json_list_add(&out->history, sizeof(*history));
    *history = (struct image_history){ .created_ns = out->created_ns,
                                       .created_by = strv_join(&commit->info->config.cmd, " "),
                                       .author = xstrdup(wish->author),
                                       .comment = xstrdup(wish->comment),
                                       .empty_layer = store_layer_is_empty(layer) };
    if (!history->empty_layer)
        strv_add(&out->rootfs.diff_ids, layer->diff_id);
}

static int make_image(struct commit *commit, const struct commit_wish *wish,
                      const struct layer *layer, struct image **out, struct error *err)
{
    struct engine *engine = commit->container->engine;
    struct image_config config = {};

    describe(commit, wish, layer, &config);
    int result = store_image_create(engine->store, &config, commit->parent->id, out, err);
    json_fields_done(image_config_fields, &config);
    if (result < 0)
        return -1;
    image_event(engine, *out, "create", (*out)->id);
    return 0;
}

static int name_image(struct commit *commit, const struct image *image, char **out_name,
                      struct error *err)
{
    struct engine *engine = commit->container->engine;

    if (!commit->reference.path)
        return 0;
    if (store_image_tag(engine->store, image->id, &commit->reference, err) < 0)
        return -1;
    *out_name = reference_familiar(&commit->reference);
    image_event(engine, image, "tag", *out_name);
    return 0;
}

static void tell(const struct commit *commit, const struct commit_wish *wish,
                 const struct image *image, const char *name)
{
    CLEANUP(map_done) struct map extra = {};

    map_set_text(&extra, "comment", wish->comment ?: "");
    map_set_text(&extra, "imageID", image->id);
    map_set_text(&extra, "imageRef", name ?: "");
    container_event(commit->container, commit->info, "commit", &extra);
}

int engine_container_commit(struct engine *engine, const char *text, const struct commit_wish *wish,
                            char out_id[72], struct error *err)
{
    CLEANUP(commit_done) struct commit commit = {};
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(free) char *name = NULL;
    struct layer layer;

    if (prepare(engine, text, wish, &commit, err) < 0)
        return -1;
    bool is_held = hold(&commit, wish->pauses);
    int result = copy_changes(&commit, &layer, err);
    if (is_held)
        let_go(&commit);
    if (result < 0)
        return error_context(err, "commit container %s", commit.info->name);
    result = make_image(&commit, wish, &layer, &image, err);
    store_layer_release(engine->store, layer.chain_id);
    if (result < 0 || name_image(&commit, image, &name, err) < 0)
        return -1;
    tell(&commit, wish, image, name);
    snprintf(out_id, DIGEST_TEXT_SIZE, "%s", image->id);
    return 0;
}
