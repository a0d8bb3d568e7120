/* What the steps of a build share: images, mounts, and the stages themselves. */
#include "build/job.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/source.h"
#include "build/step.h"

#include "base/banned.h"

int job_mount(struct job *job, const char *chain_id, struct error *err)
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

void job_hold(struct job *job, const char *chain_id)
{
    if (*chain_id == 0)
        return;
    store_layer_hold(job->builder->store, chain_id);
    strv_add(&job->held_layers, chain_id);
}

int job_find_image(struct job *job, const char *name, struct image **out, struct error *err)
{
    const struct build_worker *worker = &job->builder->worker;
    struct error why = {};

    if (!job->options->pull || !worker->pull) {
        if (store_image_find(job->builder->store, name, out, &why) == 0)
            return 0;
        if (why.kind != ERROR_NOT_FOUND || !worker->pull)
            return error_set(err, why.kind, "%s", why.text);
    }
    if (worker->pull(worker->data, name, job->options, err) < 0)
        return -1;
    return store_image_find(job->builder->store, name, out, err);
}

int job_find_chain(struct job *job, size_t index, const char *name, char out[DIGEST_TEXT_SIZE],
                   struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    size_t source;

    if (graph_find_source(&job->graph, index, name, &source, err) < 0)
        return -1;
    if (source != NO_STAGE) {
        if (job_build_stage(job, source, err) < 0)
            return -1;
        snprintf(out, DIGEST_TEXT_SIZE, "%s", job->stages[source].chain_id);
        return 0;
    }
    if (job_find_image(job, name, &image, err) < 0)
        return error_context(err, "invalid from flag value %s", name);
    snprintf(out, DIGEST_TEXT_SIZE, "%s", image->chain_id);
    job_hold(job, out);
    return 0;
}

/* FROM: gives the stage its beginning. */
static int begin_stage(struct job *job, size_t index, struct error *err)
{
    const struct build_stage *plan = &job->graph.stages[index];
    struct stage *stage = &job->stages[index];
    CLEANUP(image_unref) struct image *image = NULL;

    if (plan->base_stage != NO_STAGE) {
        if (job_build_stage(job, plan->base_stage, err) < 0)
            return -1;
        stage_begin_stage(stage, &job->args, &job->stages[plan->base_stage]);
        return 0;
    }
    if (strcmp(plan->base, "scratch") == 0) {
        stage_begin_scratch(stage, &job->args);
        return 0;
    }
    if (job_find_image(job, plan->base, &image, err) < 0)
        return -1;
    stage_begin_image(stage, &job->args, image);
    job_hold(job, stage->chain_id);
    return 0;
}

static int run_triggers(struct job *job, size_t index, struct error *err)
{
    const struct strv *triggers = &job->stages[index].triggers;

    if (triggers->count > 0)
        output_triggers(&job->output, triggers->count);
    for (size_t i = 0; i < triggers->count; i++) {
        CLEANUP(instruction_done) struct instruction instruction = {};

        if (dockerfile_parse_line(triggers->items[i], job->file.escape, &instruction, err) < 0 ||
            instruction_check(&instruction, err) < 0)
            return error_context(err, "build trigger %s", triggers->items[i]);
        if (instruction.kind->type == INSTRUCTION_FROM)
            return error_set(err, ERROR_INVALID, "FROM isn't allowed as an ONBUILD trigger");
        if (step_carry_out(job, index, &instruction, err) < 0)
            return -1;
    }
    return 0;
}

static int check_job(struct job *job, struct error *err)
{
    if (check_cancelled(job->options->cancel_fd, err) == 0)
        return 0;
    output_text(&job->output, "Build cancelled\n");
    return -1;
}

int job_build_stage(struct job *job, size_t index, struct error *err)
{
    const struct build_stage *plan = &job->graph.stages[index];
    struct stage *stage = &job->stages[index];

    if (job->is_built[index])
        return 0;
    if (!plan->base)
        return error_set(err, ERROR_INVALID, "the stage %zu is not part of this build", index);
    if (check_job(job, err) < 0)
        return -1;
    output_step(&job->output, plan->from->text);
    if (begin_stage(job, index, err) < 0 || run_triggers(job, index, err) < 0)
        return -1;
    output_image(&job->output, stage->image_id);
    for (size_t i = 0; i < plan->step_count; i++) {
        if (check_job(job, err) < 0)
            return -1;
        output_step(&job->output, plan->steps[i].text);
        if (step_carry_out(job, index, &plan->steps[i], err) < 0)
            return -1;
        output_image(&job->output, stage->image_id);
    }
    job->is_built[index] = true;
    return 0;
}
