/* Execs: remembered from their creation until the container stops. */
#include "engine/exec.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

#define KEPT_NS (600 * NS_PER_S) /* after its end, for inspect */

void exec_info_unref(struct exec_info *info)
{
    if (!info || __atomic_sub_fetch(&info->reference_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    json_fields_done(exec_config_fields, &info->config);
    free(info);
}

static struct exec_info *info_copy(const struct exec_info *info)
{
    struct exec_info *copy = NEW(struct exec_info);

    /* All but the count, which others change meanwhile. */
    memcpy(copy->id, info->id, sizeof(*info) - offsetof(struct exec_info, id));
    copy->reference_count = 1;
    json_fields_copy(exec_config_fields, &info->config, &copy->config);
    return copy;
}

static void exec_unref(struct exec *exec)
{
    if (!exec || atomic_fetch_sub(&exec->reference_count, 1) > 1)
        return;
    exec_info_unref(exec->info);
    mutex_done(&exec->lock);
    free(exec);
}
CLEANUP_POINTER(exec_unref, struct exec)

static struct exec_info *snapshot(struct exec *exec)
{
    mutex_lock(&exec->lock);
    struct exec_info *info = exec->info;
    __atomic_add_fetch(&info->reference_count, 1, __ATOMIC_RELAXED);
    mutex_unlock(&exec->lock);
    return info;
}

static int find(struct engine *engine, const char *id, struct exec **out, struct error *err)
{
    mutex_lock(&engine->lock);
    struct exec *exec = map_get(&engine->execs, id);
    if (exec)
        atomic_fetch_add(&exec->reference_count, 1);
    mutex_unlock(&engine->lock);
    if (!exec)
        return error_set(err, ERROR_NOT_FOUND, "No such exec instance: %s", id);
    *out = exec;
    return 0;
}

/* The container must run and be able to take a further process. 'shown' is how the texts name it.
 */
static int check_container(const struct container_info *info, const char *shown, struct error *err)
{
    if (info->state == CONTAINER_PAUSED)
        return error_set(err, ERROR_CONFLICT,
                         "Container %s is paused, unpause the container before exec", shown);
    if (info->state == CONTAINER_RESTARTING)
        return error_set(err, ERROR_CONFLICT,
                         "Container %s is restarting, wait until the container is running",
                         info->id);
    if (info->state != CONTAINER_RUNNING)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", info->id);
    return 0;
}

static void exec_event(struct container *container, const struct exec_info *exec,
                       const char *action, bool with_command, const char *exit_code)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(map_done) struct map attributes = {};
    CLEANUP(free) char *command = strv_join(&exec->config.cmd, " ");
    CLEANUP(free)
    char *text = with_command ? xasprintf("%s: %s%s", action, command,
                                          exec->config.cmd.count == 1 ? " " : "")
                              : xstrdup(action);

    map_set_text(&attributes, "execID", exec->id);
    if (exit_code)
        map_set_text(&attributes, "exitCode", exit_code);
    container_event(container, info, text, &attributes);
}

/* Those that ended long ago: nobody asks for their exit codes any more. */
static void forget_old(struct engine *engine)
{
    int64_t old_ns = clock_wall_ns() - KEPT_NS;

    mutex_lock(&engine->lock);
    for (size_t i = engine->execs.count; i-- > 0;) {
        struct exec *exec = engine->execs.entries[i].value;

        mutex_lock(&exec->lock);
        bool is_old = !exec->info->is_running && exec->ended_ns && exec->ended_ns < old_ns;
        mutex_unlock(&exec->lock);
        if (is_old) {
            map_take(&engine->execs, exec->id);
            exec_unref(exec);
        }
    }
    mutex_unlock(&engine->lock);
}

int engine_exec_create(struct engine *engine, const char *text, const struct exec_config *config,
                       char out_id[65], struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (!config->cmd.count)
        return error_set(err, ERROR_INVALID, "No exec command specified");
    if (container_find(engine, text, &container, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (check_container(info, info->name, err) < 0)
        return -1;
    forget_old(engine);
    struct exec *exec = NEW(struct exec);
    exec->reference_count = 1;
    mutex_init(&exec->lock);
    id_generate(exec->id);
    exec->info = NEW(struct exec_info);
    exec->info->reference_count = 1;
    memcpy(exec->info->id, exec->id, sizeof(exec->id));
    memcpy(exec->info->container_id, container->id, sizeof(container->id));
    json_fields_copy(exec_config_fields, config, &exec->info->config);
    if (text_is_empty(config->user) && !text_is_empty(info->config.user)) {
        free(exec->info->config.user);
        exec->info->config.user = xstrdup(info->config.user);
    }
    memcpy(out_id, exec->id, sizeof(exec->id));
    CLEANUP(exec_info_unref) struct exec_info *created = snapshot(exec);
    mutex_lock(&engine->lock);
    map_set(&engine->execs, exec->id, exec);
    mutex_unlock(&engine->lock);
    exec_event(container, created, "exec_create", true, NULL);
    return 0;
}

int engine_exec_get(struct engine *engine, const char *id, struct exec_info **out,
                    struct error *err)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;

    if (find(engine, id, &exec, err) < 0)
        return -1;
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    CLEANUP(container_unref)
    struct container *container = container_find_id(engine, info->container_id);
    CLEANUP(shim_unref) struct shim *shim = container ? container_shim(container) : NULL;
    if (info->is_running && shim) {
        /* An answer from the supervisor comes behind all that it had to tell before. */
        struct shim_status ignored_status;
        struct error ignored;

        shim_get_status(shim, &ignored_status, &ignored);
    }
    *out = snapshot(exec);
    return 0;
}

int engine_exec_start_check(struct engine *engine, const char *id, bool detach, struct error *err)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;

    if (find(engine, id, &exec, err) < 0)
        return -1;
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    CLEANUP(container_unref)
    struct container *container = container_find_id(engine, info->container_id);
    if (!container)
        return error_set(err, ERROR_NOT_FOUND, "No such exec instance: %s", id);
    CLEANUP(container_info_unref) struct container_info *owner = container_snapshot(container);
    if (check_container(owner, owner->id, err) < 0)
        return -1;
    if (detach && (info->is_running || info->has_started))
        return error_set(err, ERROR_CONFLICT, "exec command %s is already running", id);
    return 0;
}

/* Text to a client that was upgraded already: there is no status line left to put it in. */
static void tell_client(int fd, bool framed, const struct error *err)
{
    CLEANUP(free) char *text = xasprintf("%s\r\n", err->text);
    uint32_t size = htonl((uint32_t)strlen(text));
    unsigned char head[8] = { 1 };
    struct error ignored;

    memcpy(head + 4, &size, sizeof(size));
    if (framed && fd_write_all(fd, head, sizeof(head), &ignored) < 0)
        return;
    fd_write_all(fd, text, strlen(text), &ignored);
}

static int run(struct engine *engine, struct exec *exec, const struct exec_info *info,
               int *client_fd, const struct shim_stream_options *options, struct error *err)
{
    CLEANUP(container_unref)
    struct container *container = container_find_id(engine, info->container_id);
    struct runtime_process process = {};
    pid_t pid = 0;

    if (!container)
        return error_set(err, ERROR_NOT_FOUND, "No such exec instance: %s", exec->id);
    CLEANUP(container_info_unref) struct container_info *owner = container_snapshot(container);
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    if (!shim)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
    if (exec_runtime_process(engine, owner, &info->config, &process, err) < 0)
        return -1;
    exec_event(container, info, "exec_start", true, NULL);
    container_list_exec(container, exec->id, true);
    int result = shim_exec(shim, exec->id, &process, client_fd, options, &pid, err);
    json_fields_done(runtime_process_fields, &process);
    if (result < 0) {
        container_list_exec(container, exec->id, false);
        return error_context(
            err, "OCI runtime exec failed: exec failed: unable to start container process");
    }
    mutex_lock(&exec->lock);
    if (exec->info->is_running) { /* not ended meanwhile */
        struct exec_info *next = info_copy(exec->info);

        next->pid = pid;
        exec_info_unref(exec->info);
        exec->info = next;
    }
    mutex_unlock(&exec->lock);
    return 0;
}

/* Marks it as started; false if somebody did before. */
static bool claim(struct exec *exec)
{
    mutex_lock(&exec->lock);
    bool is_first = !exec->info->has_started;
    if (is_first) {
        struct exec_info *next = info_copy(exec->info);

        next->has_started = next->is_running = true;
        exec_info_unref(exec->info);
        exec->info = next;
    }
    mutex_unlock(&exec->lock);
    return is_first;
}

static void end(struct exec *exec, int exit_code)
{
    mutex_lock(&exec->lock);
    struct exec_info *next = info_copy(exec->info);
    next->is_running = false;
    next->has_exited = true;
    next->exit_code = exit_code;
    exec_info_unref(exec->info);
    exec->info = next;
    exec->ended_ns = clock_wall_ns();
    mutex_unlock(&exec->lock);
}

int engine_exec_start(struct engine *engine, const char *id, int client_fd,
                      const struct shim_stream_options *options, struct error *err)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;
    CLEANUP(close) int fd = client_fd;
    int result;

    if (find(engine, id, &exec, err) < 0)
        return -1;
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    if (!claim(exec)) {
        result = error_set(err, ERROR_CONFLICT, "exec command %s has already run", id);
    } else {
        result = run(engine, exec, info, &fd, options, err);
        if (result < 0)
            end(exec, start_failure_code(err));
    }
    if (result < 0 && fd >= 0)
        tell_client(fd, options->framed, err);
    if (result < 0 && (err->kind == ERROR_NOT_FOUND || err->kind == ERROR_FORBIDDEN))
        err->kind = ERROR_INVALID;
    return result;
}

int engine_exec_resize(struct engine *engine, const char *id, int height, int width,
                       struct error *err)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;

    if (find(engine, id, &exec, err) < 0)
        return -1;
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    CLEANUP(container_unref)
    struct container *container = container_find_id(engine, info->container_id);
    CLEANUP(shim_unref) struct shim *shim = container ? container_shim(container) : NULL;
    if (!shim)
        return error_set(err, ERROR_NOT_FOUND, "No such exec instance: %s", id);
    return shim_resize(shim, id, height, width, err);
}

void exec_exited(struct engine *engine, const char *container_id, const char *exec_id,
                 int exit_code)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;
    CLEANUP(container_unref) struct container *container = container_find_id(engine, container_id);
    struct error ignored;
    char code[16];

    if (!container || find(engine, exec_id, &exec, &ignored) < 0)
        return;
    end(exec, exit_code);
    container_list_exec(container, exec_id, false);
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    snprintf(code, sizeof(code), "%d", exit_code);
    exec_event(container, info, "exec_die", false, code);
}

/* The container stopped: what ran in it is over and no longer asked for, but an exit code that a
 * client is about to read stays until the next run of the container ends. */
void execs_forget(struct engine *engine, const char *container_id)
{
    int64_t old_ns = clock_wall_ns() - 60 * NS_PER_S;

    mutex_lock(&engine->lock);
    for (size_t i = engine->execs.count; i-- > 0;) {
        struct exec *exec = engine->execs.entries[i].value;

        mutex_lock(&exec->lock);
        bool is_theirs = strcmp(exec->info->container_id, container_id) == 0;
        bool is_fresh = exec->info->is_running || exec->ended_ns > old_ns;
        if (is_theirs && exec->info->is_running) {
            struct exec_info *next = info_copy(exec->info);

            next->is_running = false;
            next->has_exited = true;
            next->exit_code = 137;
            exec_info_unref(exec->info);
            exec->info = next;
            exec->ended_ns = clock_wall_ns();
        }
        mutex_unlock(&exec->lock);
        if ((is_theirs && !is_fresh) ||
            (!is_theirs && exec->ended_ns && exec->ended_ns < old_ns - 600 * NS_PER_S)) {
            map_take(&engine->execs, exec->id);
            exec_unref(exec);
        }
    }
    mutex_unlock(&engine->lock);
}

void execs_free(struct engine *engine)
{
    mutex_lock(&engine->lock);
    MAP_EACH (&engine->execs, entry)
        exec_unref(entry->value);
    map_done(&engine->execs);
    mutex_unlock(&engine->lock);
}
