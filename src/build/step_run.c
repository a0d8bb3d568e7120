/* RUN. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "build/source.h"
#include "build/step.h"

#include "base/banned.h"

/* "|2 A=x B=y /bin/sh -c command": the build arguments in effect stand in front. */
static char *history_text(const struct strv *visible, const struct strv *command)
{
    CLEANUP(strv_done) struct strv words = {};

    if (visible->count > 0)
        strv_add_format(&words, "|%zu", visible->count);
    strv_add_all(&words, visible);
    strv_add_all(&words, command);
    return strv_join(&words, " ");
}

static void run_key(const struct stage *stage, const struct strv *visible,
                    const struct strv *command, const char *network_mode, char out[DIGEST_SIZE])
{
    CLEANUP(cache_key_free) struct cache_key *key = cache_key_new();

    cache_key_add(key, stage->image_id);
    cache_key_add(key, "RUN");
    cache_key_add_list(key, visible);
    cache_key_add_list(key, command);
    cache_key_add(key, network_mode);
    cache_key_finish(key, out);
}

static int network_mode(const struct job *job, const struct instruction *instruction,
                        const char **out, struct error *err)
{
    const char *flag = instruction_flag(instruction, "network");

    *out = text_is_empty(job->options->network_mode) ? "default" : job->options->network_mode;
    if (!flag || strcmp(flag, "default") == 0)
        return 0;
    if (strcmp(flag, "none") != 0 && strcmp(flag, "host") != 0)
        return error_set(err, ERROR_INVALID, "invalid network mode %s (line %d)", flag,
                         instruction->line);
    *out = flag;
    return 0;
}

static void began(void *data, const char *id)
{
    output_running(data, id);
}

static void said(void *data, bool is_stderr, const char *text, size_t size)
{
    if (is_stderr) {
        output_error_text(data, text, size);
        return;
    }

    CLEANUP(free) char *copied = xstrndup(text, size);
    output_text(data, copied);
}

/* Runs the command on what the stage is so far; its changes are in 'writable' afterwards. */
static int run(struct job *job, struct stage *stage, const struct strv *command,
               const char *network, const struct writable *writable, struct error *err)
{
    const struct build_worker *worker = &job->builder->worker;
    const struct container_config *config = &stage->image.config;
    CLEANUP(strv_done) struct strv environment = {};
    struct build_run step = job->options->limits;

    stage_environment(stage, &environment);
    step.chain_id = stage->chain_id;
    step.writable = writable;
    step.arguments = command;
    step.environment = &environment;
    step.working_dir = text_is_empty(config->working_dir) ? "/" : config->working_dir;
    step.user = config->user ? config->user : "";
    step.network_mode = network;
    step.extra_hosts = job->options->extra_hosts;
    job->exit_code = 0;
    if (worker->run(worker->data, &step, began, said, &job->output, job->options->cancel_fd,
                    &job->exit_code, err) < 0)
        return -1;
    if (job->exit_code == 0)
        return 0;

    CLEANUP(free) char *joined = strv_join(command, " ");
    return error_set(err, ERROR_INTERNAL, "The command '%s' returned a non-zero code: %d", joined,
                     job->exit_code);
}

static int run_to_layer(struct job *job, struct stage *stage, const struct strv *command,
                        const char *network, struct layer *out, struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(writable_done) struct writable writable = {};

    if (store_writable_new(store, &writable, err) < 0)
        return -1;
    if (run(job, stage, command, network, &writable, err) < 0) {
        store_writable_remove(store, &writable, NULL);
        if (job->options->force_remove)
            output_removed(&job->output);
        return -1;
    }
    return step_make_layer(job, stage, &writable, out, err);
}

int step_run(struct job *job, struct stage *stage, const struct instruction *instruction,
             struct error *err)
{
    CLEANUP(strv_done) struct strv command = {}, visible = {};
    char key[DIGEST_SIZE];
    const char *network;
    struct layer layer;

    if (network_mode(job, instruction, &network, err) < 0)
        return -1;
    config_command(&stage->image.config, instruction, &command);
    build_args_visible(&stage->args, &stage->image.config.env, true, &visible);
    run_key(stage, &visible, &command, network, key);

    int found = step_probe(job, stage, key, err);
    if (found != 0)
        return MIN(found, 0);
    int made = run_to_layer(job, stage, &command, network, &layer, err);
    if (made < 0)
        return -1;

    CLEANUP(free) char *created_by = history_text(&visible, &command);
    if (step_finish(job, stage, key, created_by, made > 0 ? &layer : NULL, err) < 0)
        return -1;
    if (job->options->remove_intermediate || job->options->force_remove)
        output_removed(&job->output);
    return 0;
}
