/* Steps: probe the cache, and if it does not know, do it. */
#include "build/step.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/cache_image.h"
#include "build/config.h"
#include "build/copy.h"
#include "build/expand.h"
#include "build/owner.h"

#include "base/banned.h"

static int probe_once(struct job *job, struct stage *stage, const char *key, struct error *err)
{
    CLEANUP(cache_entry_done) struct cache_entry entry = {};
    struct layer layer;
    int found = cache_find(job->builder->database, key, &entry, err);
    if (found <= 0)
        return found;
    if (*entry.chain_id && store_layer_get(job->builder->store, entry.chain_id, &layer, NULL) < 0)
        return 0;
    stage_restore(stage, &entry);
    strv_add(&stage->keys, key);
    job_hold(job, stage->chain_id);
    mutex_lock(&job->lock);
    strv_add(&job->used_keys, key);
    mutex_unlock(&job->lock);
    output_cached(&stage->output);
    return 1;
}

static bool may_be_cached(const struct job *job, const struct stage *stage, const char *key)
{
    return !stage->is_uncached || build_group_has(job->options->group, key);
}

int step_probe(struct job *job, struct stage *stage, const char *key, const char *created_by,
               struct error *err)
{
    if (stage->is_uncached && !job->options->group)
        return 0;
    for (;;) {
        int found = may_be_cached(job, stage, key) ? probe_once(job, stage, key, err) : 0;

        if (found != 0)
            return found;
        int claimed = builder_claim(job->builder, key, job->cancel_fd, err);
        if (claimed < 0)
            return -1;
        if (claimed > 0)
            break;
    }
    /* The one before may have ended between the look and the claim. */
    snprintf(stage->claim, sizeof(stage->claim), "%s", key);
    int found = may_be_cached(job, stage, key) ? probe_once(job, stage, key, err) : 0;
    return found != 0 ? found : cache_images_probe(job, stage, key, created_by, err);
}

int step_finish(struct job *job, struct stage *stage, const char *key, const char *created_by,
                const struct layer *layer, struct error *err)
{
    CLEANUP(cache_entry_done) struct cache_entry entry = {};

    stage_commit(stage, created_by, layer, job->epoch_ns >= 0 ? job->epoch_ns : clock_wall_ns(),
                 &entry);
    strv_add(&stage->keys, key);
    mutex_lock(&job->lock);
    job->has_new_entries = true;
    mutex_unlock(&job->lock);
    if (cache_put(job->builder->database, key, &entry, layer ? layer->size_bytes : 0, err) < 0)
        return -1;
    build_group_add(job->options->group, key);
    return 0;
}

static bool is_empty_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    if (!directory)
        return false;
    while (count == 0 && (entry = readdir(directory)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count == 0;
}

int step_make_layer(struct job *job, struct stage *stage, struct writable *writable,
                    const struct layer_contents *known, struct layer *out, struct error *err)
{
    struct store *store = job->builder->store;

    /* With overlayfs the directory holds the changes only; otherwise it is a whole copy. */
    if (strcmp(store_driver(store), "overlay2") == 0 && is_empty_directory(writable->diff_path))
        return store_writable_remove(store, writable, err);
    if (store_layer_commit(store, stage->chain_id, writable, known, out, err) < 0)
        return -1;
    if (store_layer_is_empty(out))
        return 0;
    job_hold(job, out->chain_id);
    return 1;
}

static void begin_key(struct cache_key *key, const struct stage *stage, const char *created_by)
{
    cache_key_add(key, stage->state_id);
    cache_key_add(key, created_by);
}

/* The key of a step that is wholly told by the configuration it leaves. */
static void config_key(const struct stage *stage, const char *created_by, char out[DIGEST_SIZE])
{
    CLEANUP(cache_key_free) struct cache_key *key = cache_key_new();
    CLEANUP(str_done) struct str text = {};

    begin_key(key, stage, created_by);
    json_encode(image_container_config_fields, &stage->image.config, &text);
    cache_key_add(key, str_text(&text));
    cache_key_finish(key, out);
}

/* No container runs for such a step, but clients are used to be told of one. */
static void pretend_container(struct stage *stage)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    output_running(&stage->output, id);
}

static void remove_container(struct job *job, struct stage *stage)
{
    if (job->options->remove_intermediate || job->options->force_remove)
        output_removed(&stage->output);
}

/* A step that changes no files: 'comment' is what the history says of it. */
static int finish_config(struct job *job, struct stage *stage, const char *comment,
                         struct error *err)
{
    CLEANUP(free) char *spaced = xasprintf(" %s", comment);
    CLEANUP(free) char *created_by = stage_comment(stage, spaced);
    char key[DIGEST_SIZE];

    config_key(stage, created_by, key);
    int found = step_probe(job, stage, key, created_by, err);
    if (found != 0)
        return MIN(found, 0);
    pretend_container(stage);
    if (step_finish(job, stage, key, created_by, NULL, err) < 0)
        return -1;
    remove_container(job, stage);
    return 0;
}

static int apply(struct stage *stage, const struct instruction *instruction,
                 const struct strv *arguments, struct str *out_comment, struct error *err)
{
    CLEANUP(config_change_done)
    struct config_change change = {
        .instruction = instruction,
        .arguments = arguments,
        .config = &stage->image.config,
        .author = &stage->author,
        .is_cmd_set = &stage->is_cmd_set,
    };

    if (instruction->kind->apply(&change, err) < 0)
        return -1;
    if (change.note.length > 0)
        output_text(&stage->output, change.note.data);
    str_add(out_comment, str_text(&change.comment));
    return 0;
}

static int step_config(struct job *job, struct stage *stage, const struct instruction *instruction,
                       const struct strv *arguments, struct error *err)
{
    CLEANUP(str_done) struct str comment = {};

    if (apply(stage, instruction, arguments, &comment, err) < 0)
        return -1;
    for (size_t i = 0; instruction->kind->type == INSTRUCTION_ENV && i < arguments->count; i += 2)
        build_args_hide(&stage->args, arguments->items[i]);
    return finish_config(job, stage, str_text(&comment), err);
}

int step_label(struct job *job, struct stage *stage, const struct instruction *instruction,
               struct error *err)
{
    int result = step_config(job, stage, instruction, &instruction->arguments, err);

    if (*stage->claim)
        builder_release(job->builder, stage->claim);
    *stage->claim = 0;
    return result;
}

/* Each of its arguments sees those in front of it, unlike those of ENV. */
static int step_arg(struct job *job, struct stage *stage, const struct instruction *instruction,
                    struct error *err)
{
    CLEANUP(str_done) struct str comment = {};

    str_add(&comment, "ARG");
    for (size_t i = 0; i < instruction->arguments.count; i++) {
        CLEANUP(strv_done) struct strv environment = {};
        CLEANUP(str_done) struct str word = {};
        const struct expander expander = { job->file.escape, 0, &environment };

        stage_environment(stage, &environment);
        if (expand_word(&expander, instruction->arguments.items[i], &word, err) < 0)
            return -1;
        build_args_declare(&stage->args, str_text(&word));
        job_declare(job, str_text(&word));
        str_add_format(&comment, " %s", str_text(&word));
    }
    return finish_config(job, stage, str_text(&comment), err);
}

/* The directory of WORKDIR, if it is not there yet: the user's, if the image knows that one. */
static int make_work_directory(struct job *job, struct stage *stage, struct layer *out,
                               struct error *err)
{
    struct store *store = job->builder->store;
    struct copy copy = { .source_root_fd = -1, .share_root_fd = -1, .cancel_fd = -1 };
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(close) int mount_fd = -1, fd = -1;
    int64_t began_ns = clock_wall_ns() - TIMES_SLACK_NS;
    int result = -1;

    if (store_writable_new(store, &writable, err) < 0)
        return -1;
    if (store_mount(store, stage->chain_id, &writable, &mount_fd, err) == 0) {
        copy.target_root_fd = mount_fd;
        if (!text_is_empty(stage->image.config.user))
            owner_parse(stage->image.config.user, mount_fd, &copy.uid, &copy.gid, NULL);
        fd = copy_make_directory(&copy, stage->image.config.working_dir, err);
        result = fd < 0 ? -1 : 0;
    }
    if (fd >= 0)
        close(TAKE_FD(fd));
    if (mount_fd >= 0)
        close(TAKE_FD(mount_fd));
    if (result < 0) {
        store_writable_remove(store, &writable, NULL);
        return error_context(err, "mkdir %s", stage->image.config.working_dir);
    }
    if (times_settle_copy(job, stage, &writable, began_ns, err) < 0) {
        store_writable_remove(store, &writable, NULL);
        return -1;
    }
    return step_make_layer(job, stage, &writable, NULL, out, err);
}

static int step_workdir(struct job *job, struct stage *stage, const struct instruction *instruction,
                        const struct strv *arguments, struct error *err)
{
    CLEANUP(str_done) struct str comment = {};
    char key[DIGEST_SIZE];
    struct layer layer;

    if (apply(stage, instruction, arguments, &comment, err) < 0)
        return -1;
    CLEANUP(free) char *created_by = stage_comment(stage, str_text(&comment));
    config_key(stage, created_by, key);

    int found = step_probe(job, stage, key, created_by, err);
    if (found != 0)
        return MIN(found, 0);
    pretend_container(stage);
    int made = make_work_directory(job, stage, &layer, err);
    if (made < 0 || step_finish(job, stage, key, created_by, made > 0 ? &layer : NULL, err) < 0)
        return -1;
    remove_container(job, stage);
    return 0;
}

static int carry_out(struct job *job, size_t stage_index, const struct instruction *instruction,
                     struct error *err)
{
    struct stage *stage = &job->stages[stage_index];
    CLEANUP(strv_done) struct strv environment = {}, arguments = {};

    if (instruction_check_support(instruction, err) < 0)
        return -1;
    if (instruction->kind->type == INSTRUCTION_ARG)
        return step_arg(job, stage, instruction, err);
    stage_environment(stage, &environment);
    if (config_expand(instruction, &environment, job->file.escape, &arguments, err) < 0)
        return -1;
    switch (instruction->kind->type) {
    case INSTRUCTION_ADD:
    case INSTRUCTION_COPY:
        return step_copy(job, stage_index, instruction, &arguments, &environment, err);
    case INSTRUCTION_RUN:
        return step_run(job, stage_index, instruction, err);
    case INSTRUCTION_WORKDIR:
        return step_workdir(job, stage, instruction, &arguments, err);
    default:
        return step_config(job, stage, instruction, &arguments, err);
    }
}

int step_carry_out(struct job *job, size_t stage_index, const struct instruction *instruction,
                   struct error *err)
{
    struct stage *stage = &job->stages[stage_index];
    int result = carry_out(job, stage_index, instruction, err);

    if (*stage->claim)
        builder_release(job->builder, stage->claim);
    *stage->claim = 0;
    return result;
}
