/* One stage while it is built. */
#include "build/stage.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "codec/sha256.h"

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

/* Nothing is the same for all platforms, but what runs on it is not. */
static void name_scratch(struct stage *stage, const struct platform *platform)
{
    CLEANUP(free) char *text = platform_format(platform);
    CLEANUP(platform_done) struct platform native = {};

    platform_native(&native);
    CLEANUP(free) char *here = platform_format(&native);
    if (strcmp(text, here) != 0)
        sha256_digest(text, strlen(text), stage->state_id);
}

void stage_begin_scratch(struct stage *stage, const struct build_args *args,
                         const struct platform *platform)
{
    stage->image.architecture = xstrdup(platform->architecture);
    if (*platform->variant)
        stage->image.variant = xstrdup(platform->variant);
    stage->image.os = xstrdup(platform->os);
    name_scratch(stage, platform);
    stage->image.rootfs.type = xstrdup("layers");
    strv_init_empty(&stage->image.rootfs.diff_ids);
    stage->image.config.working_dir = xstrdup("/"); /* as BuildKit has it */
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
    copy_id(stage->state_id, image->id);
    copy_id(stage->base_id, image->id);
    copy_id(stage->chain_id, image->chain_id);
}

void stage_begin_stage(struct stage *stage, const struct build_args *args, const struct stage *base)
{
    begin_on(stage, args, &base->image);
    build_args_inherit(&stage->args, &base->args);
    copy_id(stage->state_id, base->state_id);
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
    for (size_t i = 0; i < arguments.count; i++) {
        char *equals = strchr(arguments.items[i], '=');

        *equals = 0;
        strv_env_set(out, arguments.items[i], equals + 1);
    }
}

char *stage_comment(const struct stage *stage, const char *comment)
{
    CLEANUP(strv_done) struct strv words = {};

    config_shell(&stage->image.config, &words);
    strv_add(&words, "#(nop)");
    strv_add(&words, comment);
    return strv_join(&words, " ");
}

/* The digest of the state before and of all that a step changes: of the same length however many
 * steps there were. */
static void name_state(struct stage *stage, const struct cache_entry *entry)
{
    CLEANUP(cache_key_free) struct cache_key *name = cache_key_new();
    CLEANUP(str_done) struct str config = {};
    char made[24];

    snprintf(made, sizeof(made), "%lld", (long long)entry->made_ns);
    json_encode(image_container_config_fields, &stage->image.config, &config);
    cache_key_add(name, stage->state_id);
    cache_key_add(name, entry->created_by);
    cache_key_add(name, entry->author);
    cache_key_add(name, entry->diff_id);
    cache_key_add(name, made);
    cache_key_add(name, str_text(&config));
    cache_key_finish(name, stage->state_id);
}

void stage_restore(struct stage *stage, const struct cache_entry *entry)
{
    struct image_history *history = json_list_add(&stage->image.history,
                                                  sizeof(struct image_history));

    history->created_ns = stage->image.created_ns = entry->made_ns;
    history->created_by = xstrdup(entry->created_by);
    history->author = xstrdup(entry->author);
    history->empty_layer = !*entry->diff_id;
    free(stage->image.author);
    stage->image.author = xstrdup(entry->author);
    if (*entry->diff_id)
        strv_add(&stage->image.rootfs.diff_ids, entry->diff_id);
    copy_id(stage->chain_id, entry->chain_id);
    copy_id(stage->state_id, entry->state_id);
    stage->is_changed = true;
}

void stage_commit(struct stage *stage, const char *created_by, const struct layer *layer,
                  int64_t created_ns, struct cache_entry *out)
{
    *out = (struct cache_entry){ .created_by = xstrdup(created_by),
                                 .author = xstrdup(stage->author),
                                 .made_ns = created_ns };
    copy_id(out->chain_id, layer ? layer->chain_id : stage->chain_id);
    copy_id(out->diff_id, layer ? layer->diff_id : "");
    name_state(stage, out);
    copy_id(out->state_id, stage->state_id);
    stage_restore(stage, out);
}

void stage_identify(struct stage *stage)
{
    CLEANUP(str_done) struct str text = {};

    copy_id(stage->image_id, stage->base_id);
    if (!stage->is_changed)
        return;
    json_encode(image_config_fields, &stage->image, &text);
    sha256_digest(str_text(&text), text.length, stage->image_id);
}
