/* Execs: remembered from their creation until the container stops, also across engines. */
#include "engine/exec.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/exec_record.h"
#include "engine/internal.h"

#include "base/banned.h"

#define KEPT_NS  (600 * NS_PER_S) /* after its end, for inspect */
#define FRESH_NS (60 * NS_PER_S)  /* also behind the end of its container */

enum { KILLED_CODE = 137, LOST_CODE = 255 };

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

/* Out of the map, with the lock held; out of the record afterwards. */
static void take_out(struct engine *engine, struct exec *exec, struct strv *out_ids)
{
    map_take(&engine->execs, exec->id);
    strv_add(out_ids, exec->id);
    exec_unref(exec);
}

static void remove_rows(struct engine *engine, const struct strv *ids)
{
    struct error err = {};

    for (size_t i = 0; i < ids->count; i++)
        if (exec_record_remove(engine->database, ids->items[i], &err) < 0)
            log_warn("cannot forget an exec", "exec", ids->items[i], "error", err.text);
}

/* Those that ended long ago: nobody asks for their exit codes any more. */
static void forget_old(struct engine *engine)
{
    int64_t old_ns = clock_wall_ns() - KEPT_NS;
    CLEANUP(strv_done) struct strv gone = {};

    mutex_lock(&engine->lock);
    for (size_t i = engine->execs.count; i-- > 0;) {
        struct exec *exec = engine->execs.entries[i].value;

        mutex_lock(&exec->lock);
        bool is_old = !exec->info->is_running && exec->ended_ns && exec->ended_ns < old_ns;
        mutex_unlock(&exec->lock);
        if (is_old)
            take_out(engine, exec, &gone);
    }
    mutex_unlock(&engine->lock);
    remove_rows(engine, &gone);
}

static struct exec *exec_new(struct exec_info *taken_info, int64_t ended_ns)
{
    struct exec *exec = NEW(struct exec);

    exec->reference_count = 1;
    mutex_init(&exec->lock);
    memcpy(exec->id, taken_info->id, sizeof(exec->id));
    exec->info = taken_info;
    exec->ended_ns = ended_ns;
    return exec;
}

/* 'user' of the container unless the exec has one of its own. */
static struct exec_info *info_new(const struct container_info *container,
                                  const struct exec_config *config)
{
    struct exec_info *info = NEW(struct exec_info);

    info->reference_count = 1;
    id_generate(info->id);
    memcpy(info->container_id, container->id, sizeof(info->container_id));
    json_fields_copy(exec_config_fields, config, &info->config);
    if (text_is_empty(config->user) && !text_is_empty(container->config.user)) {
        free(info->config.user);
        info->config.user = xstrdup(container->config.user);
    }
    return info;
}

int engine_exec_create(struct engine *engine, const char *text, const struct exec_config *config,
                       char out_id[65], struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    CLEANUP(user_identity_done) struct user_identity ignored = {};

    if (!config->cmd.count)
        return error_set(err, ERROR_INVALID, "No exec command specified");
    if (container_find(engine, text, &container, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (check_container(info, info->name, err) < 0)
        return -1;
    if (!text_is_empty(config->user) &&
        container_user_look_up(info, config->user, &ignored, err) < 0)
        return -1;
    forget_old(engine);
    struct exec *exec = exec_new(info_new(info, config), 0);
    CLEANUP(exec_info_unref) struct exec_info *created = snapshot(exec);
    if (exec_record_add(engine->database, created, err) < 0) {
        exec_unref(exec);
        return -1;
    }
    memcpy(out_id, created->id, sizeof(created->id));
    mutex_lock(&engine->lock);
    map_set(&engine->execs, exec->id, exec);
    mutex_unlock(&engine->lock);
    exec_event(container, created, "exec_create", true, NULL);
    return 0;
}

/* A reference; NULL: it has none any more. */
static struct shim *shim_of(struct engine *engine, const struct exec_info *info)
{
    CLEANUP(container_unref)
    struct container *container = container_find_id(engine, info->container_id);

    return container ? container_shim(container) : NULL;
}

int engine_exec_get(struct engine *engine, const char *id, struct exec_info **out,
                    struct error *err)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;

    if (find(engine, id, &exec, err) < 0)
        return -1;
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    CLEANUP(shim_unref) struct shim *shim = shim_of(engine, info);
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

/* Text to a client that was upgraded already: there is no status line left to put it in. A
 * supervisor that does not answer may still have the socket in hand, so closing ends nothing. */
static void tell_client(int fd, bool framed, const struct error *err)
{
    CLEANUP(free) char *text = xasprintf("%s\r\n", err->text);
    uint32_t size = htonl((uint32_t)strlen(text));
    unsigned char head[8] = { 1 };
    struct error ignored;

    memcpy(head + 4, &size, sizeof(size));
    if (!framed || fd_write_all(fd, head, sizeof(head), &ignored) == 0)
        fd_write_all(fd, text, strlen(text), &ignored);
    shutdown(fd, SHUT_RDWR);
}

static void note_pid(struct engine *engine, struct exec *exec, pid_t pid)
{
    struct error err = {};

    mutex_lock(&exec->lock);
    struct exec_info *next = info_copy(exec->info);
    next->pid = pid;
    exec_info_unref(exec->info);
    exec->info = next;
    mutex_unlock(&exec->lock);
    if (exec_record_pid(engine->database, exec->id, pid, &err) < 0)
        log_warn("cannot record an exec", "exec", exec->id, "error", err.text);
}

static int run(struct engine *engine, struct exec *exec, const struct exec_info *info,
               const int64_t console_size[2], int *client_fd,
               const struct shim_stream_options *options, struct error *err)
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
    if (console_size && process.terminal) {
        process.console_height = console_size[0];
        process.console_width = console_size[1];
    }
    if (exec_record_claim(engine->database, exec->id, err) < 0) {
        json_fields_done(runtime_process_fields, &process);
        return -1;
    }
    exec_event(container, info, "exec_start", true, NULL);
    container_list_exec(container, exec->id, true);
    int result = shim_exec(shim, exec->id, &process, client_fd, options, &pid, err);
    json_fields_done(runtime_process_fields, &process);
    if (result < 0) {
        container_list_exec(container, exec->id, false);
        return error_context(
            err, "OCI runtime exec failed: exec failed: unable to start container process");
    }
    note_pid(engine, exec, pid);
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

/* False if that was known. */
static bool end(struct exec *exec, int exit_code)
{
    mutex_lock(&exec->lock);
    bool is_news = !exec->info->has_exited;
    if (is_news) {
        struct exec_info *next = info_copy(exec->info);

        next->is_running = false;
        next->has_started = next->has_exited = true;
        next->exit_code = exit_code;
        exec_info_unref(exec->info);
        exec->info = next;
        exec->ended_ns = clock_wall_ns();
    }
    mutex_unlock(&exec->lock);
    return is_news;
}

static void record_end(struct engine *engine, const char *id, int exit_code)
{
    struct error err = {};

    if (exec_record_end(engine->database, id, exit_code, clock_wall_ns(), &err) < 0)
        log_warn("cannot record the end of an exec", "exec", id, "error", err.text);
}

int engine_exec_start(struct engine *engine, const char *id, const int64_t console_size[2],
                      int client_fd, const struct shim_stream_options *options, struct error *err)
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
        result = run(engine, exec, info, console_size, &fd, options, err);
        if (result < 0) {
            end(exec, start_failure_code(err));
            record_end(engine, id, start_failure_code(err));
        }
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
    CLEANUP(shim_unref) struct shim *shim = shim_of(engine, info);
    if (!shim)
        return error_set(err, ERROR_NOT_FOUND, "No such exec instance: %s", id);
    return shim_resize(shim, id, height, width, err);
}

/* ---- news from supervisors ---- */

struct exec_news {
    struct engine *engine;
    char container_id[65], exec_id[65];
    int exit_code;
};

/* The supervisor remembers the end until the record has it. */
static void settle(void *data)
{
    CLEANUP(free) struct exec_news *news = data;
    CLEANUP(container_unref)
    struct container *container = container_find_id(news->engine, news->container_id);
    CLEANUP(shim_unref) struct shim *shim = container ? container_shim(container) : NULL;

    record_end(news->engine, news->exec_id, news->exit_code);
    if (shim)
        shim_exec_heard(shim, news->exec_id);
}

void exec_exited(struct engine *engine, const char *container_id, const char *exec_id,
                 int exit_code)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;
    CLEANUP(container_unref) struct container *container = container_find_id(engine, container_id);
    struct error ignored;
    char code[16];

    struct exec_news *news = NEW(struct exec_news);
    *news = (struct exec_news){ .engine = engine, .exit_code = exit_code };
    snprintf(news->container_id, sizeof(news->container_id), "%s", container_id);
    snprintf(news->exec_id, sizeof(news->exec_id), "%s", exec_id);
    work_submit(engine->work, 0, settle, free, news);
    if (!container || find(engine, exec_id, &exec, &ignored) < 0 || !end(exec, exit_code))
        return;
    container_list_exec(container, exec_id, false);
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    snprintf(code, sizeof(code), "%d", exit_code);
    exec_event(container, info, "exec_die", false, code);
    health_exec_exited(engine, exec_id, exit_code);
}

/* Nobody asks for its exit code: it was a probe. */
void exec_forget(struct engine *engine, const char *id)
{
    struct error err = {};

    mutex_lock(&engine->lock);
    struct exec *exec = map_take(&engine->execs, id);
    mutex_unlock(&engine->lock);
    exec_unref(exec);
    if (exec_record_remove(engine->database, id, &err) < 0)
        log_warn("cannot forget an exec", "exec", id, "error", err.text);
}

void exec_detached(struct engine *engine, const char *container_id, const char *exec_id)
{
    CLEANUP(exec_unref) struct exec *exec = NULL;
    CLEANUP(container_unref) struct container *container = container_find_id(engine, container_id);
    struct error ignored;

    if (!container || find(engine, exec_id, &exec, &ignored) < 0)
        return;
    CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);
    exec_event(container, info, "exec_detach", false, NULL);
}

/* ---- a new engine ---- */

static void take_loaded(void *data, struct exec_info *info, int64_t ended_ns)
{
    struct engine *engine = data;
    struct exec *exec = exec_new(info, ended_ns);

    mutex_lock(&engine->lock);
    map_set(&engine->execs, exec->id, exec);
    mutex_unlock(&engine->lock);
}

int execs_load(struct engine *engine, struct error *err)
{
    if (exec_record_load(engine->database, clock_wall_ns() - KEPT_NS, take_loaded, engine, err) < 0)
        return error_context(err, "load the execs");
    return 0;
}

/* What the record says is running in that container. */
static void list_running(struct container *container, struct strv *out_ids)
{
    struct engine *engine = container->engine;

    mutex_lock(&engine->lock);
    MAP_EACH (&engine->execs, entry) {
        CLEANUP(exec_info_unref) struct exec_info *info = snapshot(entry->value);

        if (info->is_running && strcmp(info->container_id, container->id) == 0)
            strv_add(out_ids, info->id);
    }
    mutex_unlock(&engine->lock);
}

/* The supervisor has told of all that ended meanwhile before it answers. One that it does not know
 * at all was claimed, but its supervisor never heard of it: the crash fell in between. */
void execs_take_over(struct container *container, struct shim *shim)
{
    CLEANUP(strv_done) struct strv living = {}, running = {};
    struct error err = {};

    if (shim_list_execs(shim, &living, &err) < 0) {
        log_warn("cannot ask for the execs of a container", "container", container->id, "error",
                 err.text);
        return;
    }
    list_running(container, &running);
    for (size_t i = 0; i < running.count; i++) {
        if (strv_contains(&living, running.items[i]))
            container_list_exec(container, running.items[i], true);
        else
            exec_exited(container->engine, container->id, running.items[i], LOST_CODE);
    }
}

/* The container stopped: what ran in it is over and no longer asked for, but an exit code that a
 * client is about to read stays until the next run of the container ends. */
void execs_forget(struct engine *engine, const char *container_id)
{
    int64_t old_ns = clock_wall_ns() - FRESH_NS;
    CLEANUP(strv_done) struct strv ended = {}, gone = {};

    mutex_lock(&engine->lock);
    for (size_t i = engine->execs.count; i-- > 0;) {
        struct exec *exec = engine->execs.entries[i].value;
        CLEANUP(exec_info_unref) struct exec_info *info = snapshot(exec);

        if (strcmp(info->container_id, container_id) != 0)
            continue;
        if (info->is_running && end(exec, KILLED_CODE))
            strv_add(&ended, exec->id);
        else if (!info->is_running && exec->ended_ns < old_ns)
            take_out(engine, exec, &gone);
    }
    mutex_unlock(&engine->lock);
    for (size_t i = 0; i < ended.count; i++)
        record_end(engine, ended.items[i], KILLED_CODE);
    remove_rows(engine, &gone);
}

void execs_free(struct engine *engine)
{
    mutex_lock(&engine->lock);
    MAP_EACH (&engine->execs, entry)
        exec_unref(entry->value);
    map_done(&engine->execs);
    mutex_unlock(&engine->lock);
}
