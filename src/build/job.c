/* What the steps of a build share: images, mounts, and the stages themselves. */
#include "build/job.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/provenance.h"
#include "build/source.h"
#include "build/step.h"

#include "base/banned.h"

static int mount_locked(struct job *job, const char *chain_id, struct error *err)
{
    intptr_t known = (intptr_t)map_get(&job->mounts, chain_id);
    int fd;

    if (known)
        return (int)(known - 1);
    if (store_mount(job->builder->store, chain_id, NULL, &fd, err) < 0)
        return -1;
    map_set(&job->mounts, chain_id, (void *)((intptr_t)fd + 1));
    return fd;
}

int job_mount(struct job *job, const char *chain_id, struct error *err)
{
    mutex_lock(&job->lock);
    int fd = mount_locked(job, chain_id, err);
    mutex_unlock(&job->lock);
    return fd;
}

const struct known_digests *job_known_digests(const struct job *job)
{
    return job->options->synced ? &job->digests : NULL;
}

const struct dockerignore *job_ignored(const struct job *job)
{
    return job->options->ignored ?: job->ignored;
}

void job_hold(struct job *job, const char *chain_id)
{
    if (*chain_id == 0)
        return;
    store_layer_hold(job->builder->store, chain_id);
    mutex_lock(&job->lock);
    strv_add(&job->held_layers, chain_id);
    mutex_unlock(&job->lock);
}

void job_declare(struct job *job, const char *arg)
{
    mutex_lock(&job->lock);
    strv_add_take(&job->declared_args, xstrndup(arg, strcspn(arg, "=")));
    mutex_unlock(&job->lock);
}

const struct platform *job_wanted_platform(const struct job *job)
{
    return job->has_platform ? &job->platform : NULL;
}

static bool is_for(const struct image *image, const struct platform *platform)
{
    CLEANUP(platform_done) struct platform offered = {};

    if (!platform || text_is_empty(image->config.architecture))
        return true;
    platform_of(image->config.os, image->config.architecture, image->config.variant, &offered);
    return platform_match(platform, &offered) > 0;
}

/* Is the name the id of an image, which is for the platform that it is for? */
static bool is_id(const char *name)
{
    return text_starts(name, "sha256:");
}

int job_find_image(struct job *job, const char *name, const struct platform *platform,
                   struct image **out, struct error *err)
{
    const struct build_worker *worker = &job->builder->worker;
    CLEANUP(image_unref) struct image *image = NULL;
    struct error why = {};

    if (!job->options->pull || !worker->pull || is_id(name)) {
        int found = store_image_find(job->builder->store, name, &image, &why);

        if (found == 0 && (is_id(name) || is_for(image, platform))) {
            *out = TAKE(image);
            return 0;
        }
        if (found < 0 && (why.kind != ERROR_NOT_FOUND || !worker->pull || is_id(name)))
            return error_set(err, why.kind, "%s", why.text);
    }
    if (!worker->pull) {
        CLEANUP(free) char *wanted = platform_format(platform);

        return error_set(err, ERROR_NOT_FOUND, "the image %s is not for %s", name, wanted);
    }
    return worker->pull(worker->data, name, platform, job->options, out, err);
}

/* A further context: one for the platform ("name::linux/arm64") counts before the others. NULL if
 * there is none of the name. */
static const struct build_context *find_context(const struct job *job, const char *name)
{
    CLEANUP(free) char *platform = platform_format(&job->platform);
    CLEANUP(free) char *own = xasprintf("%s::%s", name, platform);
    const struct map *contexts = job->options->contexts;

    if (!contexts)
        return NULL;
    const struct build_context *found = map_get(contexts, own);
    return found ? found : map_get(contexts, name);
}

static int find_named_context(struct job *job, const struct build_context *context,
                              struct job_tree *out, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (context->fd >= 0) {
        out->fd = context->fd;
        return 0;
    }
    if (job_find_image(job, context->image, job_wanted_platform(job), &image, err) < 0)
        return -1;
    material_add_image(job, context->image, image);
    out->is_layers = true;
    snprintf(out->chain_id, sizeof(out->chain_id), "%s", image->chain_id);
    job_hold(job, out->chain_id);
    return 0;
}

int job_find_tree(struct job *job, size_t index, const char *name, struct job_tree *out,
                  struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    const struct build_context *context = NULL;
    size_t source;

    *out = (struct job_tree){ .fd = -1 };
    if (!name) {
        out->fd = job->options->context_fd;
        return out->fd < 0 ? error_set(err, ERROR_INVALID, "missing build context") : 0;
    }
    context = find_context(job, name);
    if (context)
        return find_named_context(job, context, out, err);
    out->is_layers = true;
    if (graph_find_source(&job->graph, index, name, &source, err) < 0)
        return -1;
    if (source == NO_STAGE) {
        if (strcasecmp(name, "scratch") == 0)
            return 0;
        if (job_find_image(job, name, job_wanted_platform(job), &image, err) < 0) {
            graph_suggest(&job->graph, index, name, err);
            return error_context(err, "invalid from flag value %s", name);
        }
        material_add_image(job, name, image);
        snprintf(out->chain_id, sizeof(out->chain_id), "%s", image->chain_id);
        job_hold(job, out->chain_id);
        return 0;
    }
    mutex_lock(&job->lock);
    bool is_done = job->states[source] == STAGE_DONE;
    mutex_unlock(&job->lock);
    if (!is_done)
        return error_set(err, ERROR_INVALID, "the stage %s is not part of this build", name);
    snprintf(out->chain_id, sizeof(out->chain_id), "%s", job->stages[source].chain_id);
    return 0;
}

/* FROM: gives the stage its beginning. */
static int begin_stage(struct job *job, size_t index, struct error *err)
{
    const struct build_stage *plan = &job->graph.stages[index];
    struct stage *stage = &job->stages[index];
    const struct build_context *context = find_context(job, plan->base);
    const struct platform *wanted = job_wanted_platform(job);
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(platform_done) struct platform own = {};

    if (plan->base_stage != NO_STAGE) {
        stage_begin_stage(stage, &job->args, &job->stages[plan->base_stage]);
        return 0;
    }
    if (plan->platform) {
        if (graph_read_platform(plan->platform, &own, err) < 0)
            return -1;
        wanted = &own;
    }
    if (strcmp(plan->base, "scratch") == 0) {
        stage_begin_scratch(stage, &job->args, wanted ? wanted : &job->platform);
        return 0;
    }
    if (context && context->fd >= 0)
        return error_set(err, ERROR_INVALID,
                         "the context %s holds files, not an image: COPY --from=%s takes them",
                         plan->base, plan->base);
    const char *name = context ? context->image : plan->base;
    if (job_find_image(job, name, wanted, &image, err) < 0) {
        graph_suggest(&job->graph, index, name, err);
        return err->kind == ERROR_INVALID
                   ? error_context(err, "failed to parse stage name \"%s\"", name)
                   : -1;
    }
    material_add_image(job, name, image);
    stage_begin_image(stage, &job->args, image);
    job_hold(job, stage->chain_id);
    return 0;
}

static int run_trigger(struct job *job, size_t index, const char *text, struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile trigger = {};

    if (dockerfile_parse(text, strlen(text), NULL, &trigger, err) < 0)
        return error_context(err, "build trigger %s", text);
    trigger.escape = job->file.escape;
    for (size_t i = 0; i < trigger.count; i++) {
        const struct instruction *instruction = &trigger.instructions[i];

        if (instruction_check(instruction, err) < 0)
            return error_context(err, "build trigger %s", text);
        if (instruction->kind->type == INSTRUCTION_FROM)
            return error_set(err, ERROR_INVALID, "FROM isn't allowed as an ONBUILD trigger");
        if (step_carry_out(job, index, instruction, err) < 0)
            return -1;
    }
    return 0;
}

static int run_triggers(struct job *job, size_t index, struct error *err)
{
    struct stage *stage = &job->stages[index];

    if (stage->triggers.count > 0)
        output_triggers(&stage->output, stage->triggers.count);
    for (size_t i = 0; i < stage->triggers.count; i++)
        if (run_trigger(job, index, stage->triggers.items[i], err) < 0)
            return -1;
    return 0;
}

static int check_job(struct job *job, struct stage *stage, struct error *err)
{
    if (check_cancelled(job->cancel_fd, err) == 0)
        return 0;
    output_text(&stage->output, "Build cancelled\n");
    return -1;
}

/* What came of a step; of the last one, the image. */
static void tell_state(struct stage *stage, bool is_last)
{
    if (is_last)
        stage_identify(stage);
    output_image(&stage->output, is_last ? stage->image_id : stage->state_id);
}

/* --label: one step more for each, in the order of their names. */
static int add_labels(struct job *job, struct stage *stage, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    const struct map *labels = job->options->labels;

    MAP_EACH (labels, entry)
        strv_add(&names, entry->key);
    strv_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        const char *value = map_get(labels, names.items[i]);
        CLEANUP(instruction_done)
        struct instruction instruction = {
            .kind = instruction_kind_find("LABEL"),
            .text = xasprintf("LABEL %s=%s", names.items[i], value ? value : ""),
        };

        strv_add(&instruction.arguments, names.items[i]);
        strv_add(&instruction.arguments, value ? value : "");
        output_step(&stage->output, instruction.text);
        if (step_label(job, stage, &instruction, err) < 0)
            return -1;
        tell_state(stage, i + 1 == names.count);
    }
    return 0;
}

static bool is_uncached(const struct job *job, size_t index)
{
    const struct strv *stages = job->options->no_cache_stages;
    const char *name = job->graph.stages[index].name;
    char number[24];

    snprintf(number, sizeof(number), "%zu", index);
    for (size_t i = 0; stages && i < stages->count; i++)
        if (strcmp(stages->items[i], number) == 0 ||
            (name && strcasecmp(stages->items[i], name) == 0))
            return true;
    return job->options->no_cache;
}

int job_build_stage(struct job *job, size_t index, const struct instruction **out_at,
                    struct error *err)
{
    const struct build_stage *plan = &job->graph.stages[index];
    struct stage *stage = &job->stages[index];
    bool has_labels = index == job->target && job->options->labels && job->options->labels->count;

    *out_at = plan->from;
    stage->is_uncached = is_uncached(job, index);
    if (check_job(job, stage, err) < 0)
        return -1;
    output_step(&stage->output, plan->from->text);
    if (begin_stage(job, index, err) < 0 || run_triggers(job, index, err) < 0)
        return -1;
    tell_state(stage, plan->step_count == 0 && !has_labels);
    for (size_t i = 0; i < plan->step_count; i++) {
        *out_at = &plan->steps[i];
        if (check_job(job, stage, err) < 0)
            return -1;
        output_step(&stage->output, plan->steps[i].text);
        if (step_carry_out(job, index, &plan->steps[i], err) < 0)
            return -1;
        tell_state(stage, i + 1 == plan->step_count && !has_labels);
    }
    return has_labels ? add_labels(job, stage, err) : 0;
}
