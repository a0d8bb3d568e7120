/* RUN. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "build/heredoc.h"
#include "build/run_mounts.h"
#include "build/source.h"
#include "build/step.h"
#include "linux/binfmt.h"

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

/* What one RUN needs besides its stage. */
struct run_request {
    const struct instruction *instruction;
    struct strv command, visible;
    const char *network;
    bool is_privileged;
    struct run_mounts mounts;
};

static int run_key(struct job *job, size_t stage_index, const struct run_request *request,
                   char out[DIGEST_SIZE], struct error *err)
{
    CLEANUP(cache_key_free) struct cache_key *key = cache_key_new();
    const struct stage *stage = &job->stages[stage_index];
    const struct heredoc *script = heredoc_script(request->instruction);

    cache_key_add(key, stage->state_id);
    cache_key_add(key, "RUN");
    cache_key_add_list(key, &request->visible);
    cache_key_add_list(key, &request->command);
    cache_key_add(key, request->network);
    if (request->is_privileged)
        cache_key_add(key, "insecure");
    if (script && heredoc_has_interpreter(script))
        cache_key_add(key, script->content);
    if (run_mounts_add_key(job, stage_index, &request->mounts, key, err) < 0)
        return -1;
    cache_key_finish(key, out);
    return 0;
}

static int security(const struct job *job, const struct instruction *instruction, bool *out,
                    struct error *err)
{
    const char *flag = instruction_flag(instruction, "security");
    const struct strv *allowed = job->options->entitlements;

    *out = false;
    if (!flag || strcmp(flag, "sandbox") == 0)
        return 0;
    if (strcmp(flag, "insecure") != 0)
        return error_set(err, ERROR_INVALID,
                         "security mode \"%s\" is not valid: sandbox or insecure (line %d)", flag,
                         instruction->line);
    if (!allowed || !strv_contains(allowed, "security.insecure"))
        return error_set(err, ERROR_FORBIDDEN,
                         "security.insecure is not allowed: build with --allow security.insecure "
                         "(line %d)",
                         instruction->line);
    *out = true;
    return 0;
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
    output_said(data, is_stderr, text, size);
}

static size_t list_mounts(const struct run_mounts *mounts, struct build_mount *out)
{
    size_t count = 0;

    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].fd >= 0)
            out[count++] = (struct build_mount){ mounts->items[i].target, mounts->items[i].fd };
    return count;
}

/* Programs of other machines run where an emulator is registered for them. */
static int check_machine(const struct stage *stage, const struct instruction *instruction,
                         struct error *err)
{
    static const char *const compatible[][2] = { { "amd64", "386" }, { "arm64", "arm" } };
    const char *native = image_native_architecture(), *wanted = stage->image.architecture;

    if (text_is_empty(wanted) || strcmp(wanted, native) == 0 || binfmt_runs(BINFMT_PATH, wanted))
        return 0;
    for (size_t i = 0; i < COUNT(compatible); i++)
        if (strcmp(compatible[i][0], native) == 0 && strcmp(compatible[i][1], wanted) == 0)
            return 0;
    return error_set(err, ERROR_UNSUPPORTED,
                     "%s: this machine (linux/%s) cannot run programs for linux/%s: no emulator is "
                     "registered for them with binfmt_misc (flag F)",
                     instruction->text, native, wanted);
}

/* Runs the command on what the stage is so far; its changes are in 'writable' afterwards. */
static int run(struct job *job, struct stage *stage, const struct run_request *request,
               const struct writable *writable, struct error *err)
{
    const struct build_worker *worker = &job->builder->worker;
    const struct container_config *config = &stage->image.config;
    CLEANUP(strv_done) struct strv environment = {};
    struct build_mount mounts[RUN_MOUNT_LIMIT + 1];
    struct build_run step = job->options->limits;
    int exit_code = 0;

    stage_environment(stage, &environment);
    strv_add_all(&environment, &request->mounts.hidden_environment);
    step.chain_id = stage->chain_id;
    step.writable = writable;
    step.arguments = &request->command;
    step.environment = &environment;
    step.working_dir = text_is_empty(config->working_dir) ? "/" : config->working_dir;
    step.user = config->user ? config->user : "";
    step.network_mode = request->network;
    step.extra_hosts = job->options->extra_hosts;
    step.hostname = job->options->hostname ? job->options->hostname : BUILD_HOSTNAME;
    step.mounts = mounts;
    step.mount_count = list_mounts(&request->mounts, mounts);
    step.is_privileged = request->is_privileged;
    if (worker->run(worker->data, &step, began, said, &stage->output, job->cancel_fd, &exit_code,
                    err) < 0)
        return -1;
    if (exit_code == 0)
        return 0;
    mutex_lock(&job->lock);
    job->exit_code = exit_code;
    mutex_unlock(&job->lock);

    CLEANUP(free) char *joined = strv_join(&request->command, " ");
    return error_set(err, ERROR_INTERNAL, "The command '%s' returned a non-zero code: %d", joined,
                     exit_code);
}

static int run_on(struct job *job, size_t stage_index, struct run_request *request,
                  const struct writable *writable, struct error *err)
{
    struct stage *stage = &job->stages[stage_index];

    if (run_mounts_make(job, stage_index, request->instruction, &request->mounts, err) < 0 ||
        run(job, stage, request, writable, err) < 0)
        return -1;
    run_mounts_tidy(job, stage, &request->mounts, writable);
    return times_settle(job, writable, err);
}

static int run_to_layer(struct job *job, size_t stage_index, struct run_request *request,
                        struct layer *out, struct error *err)
{
    struct store *store = job->builder->store;
    struct stage *stage = &job->stages[stage_index];
    CLEANUP(writable_done) struct writable writable = {};

    if (store_writable_new(store, &writable, err) < 0)
        return -1;
    if (run_on(job, stage_index, request, &writable, err) < 0) {
        store_writable_remove(store, &writable, NULL);
        if (job->options->force_remove)
            output_removed(&stage->output);
        return -1;
    }
    return step_make_layer(job, stage, &writable, NULL, out, err);
}

/* Does the history say all that matters for the result? Caches and secrets do not. */
static bool is_told_by_text(const struct run_request *request)
{
    const struct heredoc *script = heredoc_script(request->instruction);

    for (size_t i = 0; i < request->mounts.count; i++)
        if (request->mounts.items[i].rule.type == MOUNT_BIND)
            return false;
    return !request->is_privileged && strcmp(request->network, "default") == 0 &&
           !(script && heredoc_has_interpreter(script));
}

static int carry_out(struct job *job, size_t stage_index, struct run_request *request,
                     struct error *err)
{
    struct stage *stage = &job->stages[stage_index];
    const struct instruction *instruction = request->instruction;
    char key[DIGEST_SIZE];
    struct layer layer;

    if (network_mode(job, instruction, &request->network, err) < 0 ||
        security(job, instruction, &request->is_privileged, err) < 0 ||
        run_mounts_read(job, stage, instruction, &request->mounts, err) < 0)
        return -1;
    config_command(&stage->image.config, instruction, &request->command);
    build_args_visible(&stage->args, &stage->image.config.env, true, &request->visible);
    if (run_key(job, stage_index, request, key, err) < 0)
        return -1;

    CLEANUP(free) char *created_by = history_text(&request->visible, &request->command);
    int found = step_probe(job, stage, key, is_told_by_text(request) ? created_by : NULL, err);
    if (found != 0)
        return MIN(found, 0);
    if (check_machine(stage, instruction, err) < 0)
        return -1;
    int made = run_to_layer(job, stage_index, request, &layer, err);
    if (made < 0)
        return -1;
    if (step_finish(job, stage, key, created_by, made > 0 ? &layer : NULL, err) < 0)
        return -1;
    if (job->options->remove_intermediate || job->options->force_remove)
        output_removed(&stage->output);
    return 0;
}

int step_run(struct job *job, size_t stage_index, const struct instruction *instruction,
             struct error *err)
{
    CLEANUP(free) struct run_request *request = NEW(struct run_request);

    request->instruction = instruction;
    int result = carry_out(job, stage_index, request, err);
    run_mounts_done(job, &request->mounts);
    strv_done(&request->command);
    strv_done(&request->visible);
    return result;
}
