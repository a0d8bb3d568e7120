/* One stage while it is built. */
#include "build/stage.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"

#include "base/banned.h"

static void add_path(struct stage *stage)
{
    if (!strv_env_get(&stage->image.config.env, "PATH"))
        strv_add(&stage->image.config.env, DEFAULT_PATH);
}

static void copy_id(char out[DIGEST_TEXT_SIZE], const char *id)
{
    snprintf(out, DIGEST_TEXT_SIZE, "%s", id);
}

void stage_begin_scratch(struct stage *stage, const struct build_args *args)
{
    stage->image.architecture = xstrdup(image_native_architecture());
    stage->image.os = xstrdup("linux");
    stage->image.rootfs.type = xstrdup("layers");
    strv_init_empty(&stage->image.rootfs.diff_ids);
    build_args_begin_stage(&stage->args, args);
    add_path(stage);
}

static void begin_on(struct stage *stage, const struct build_args *args,
                     const struct image_config *config)
{
    json_fields_copy(image_config_fields, config, &stage->image);
    stage->triggers = stage->image.config.on_build;
    stage->image.config.on_build = (struct strv){};
    free(stage->image.author);
    stage->image.author = NULL;
    free(stage->image.comment);
    stage->image.comment = NULL;
    free(stage->image.docker_version);
    stage->image.docker_version = NULL;
    build_args_begin_stage(&stage->args, args);
    add_path(stage);
}

void stage_begin_image(struct stage *stage, const struct build_args *args,
                       const struct image *image)
{
    begin_on(stage, args, &image->config);
    copy_id(stage->image_id, image->id);
    copy_id(stage->base_id, image->id);
    copy_id(stage->chain_id, image->chain_id);
}

void stage_begin_stage(struct stage *stage, const struct build_args *args, const struct stage *base)
{
    begin_on(stage, args, &base->image);
    copy_id(stage->image_id, base->image_id);
    copy_id(stage->base_id, base->base_id);
    copy_id(stage->chain_id, base->chain_id);
    stage->is_changed = base->is_changed;
    strv_add_all(&stage->keys, &base->keys);
}

void stage_done(struct stage *stage)
{
    json_fields_done(image_config_fields, &stage->image);
    free(stage->author);
    build_args_done(&stage->args);
    strv_done(&stage->triggers);
    strv_done(&stage->keys);
    output_done(&stage->output);
    *stage = (struct stage){};
}

void stage_environment(const struct stage *stage, struct strv *out)
{
    CLEANUP(strv_done) struct strv arguments = {};

    build_args_visible(&stage->args, &stage->image.config.env, false, &arguments);
    strv_add_all(out, &stage->image.config.env);
    strv_add_all(out, &arguments);
}

char *stage_comment(const struct stage *stage, const char *comment)
{
    CLEANUP(strv_done) struct strv words = {};

    config_shell(&stage->image.config, &words);
    strv_add(&words, "#(nop)");
    strv_add(&words, comment);
    return strv_join(&words, " ");
}

static void add_history(struct stage *stage, const char *created_by, bool is_empty)
{
    struct image_history *entry = json_list_add(&stage->image.history,
                                                sizeof(struct image_history));

    entry->created_ns = stage->image.created_ns;
    entry->created_by = xstrdup(created_by);
    entry->author = xstrdup(stage->author);
    entry->empty_layer = is_empty;
}

void stage_commit(struct stage *stage, const char *created_by, const struct layer *layer,
                  int64_t created_ns, struct cache_entry *out)
{
    struct str text = {};

    stage->image.created_ns = created_ns;
    add_history(stage, created_by, !layer);
    free(stage->image.author);
    stage->image.author = xstrdup(stage->author);
    if (layer) {
        strv_add(&stage->image.rootfs.diff_ids, layer->diff_id);
        copy_id(stage->chain_id, layer->chain_id);
    }
    json_encode(image_config_fields, &stage->image, &text);
    sha256_digest(str_text(&text), text.length, stage->image_id);
    stage->is_changed = true;
    copy_id(out->image_id, stage->image_id);
    copy_id(out->chain_id, stage->chain_id);
    out->config = str_take(&text);
}

void stage_restore(struct stage *stage, const struct cache_entry *entry, const char *key)
{
    snprintf(stage->pending, sizeof(stage->pending), "%s", key);
    copy_id(stage->image_id, entry->image_id);
    copy_id(stage->chain_id, entry->chain_id);
    stage->is_changed = true;
}

int stage_settle(struct stage *stage, struct database *database, struct error *err)
{
    CLEANUP(free) char *text = NULL;
    struct image_config image = {};

    if (*stage->pending == 0)
        return 0;
    if (cache_config(database, stage->pending, &text, err) < 0 ||
        json_decode(image_config_fields, text, strlen(text), &image, err) < 0)
        return error_context(err, "cached configuration %s", stage->image_id);
    *stage->pending = 0;
    /* A step that is being carried out may have changed this part already. */
    struct container_config config = image.config;
    image.config = stage->image.config;
    stage->image.config = config;
    json_fields_done(image_config_fields, &stage->image);
    stage->image = image;
    return 0;
}
