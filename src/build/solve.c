/* A build from beginning to end: read, plan, carry out, name the result. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "build/context.h"
#include "build/expand.h"
#include "build/job.h"
#include "build/step.h"
#include "spec/reference.h"

#include "base/banned.h"

static void job_done(struct job *job)
{
    struct store *store = job->builder->store;

    cache_touch(job->builder->database, &job->used_keys, NULL);
    MAP_EACH (&job->mounts, entry)
        close((int)((intptr_t)entry->value - 1));
    map_done(&job->mounts);
    for (size_t i = 0; i < job->held_layers.count; i++)
        store_layer_release(store, job->held_layers.items[i]);
    for (size_t i = 0; job->stages && i < job->graph.count; i++)
        stage_done(&job->stages[i]);
    free(job->stages);
    free(job->is_built);
    strv_done(&job->declared_args);
    strv_done(&job->used_keys);
    strv_done(&job->held_layers);
    build_args_done(&job->args);
    graph_done(&job->graph);
    dockerfile_done(&job->file);
}
CLEANUP_VALUE(job_done, struct job)

/* ---- before the first step ---- */

static int read_dockerfile(struct job *job, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *name = NULL;
    int context_fd = job->options->context_fd;

    if (context_fd < 0)
        return error_set(err, ERROR_INVALID, "missing build context");
    if (context_read_dockerfile(context_fd, job->options->dockerfile, &text, &name, err) < 0 ||
        context_apply_ignore(context_fd, name, err) < 0 ||
        dockerfile_parse(str_text(&text), text.length, name, &job->file, err) < 0)
        return -1;
    for (size_t i = 0; i < job->file.count; i++) {
        const struct instruction *instruction = &job->file.instructions[i];

        if (instruction_check(instruction, err) < 0)
            return -1;
        if (instruction->kind->type != INSTRUCTION_ARG)
            continue;
        for (size_t k = 0; k < instruction->arguments.count; k++) {
            const char *text_of_arg = instruction->arguments.items[k];

            strv_add_take(&job->declared_args, xstrndup(text_of_arg, strcspn(text_of_arg, "=")));
        }
    }
    return 0;
}

/* The names for the result: parsed, and as they are shown. */
static int read_tags(const struct build_options *options, struct strv *out, struct error *err)
{
    for (size_t i = 0; options->tags && i < options->tags->count; i++) {
        CLEANUP(reference_done) struct reference reference = {};
        struct error why = {};

        if (reference_parse(options->tags->items[i], &reference, &why) < 0)
            return error_set(err, ERROR_INTERNAL, "%s", why.text);
        if (reference.digest)
            return error_set(err, ERROR_INTERNAL, "build tag cannot contain a digest");

        CLEANUP(free) char *familiar = reference_familiar(&reference);
        if (!strv_contains(out, familiar))
            strv_add(out, familiar);
    }
    return 0;
}

static size_t count_labels(const struct build_options *options)
{
    return options->labels ? options->labels->count : 0;
}

static size_t count_steps(const struct job *job)
{
    size_t count = job->graph.global_count + count_labels(job->options);

    for (size_t i = 0; i < job->graph.count; i++)
        if (job->graph.stages[i].is_needed)
            count += 1 + job->graph.stages[i].step_count;
    return count;
}

/* What cannot be carried out is said before anything is. */
static int check_support(const struct job *job, struct error *err)
{
    for (size_t i = 0; i < job->graph.count; i++) {
        const struct build_stage *stage = &job->graph.stages[i];

        for (size_t k = 0; stage->is_needed && k < stage->step_count; k++)
            if (instruction_check_support(&stage->steps[k], err) < 0)
                return -1;
    }
    return 0;
}

/* ---- the steps ---- */

/* ARGs before the first FROM. */
static int declare_globals(struct job *job, struct error *err)
{
    for (size_t i = 0; i < job->graph.global_count; i++) {
        CLEANUP(strv_done) struct strv environment = {}, arguments = {};

        build_args_globals(&job->args, &environment);
        if (config_expand(&job->file.instructions[i], &environment, job->file.escape, &arguments,
                          err) < 0)
            return -1;
        for (size_t k = 0; k < arguments.count; k++)
            build_args_declare_global(&job->args, arguments.items[k]);
    }
    return 0;
}

static int plan(struct job *job, size_t target, struct error *err)
{
    if (declare_globals(job, err) < 0 ||
        graph_resolve(&job->graph, target, &job->args, job->file.escape, err) < 0)
        return -1;
    job->output.step_count = count_steps(job);
    return check_support(job, err);
}

/* --label: one step more for each, in the order of their names. */
static int add_labels(struct job *job, struct stage *stage, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (count_labels(job->options) == 0)
        return 0;
    MAP_EACH (job->options->labels, entry)
        strv_add(&names, entry->key);
    strv_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        const char *value = map_get(job->options->labels, names.items[i]);
        CLEANUP(instruction_done)
        struct instruction instruction = {
            .kind = instruction_kind_find("LABEL"),
            .text = xasprintf("LABEL %s=%s", names.items[i], value ? value : ""),
        };

        strv_add(&instruction.arguments, names.items[i]);
        strv_add(&instruction.arguments, value ? value : "");
        output_step(&job->output, instruction.text);
        if (step_label(job, stage, &instruction, err) < 0)
            return -1;
        output_image(&job->output, stage->image_id);
    }
    return 0;
}

static int carry_out(struct job *job, size_t target, struct error *err)
{
    for (size_t i = 0; i < job->file.warnings.count; i++) {
        CLEANUP(free) char *line = xasprintf("%s\n", job->file.warnings.items[i]);

        output_error_text(&job->output, line, strlen(line));
    }
    for (size_t i = 0; i < job->graph.global_count; i++)
        output_step(&job->output, job->file.instructions[i].text);
    for (size_t i = 0; i <= target; i++) {
        if (!job->graph.stages[i].is_needed)
            continue;
        if (job_build_stage(job, i, err) < 0 ||
            (i == target && add_labels(job, &job->stages[i], err) < 0))
            return -1;
        output_stage_done(&job->output, job->stages[i].image_id);
    }
    return 0;
}

/* ---- the result ---- */

static int make_image(struct job *job, struct stage *stage, const struct strv *names,
                      char out_image_id[72], struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(image_unref) struct image *image = NULL;

    if (*stage->image_id == 0)
        return error_set(err, ERROR_INVALID, "No image was generated. Is your Dockerfile empty?");
    /* What is there already, whole and with its names, costs no writing. */
    if (store_image_find(store, stage->image_id, &image, stage->is_changed ? NULL : err) < 0) {
        if (!stage->is_changed)
            return -1;

        /* The base may have been removed meanwhile; its layers are held. */
        CLEANUP(image_unref) struct image *base = NULL;
        bool has_base = *stage->base_id &&
                        store_image_find(store, stage->base_id, &base, NULL) == 0;

        if (store_image_create(store, &stage->image, has_base ? stage->base_id : "", &image, err) <
            0)
            return -1;
    }
    for (size_t i = 0; i < names->count; i++) {
        CLEANUP(reference_done) struct reference reference = {};

        if (strv_contains(&image->tags, names->items[i]))
            continue;
        if (reference_parse(names->items[i], &reference, err) < 0 ||
            store_image_tag(store, image->id, &reference, err) < 0)
            return -1;
    }
    snprintf(out_image_id, DIGEST_TEXT_SIZE, "%s", image->id);
    return 0;
}

static void trim_cache(struct job *job)
{
    struct builder *builder = job->builder;
    int64_t bytes = 0;
    CLEANUP(strv_done) struct strv gone = {};

    if (job->has_new_entries &&
        cache_trim(builder->database, builder->cache_limit_bytes, NULL, NULL, &gone, &bytes,
                   NULL) == 0 &&
        gone.count > 0 && builder->worker.collect)
        builder->worker.collect(builder->worker.data);
}

static int solve(struct job *job, size_t target, const struct strv *names, char out_image_id[72],
                 struct error *err)
{
    CLEANUP(strv_done) struct strv unused = {};

    if (plan(job, target, err) < 0)
        return -1;
    job->stages = xcalloc(job->graph.count, sizeof(struct stage));
    job->is_built = xcalloc(job->graph.count, sizeof(bool));
    if (carry_out(job, target, err) < 0)
        return -1;
    build_args_unused(&job->args, &job->declared_args, &unused);
    output_unused_args(&job->output, &unused);
    if (make_image(job, &job->stages[target], names, out_image_id, err) < 0)
        return -1;
    output_success(&job->output, out_image_id, names);
    return 0;
}

int builder_build(struct builder *builder, const struct build_options *options,
                  char out_image_id[72], bool *out_began, int *out_exit_code, struct error *err)
{
    CLEANUP(job_done) struct job job = { .builder = builder, .options = options };
    CLEANUP(strv_done) struct strv names = {};
    struct error local = {};
    size_t target;

    if (!err)
        err = &local;
    *out_began = false;
    *out_exit_code = 0;
    job.output.options = options;
    build_args_init(&job.args, options->arguments);
    map_init_empty(&job.mounts, NULL);
    if (read_tags(options, &names, err) < 0 || graph_check_platform(options->platform, err) < 0 ||
        read_dockerfile(&job, err) < 0 || graph_make(&job.file, &job.graph, err) < 0 ||
        graph_find_target(&job.graph, options->target, &target, err) < 0)
        return -1;

    *out_began = true;
    int result = solve(&job, target, &names, out_image_id, err);
    *out_exit_code = job.exit_code;
    trim_cache(&job);
    return result;
}
