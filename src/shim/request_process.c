/* Signals, sizes, clients and further processes. */
#include "shim/request_process.h"

#include <limits.h>

#include "base/memory.h"
#include "shim/attach.h"
#include "shim/task.h"

#include "base/banned.h"

static int find(struct supervisor *shim, const struct wire_message *request, struct task **out,
                struct error *err)
{
    const char *exec_id = wire_get_text(request, WIRE_FIELD_EXEC_ID);
    struct task *task = supervisor_find(shim, exec_id);

    if (!task && exec_id)
        return error_set(err, ERROR_NOT_FOUND, "no such exec instance: %s", exec_id);
    if (!task || task->has_exited)
        return error_set(err, ERROR_CONFLICT, "the process is not running");
    *out = task;
    return 0;
}

int request_signal(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err)
{
    struct task *task;

    if (find(shim, request, &task, err) < 0)
        return -1;
    return container_signal(&task->process, (int)wire_get_int(request, WIRE_FIELD_SIGNAL, 0), err);
}

int request_resize(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err)
{
    int64_t height = wire_get_int(request, WIRE_FIELD_HEIGHT, 0);
    int64_t width = wire_get_int(request, WIRE_FIELD_WIDTH, 0);
    struct task *task;

    if (find(shim, request, &task, err) < 0)
        return -1;
    if (task->process.console_fd < 0)
        return error_set(err, ERROR_CONFLICT, "the process has no terminal");
    if (height < 0 || height > USHRT_MAX || width < 0 || width > USHRT_MAX)
        return error_set(err, ERROR_INVALID, "a terminal cannot have that size");
    return container_resize(&task->process, (int)height, (int)width, err);
}

int request_attach(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err)
{
    struct client *client;

    if (!shim->init || shim->init->has_exited)
        return error_set(err, ERROR_CONFLICT, "the container is not running");
    if (client_new(shim, shim->init, request, &client, err) < 0)
        return -1;
    if (client_begin(client, request, err) == 0)
        return 0;
    client_free(client);
    return -1;
}

/* ---- exec */

static int decode_process(struct wire_message *request, struct runtime_process *out,
                          struct error *err)
{
    CLEANUP(buf_done) struct buf text = {};

    if (wire_get_blob(request, WIRE_FIELD_PROCESS, &text, err) < 0)
        return -1;
    return json_decode(runtime_process_fields, (const char *)buf_bytes(&text), text.size, out, err);
}

static int run_exec(struct supervisor *shim, struct task *task, struct runtime_process *process,
                    const struct task_stdio *stdio, struct error *err)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {};
    struct seccomp_program seccomp;

    if (request_read_config(shim, &config, err) < 0 || request_map_seccomp(shim, &seccomp, err) < 0)
        return -1;
    if (!process->oom_score_adj.is_set)
        process->oom_score_adj = config.process.oom_score_adj;
    struct exec_options options = {
        .init_pid = shim->init->process.pid,
        .process = process,
        .config = &config,
        .seccomp = seccomp.instructions ? &seccomp : NULL,
        .cgroup_path = shim->init->process.cgroup_path,
        .stdio = { stdio->fds[0], stdio->fds[1], stdio->fds[2] },
    };
    int result = container_exec(&options, &task->process, err);
    request_unmap_seccomp(&seccomp);
    return result;
}

/* The client's part is made first: once the process runs, nothing may fail any more. */
static int start_exec(struct supervisor *shim, struct wire_message *request, struct task *task,
                      struct runtime_process *process, struct error *err)
{
    int has_client = wire_get_int(request, WIRE_FIELD_CLIENT_FD, -1) >= 0;
    struct task_stdio stdio = { { -1, -1, -1 } };
    struct client *client = NULL;
    const bool wanted[3] = {
        has_client && wire_get_bool(request, WIRE_FIELD_STREAM_STDIN),
        has_client && wire_get_bool(request, WIRE_FIELD_STREAM_STDOUT),
        has_client && wire_get_bool(request, WIRE_FIELD_STREAM_STDERR),
    };

    if (has_client && client_new(shim, task, request, &client, err) < 0)
        return -1;
    int result = task_make_pipes(task, wanted, &stdio, err);
    if (result == 0)
        result = run_exec(shim, task, process, &stdio, err);
    task_stdio_close(&stdio);
    int64_t lifetime_ms = wire_get_int(request, WIRE_FIELD_LIFETIME_MS, 0);
    if (result == 0) {
        list_add(&shim->execs, &task->link);
        if (lifetime_ms > 0)
            task_limit_lifetime(task, lifetime_ms);
        task_serve(task, NULL);
    }
    if (client && (result < 0 || client_begin(client, request, NULL) < 0))
        client_free(client);
    return result;
}

int request_exec(struct supervisor *shim, struct wire_message *request, struct wire_message *reply,
                 struct error *err)
{
    const char *exec_id = wire_get_text(request, WIRE_FIELD_EXEC_ID);
    struct runtime_process process = {};
    int result = -1;

    if (!exec_id || supervisor_find(shim, exec_id))
        return error_set(err, ERROR_CONFLICT, "an exec has this name already");
    if (!shim->init || shim->init->has_exited || !shim->state.started_ns)
        return error_set(err, ERROR_CONFLICT, "the container is not running");
    if (decode_process(request, &process, err) < 0)
        return -1;

    struct task *task = task_new(shim, exec_id, process.terminal);
    task->closes_stdin = true;
    result = start_exec(shim, request, task, &process, err);
    if (result == 0)
        wire_put_int(reply, WIRE_FIELD_PID, task->process.pid);
    else
        task_free(task);
    supervisor_buffer(shim); /* sets the time of rest */
    json_fields_done(runtime_process_fields, &process);
    return result;
}
