/* Starting further processes. */
#include "shim/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shim/attach.h"
#include "shim/oci.h"
#include "shim/request.h"
#include "shim/request_process.h"
#include "shim/task.h"

#include "base/banned.h"

enum { START_LIMIT_MS = 10000, CODE_NOT_EXECUTABLE = 126, CODE_NOT_FOUND = 127, CODE_OTHER = 128 };

struct starting {
    struct list link; /* in supervisor->starting */
    struct supervisor *shim;
    struct task *task;
    struct client *client; /* NULL: detached */
    struct buf pending;
    uint32_t number; /* of the request; 0: nobody waits for the answer */
    struct source source;
    uint64_t deadline_ns;
    int height, width; /* 0: as it comes */
    pid_t runtime_pid; /* another runtime that starts it; 0: we do ourselves */
    struct oci_terminal terminal;
    bool has_ended; /* the child, already */
    int status;
    int64_t ended_ns;
};

/* ---- the end of a start */

static void starting_free(struct starting *starting)
{
    list_remove(&starting->link);
    loop_close_source(&starting->shim->loop, &starting->source);
    oci_terminal_done(&starting->terminal);
    if (starting->client)
        client_free(starting->client);
    if (starting->task)
        task_free(starting->task);
    buf_done(&starting->pending);
    loop_free(&starting->shim->loop, starting);
}

static void answer(struct starting *starting, const struct error *failure)
{
    CLEANUP(wire_done) struct wire_message reply = {};

    if (starting->number == 0)
        return;
    wire_init(&reply, WIRE_REPLY, starting->number);
    if (failure)
        wire_put_error(&reply, failure);
    else
        wire_put_int(&reply, WIRE_FIELD_PID, starting->task->process.pid);
    supervisor_send(starting->shim, &reply);
}

static int code_of(const struct error *failure)
{
    return failure->kind == ERROR_NOT_FOUND   ? CODE_NOT_FOUND
           : failure->kind == ERROR_FORBIDDEN ? CODE_NOT_EXECUTABLE
                                              : CODE_OTHER;
}

/* A daemon that has come meanwhile knows the exec as running. */
static void fail(struct starting *starting, const struct error *failure)
{
    answer(starting, failure);
    if (starting->number == 0)
        request_tell_exec_exit(starting->shim, starting->task->exec_id, code_of(failure),
                               clock_wall_ns());
    starting_free(starting);
}

static void succeed(struct starting *starting)
{
    struct task *task = TAKE(starting->task);
    struct client *client = TAKE(starting->client);

    list_add(&starting->shim->execs, &task->link);
    task_serve(task, NULL);
    if (starting->height > 0)
        container_resize(&task->process, starting->height, starting->width, NULL);
    starting->task = task;
    answer(starting, NULL);
    starting->task = NULL;
    if (client)
        client_begin(client, &starting->pending);
    if (starting->has_ended)
        task_exited(task, starting->status, starting->ended_ns);
    starting_free(starting);
}

static void process_ready(struct source *source, uint32_t events UNUSED)
{
    struct starting *starting = CONTAINER_OF(source, struct starting, source);
    struct error failure = {};
    int result = container_exec_continue(&starting->task->process, &failure);

    if (result < 0)
        fail(starting, &failure);
    else if (result > 0)
        succeed(starting);
    supervisor_buffer(starting->shim); /* sets the time of rest */
}

/* ---- the request */

static int decode_process(struct wire_message *request, struct runtime_process *out,
                          struct error *err)
{
    CLEANUP(buf_done) struct buf text = {};

    if (wire_get_blob(request, WIRE_FIELD_PROCESS, &text, err) < 0)
        return -1;
    return json_decode(runtime_process_fields, (const char *)buf_bytes(&text), text.size, out, err);
}

static int begin_process(struct supervisor *shim, struct task *task,
                         struct runtime_process *process, const struct task_stdio *stdio,
                         struct error *err)
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
    int result = container_exec_begin(&options, &task->process, err);
    request_unmap_seccomp(&seccomp);
    return result;
}

/* The client's part is made first: once the process runs, nothing may fail any more. */
static int begin(struct starting *starting, struct wire_message *request,
                 struct runtime_process *process, struct error *err)
{
    struct supervisor *shim = starting->shim;
    struct task *task = starting->task;
    bool has_client = wire_get_int(request, WIRE_FIELD_CLIENT_FD, -1) >= 0;
    struct task_stdio stdio = { { -1, -1, -1 } };
    const bool wanted[3] = {
        has_client && wire_get_bool(request, WIRE_FIELD_STREAM_STDIN),
        has_client && wire_get_bool(request, WIRE_FIELD_STREAM_STDOUT),
        has_client && wire_get_bool(request, WIRE_FIELD_STREAM_STDERR),
    };

    if (has_client && (client_new(shim, task, request, &starting->client, err) < 0 ||
                       wire_get_blob(request, WIRE_FIELD_PENDING, &starting->pending, err) < 0))
        return -1;
    int result = task_make_pipes(task, wanted, &stdio, err);
    if (result == 0)
        result = shim->runtime_path
                     ? oci_exec_begin(shim, task->exec_id, process, stdio.fds,
                                      &starting->runtime_pid, &starting->terminal, err)
                     : begin_process(shim, task, process, &stdio, err);
    task_stdio_close(&stdio);
    if (result < 0)
        return -1;
    if (starting->runtime_pid)
        return 0;
    int flags = fcntl(task->process.start_fd, F_GETFL);
    fcntl(task->process.start_fd, F_SETFL, flags | O_NONBLOCK);
    /* Of its own: the other is closed while this is still watched. */
    starting->source.fd = fcntl(task->process.start_fd, F_DUPFD_CLOEXEC, 3);
    if (starting->source.fd < 0) {
        container_exec_abandon(&task->process);
        return error_sys(err, "watch a process");
    }
    return 0;
}

int request_exec(struct supervisor *shim, struct wire_message *request, struct error *err)
{
    const char *exec_id = wire_get_text(request, WIRE_FIELD_EXEC_ID);
    struct runtime_process process = {};

    if (!exec_id || supervisor_find(shim, exec_id) || exec_is_starting(shim, exec_id))
        return error_set(err, ERROR_CONFLICT, "an exec has this name already");
    if (!shim->init || shim->init->has_exited || !shim->state.started_ns)
        return error_set(err, ERROR_CONFLICT, "the container is not running");
    if (decode_process(request, &process, err) < 0)
        return -1;

    struct starting *starting = NEW(struct starting);
    list_init(&starting->link);
    starting->shim = shim;
    starting->number = request->number;
    starting->source = (struct source){ .fd = -1, .ready = process_ready };
    starting->terminal = (struct oci_terminal){ -1, -1 };
    starting->deadline_ns = clock_monotonic_ns() + START_LIMIT_MS * NS_PER_MS;
    starting->task = task_new(shim, exec_id, process.terminal);
    starting->task->closes_stdin = true;
    int64_t lifetime_ms = wire_get_int(request, WIRE_FIELD_LIFETIME_MS, 0);
    if (lifetime_ms > 0)
        task_limit_lifetime(starting->task, lifetime_ms);
    int result = begin(starting, request, &process, err);
    json_fields_done(runtime_process_fields, &process);
    supervisor_buffer(shim); /* sets the time of rest */
    if (result < 0) {
        starting_free(starting);
        return -1;
    }
    list_add(&shim->starting, &starting->link);
    if (starting->source.fd >= 0)
        loop_watch(&shim->loop, &starting->source, EPOLLIN);
    return 0;
}

/* ---- meanwhile */

static struct starting *find(const struct supervisor *shim, const char *exec_id)
{
    LIST_EACH (&shim->starting, struct starting, link, starting)
        if (strcmp(starting->task->exec_id, exec_id) == 0)
            return starting;
    return NULL;
}

bool exec_is_starting(const struct supervisor *shim, const char *exec_id)
{
    return find(shim, exec_id) != NULL;
}

void exec_list_starting(const struct supervisor *shim, struct wire_message *reply)
{
    LIST_EACH (&shim->starting, struct starting, link, starting)
        if (reply->fields.size < WIRE_MESSAGE_LIMIT / 2)
            wire_put_text(reply, WIRE_FIELD_EXEC_ID, starting->task->exec_id);
}

bool exec_resize_later(struct supervisor *shim, const char *exec_id, int height, int width)
{
    struct starting *starting = exec_id ? find(shim, exec_id) : NULL;

    if (!starting)
        return false;
    starting->height = height;
    starting->width = width;
    return true;
}

/* The process may have ended before its runtime did, and nobody knew it then. */
static void look_for_stray(struct starting *starting)
{
    for (size_t i = 0; i < STRAY_LIMIT; i++) {
        struct stray_child *stray = &starting->shim->strays[i];

        if (stray->pid != starting->task->process.pid)
            continue;
        starting->has_ended = true;
        starting->status = stray->status;
        starting->ended_ns = stray->wall_ns;
        stray->pid = 0;
    }
}

static void runtime_ended(struct starting *starting, int status)
{
    struct error failure = {};

    if (oci_exec_finish(starting->shim, starting->task->exec_id, status, &starting->terminal,
                        &starting->task->process, &failure) < 0) {
        fail(starting, &failure);
        return;
    }
    look_for_stray(starting);
    succeed(starting);
}

bool exec_child_ended(struct supervisor *shim, pid_t pid, int status, int64_t wall_ns)
{
    LIST_EACH (&shim->starting, struct starting, link, starting) {
        if (starting->runtime_pid && starting->runtime_pid == pid) {
            runtime_ended(starting, status);
            return true;
        }
        if (starting->task->process.pid != pid)
            continue;
        starting->has_ended = true;
        starting->status = status;
        starting->ended_ns = wall_ns;
        return true;
    }
    return false;
}

void exec_forget_daemon(struct supervisor *shim)
{
    LIST_EACH (&shim->starting, struct starting, link, starting)
        starting->number = 0;
}

uint64_t exec_deadline(const struct supervisor *shim)
{
    /* In the order of their requests: the first is due first. */
    return list_is_empty(&shim->starting)
               ? 0
               : CONTAINER_OF(shim->starting.next, struct starting, link)->deadline_ns;
}

static void abandon(struct starting *starting)
{
    if (starting->runtime_pid)
        kill(starting->runtime_pid, SIGKILL);
    else
        container_exec_abandon(&starting->task->process);
}

void exec_expire(struct supervisor *shim, uint64_t now_ns)
{
    LIST_EACH (&shim->starting, struct starting, link, starting) {
        struct error late = {};

        if (now_ns < starting->deadline_ns)
            continue;
        abandon(starting);
        error_set(&late, ERROR_UNAVAILABLE,
                  "the process did not start within %d s: the container is frozen, or a file "
                  "system in it does not answer",
                  START_LIMIT_MS / 1000);
        fail(starting, &late);
    }
}

void exec_abandon_all(struct supervisor *shim)
{
    LIST_EACH (&shim->starting, struct starting, link, starting) {
        abandon(starting);
        starting_free(starting);
    }
}
