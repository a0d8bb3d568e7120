/* One supervisor as the daemon sees it: requests are sent by the thread that asks, which then
 * sleeps until the monitor's thread has read the reply. */
#include "shim/handle.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"

#include "base/banned.h"

int handle_new(struct shim_monitor *monitor, const char *container_id, int fd, struct shim **out,
               struct error *err)
{
    struct shim *shim = NEW(struct shim);

    shim->monitored.kind = MONITORED_SHIM;
    list_init(&shim->link);
    list_init(&shim->calls);
    mutex_init(&shim->lock);
    shim->monitor = monitor;
    shim->references = 1;
    shim->container_id = xstrdup(container_id);
    shim->fd = fd;
    mutex_lock(&monitor->lock);
    monitor->references++;
    mutex_unlock(&monitor->lock);
    if (monitor_add(monitor, &shim->monitored, fd, err) < 0) {
        shim_unref(shim);
        return -1;
    }
    *out = shim;
    return 0;
}

const char *shim_container_id(const struct shim *shim)
{
    return shim->container_id;
}

struct shim *shim_ref(struct shim *shim)
{
    mutex_lock(&shim->monitor->lock);
    shim->references++;
    mutex_unlock(&shim->monitor->lock);
    return shim;
}

void shim_unref(struct shim *shim)
{
    if (!shim)
        return;
    struct shim_monitor *monitor = shim->monitor;

    mutex_lock(&monitor->lock);
    bool last = --shim->references == 0;
    if (last) {
        /* The thread may hold an event of this handle at this moment: it frees it. */
        epoll_ctl(monitor->epoll_fd, EPOLL_CTL_DEL, shim->fd, NULL);
        close(shim->fd);
        list_add(&monitor->dead, &shim->link);
    }
    mutex_unlock(&monitor->lock);
    if (last)
        monitor_unref(monitor);
}

void handle_expect_end(struct shim *shim)
{
    mutex_lock(&shim->lock);
    shim->is_ending = true;
    mutex_unlock(&shim->lock);
}

/* The socket does not block, since the monitor's thread sends over it too. */
static int send_until(struct shim *shim, const struct wire_message *message, uint64_t deadline_ns,
                      struct error *err)
{
    struct error failure = {};

    while (wire_send(shim->fd, message, &failure) < 0) {
        uint64_t now_ns = clock_monotonic_ns();
        struct pollfd room = { .fd = shim->fd, .events = POLLOUT };

        if (failure.sys != EAGAIN || now_ns >= deadline_ns)
            return error_set(err, failure.sys ? ERROR_UNAVAILABLE : failure.kind,
                             "supervisor of container %s: %s", shim->container_id, failure.text);
        poll(&room, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
    }
    return 0;
}

/* What a supervisor does at once tells soon whether it is there at all. */
static uint64_t reply_deadline(unsigned type)
{
    int64_t limit_ms = SHIM_REPLY_LIMIT_MS;

    if (type == WIRE_HELLO || type == WIRE_STATUS || type == WIRE_HEARD)
        limit_ms = SHIM_STATUS_LIMIT_MS;
    else if (type == WIRE_SIGNAL || type == WIRE_RESIZE || type == WIRE_ATTACH)
        limit_ms = SHIM_SIGNAL_LIMIT_MS;
    else if (type == WIRE_EXEC)
        limit_ms = SHIM_EXEC_LIMIT_MS;
    return clock_monotonic_ns() + (uint64_t)limit_ms * NS_PER_MS;
}

int handle_send(struct shim *shim, const struct wire_message *message, struct error *err)
{
    return send_until(shim, message, reply_deadline(message->type), err);
}

static int call_begin(struct shim *shim, struct call *call, struct error *err)
{
    int result = 0;

    mutex_lock(&shim->lock);
    if (shim->is_closed)
        result = error_set(err, ERROR_UNAVAILABLE, "the supervisor of container %s is gone",
                           shim->container_id);
    else {
        call->number = ++shim->next_number ?: ++shim->next_number;
        list_add(&shim->calls, &call->link);
    }
    mutex_unlock(&shim->lock);
    return result;
}

static int call_wait(struct shim *shim, struct call *call, uint64_t deadline_ns, struct error *err)
{
    int result = 0;

    mutex_lock(&shim->lock);
    while (!call->is_done && condition_wait_until(&call->done, &shim->lock, deadline_ns))
        ;
    if (!call->is_done)
        result = error_set(err, ERROR_UNAVAILABLE, "the supervisor of container %s does not answer",
                           shim->container_id);
    else if (call->is_failed)
        result = error_set(err, ERROR_UNAVAILABLE, "the supervisor of container %s is gone",
                           shim->container_id);
    list_remove(&call->link);
    mutex_unlock(&shim->lock);
    return result;
}

static void call_abandon(struct shim *shim, struct call *call)
{
    mutex_lock(&shim->lock);
    list_remove(&call->link);
    mutex_unlock(&shim->lock);
}

int handle_call(struct shim *shim, struct wire_message *request, struct wire_message *reply,
                struct error *err)
{
    struct call call = { .type = request->type, .reply = reply };
    uint64_t deadline_ns = reply_deadline(request->type);
    int result;

    list_init(&call.link);
    condition_init(&call.done);
    result = call_begin(shim, &call, err);
    if (result == 0) {
        request->number = call.number;
        wire_put_int(request, WIRE_FIELD_DEADLINE_NS, (int64_t)deadline_ns);
        result = send_until(shim, request, deadline_ns, err);
        if (result == 0)
            result = call_wait(shim, &call, deadline_ns, err);
        else
            call_abandon(shim, &call);
    }
    condition_done(&call.done);
    return result < 0 ? -1 : wire_get_error(reply, err);
}

/* A request without further fields in its reply. */
static int ask(struct shim *shim, struct wire_message *request, struct error *err)
{
    CLEANUP(wire_done) struct wire_message reply = {};

    return handle_call(shim, request, &reply, err);
}

void handle_read_status(const struct wire_message *reply, struct shim_status *out)
{
    int64_t state = wire_get_int(reply, WIRE_FIELD_STATE, WIRE_STATE_NONE);

    *out = (struct shim_status){
        .is_created = state == WIRE_STATE_CREATED,
        .is_running = state == WIRE_STATE_RUNNING,
        .pid = (pid_t)wire_get_int(reply, WIRE_FIELD_PID, 0),
        .exit_code = (int)wire_get_int(reply, WIRE_FIELD_EXIT_CODE, 0),
        .oom_killed = wire_get_bool(reply, WIRE_FIELD_OOM_KILLED),
        .started_ns = wire_get_int(reply, WIRE_FIELD_STARTED_NS, 0),
        .exited_ns = wire_get_int(reply, WIRE_FIELD_EXITED_NS, 0),
    };
}

int shim_get_status(struct shim *shim, struct shim_status *out, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {}, reply = {};

    wire_init(&request, WIRE_STATUS, 0);
    if (handle_call(shim, &request, &reply, err) < 0)
        return -1;
    handle_read_status(&reply, out);
    return 0;
}

int shim_list_execs(struct shim *shim, struct strv *out_ids, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {}, reply = {};
    struct wire_value value;
    size_t position = 0;

    wire_init(&request, WIRE_STATUS, 0);
    if (handle_call(shim, &request, &reply, err) < 0)
        return -1;
    while (wire_next(&reply, &position, &value))
        if (value.field == WIRE_FIELD_EXEC_ID && value.size > 0)
            strv_add_take(out_ids, xstrndup(value.bytes, value.size - 1));
    return 0;
}

void shim_exec_heard(struct shim *shim, const char *exec_id)
{
    CLEANUP(wire_done) struct wire_message heard = {};

    wire_init(&heard, WIRE_HEARD, 0);
    wire_put_text(&heard, WIRE_FIELD_EXEC_ID, exec_id);
    handle_send(shim, &heard, NULL);
}

int shim_start(struct shim *shim, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};

    wire_init(&request, WIRE_START, 0);
    return ask(shim, &request, err);
}

int shim_signal(struct shim *shim, const char *exec_id, int signal, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};

    wire_init(&request, WIRE_SIGNAL, 0);
    wire_put_text(&request, WIRE_FIELD_EXEC_ID, exec_id);
    wire_put_int(&request, WIRE_FIELD_SIGNAL, signal);
    return ask(shim, &request, err);
}

int shim_resize(struct shim *shim, const char *exec_id, int height, int width, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};

    wire_init(&request, WIRE_RESIZE, 0);
    wire_put_text(&request, WIRE_FIELD_EXEC_ID, exec_id);
    wire_put_int(&request, WIRE_FIELD_HEIGHT, height);
    wire_put_int(&request, WIRE_FIELD_WIDTH, width);
    return ask(shim, &request, err);
}

int shim_pause(struct shim *shim, bool paused, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};

    wire_init(&request, WIRE_PAUSE, 0);
    wire_put_int(&request, WIRE_FIELD_PAUSED, paused);
    return ask(shim, &request, err);
}

static int put_stream(struct wire_message *request, int client_fd,
                      const struct shim_stream_options *options, struct error *err)
{
    if (client_fd < 0 || !options)
        return 0;
    wire_put_fd(request, WIRE_FIELD_CLIENT_FD, client_fd);
    wire_put_int(request, WIRE_FIELD_STREAM_STDIN, options->stdin_wanted);
    wire_put_int(request, WIRE_FIELD_STREAM_STDOUT, options->stdout_wanted);
    wire_put_int(request, WIRE_FIELD_STREAM_STDERR, options->stderr_wanted);
    wire_put_int(request, WIRE_FIELD_STREAM_FRAMED, options->framed);
    if (options->detach_keys && options->detach_keys_size > WIRE_INLINE_LIMIT)
        return error_set(err, ERROR_INVALID, "too many detach keys");
    if (options->detach_keys)
        wire_put_bytes(request, WIRE_FIELD_DETACH_KEYS, options->detach_keys,
                       options->detach_keys_size);
    if (options->pending_size == 0)
        return 0;
    return wire_put_blob(request, WIRE_FIELD_PENDING, options->pending, options->pending_size, err);
}

int shim_attach(struct shim *shim, int client_fd, const struct shim_stream_options *options,
                struct error *err)
{
    CLEANUP(close) int taken_fd = client_fd;
    CLEANUP(wire_done) struct wire_message request = {};

    wire_init(&request, WIRE_ATTACH, 0);
    if (put_stream(&request, taken_fd, options, err) == 0 && ask(shim, &request, err) == 0)
        return 0;
    shutdown(taken_fd, SHUT_RDWR); /* it may be in the hands of one who does not answer */
    return -1;
}

int shim_exec(struct shim *shim, const char *exec_id, const struct runtime_process *process,
              int *client_fd, const struct shim_stream_options *options, pid_t *out_pid,
              struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {}, reply = {};
    CLEANUP(str_done) struct str json = {};
    int fd = client_fd ? *client_fd : -1;

    json_encode(runtime_process_fields, process, &json);
    wire_init(&request, WIRE_EXEC, 0);
    wire_put_text(&request, WIRE_FIELD_EXEC_ID, exec_id);
    if (options && options->lifetime_ms > 0)
        wire_put_int(&request, WIRE_FIELD_LIFETIME_MS, options->lifetime_ms);
    if (wire_put_blob(&request, WIRE_FIELD_PROCESS, str_text(&json), json.length, err) < 0 ||
        put_stream(&request, fd, options, err) < 0 || handle_call(shim, &request, &reply, err) < 0)
        return -1;
    if (client_fd && fd >= 0) {
        close(fd);
        *client_fd = -1;
    }
    if (out_pid)
        *out_pid = (pid_t)wire_get_int(&reply, WIRE_FIELD_PID, 0);
    return 0;
}

int shim_set_names(struct shim *shim, const struct resolver_settings *settings, int namespace_fd,
                   int udp_fd, int tcp_fd, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};
    CLEANUP(str_done) struct str json = {};

    json_encode(resolver_settings_fields, settings, &json);
    wire_init(&request, WIRE_NAMES, 0);
    wire_put_fd(&request, WIRE_FIELD_NETWORK_FD, namespace_fd);
    wire_put_fd(&request, WIRE_FIELD_RESOLVER_UDP_FD, udp_fd);
    wire_put_fd(&request, WIRE_FIELD_RESOLVER_TCP_FD, tcp_fd);
    if (wire_put_blob(&request, WIRE_FIELD_RESOLVER, str_text(&json), json.length, err) < 0)
        return -1;
    return ask(shim, &request, err);
}

/* More descriptors than one message carries go in several. */
int shim_hold(struct shim *shim, const int *fds, size_t count, struct error *err)
{
    for (size_t i = 0; i < count;) {
        CLEANUP(wire_done) struct wire_message hold = {};

        wire_init(&hold, WIRE_HOLD, 0);
        for (; i < count && hold.fd_count < WIRE_FD_LIMIT; i++) {
            hold.fds[hold.fd_count] = fds[i];
            hold.is_owned[hold.fd_count++] = false;
        }
        if (handle_send(shim, &hold, err) < 0)
            return -1;
    }
    return 0;
}

int shim_release(struct shim *shim, const struct strv *ports, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};

    if (ports && ports->count == 0)
        return 0;
    wire_init(&request, WIRE_RELEASE, 0);
    for (size_t i = 0; ports && i < ports->count; i++)
        wire_put_text(&request, WIRE_FIELD_PORT, ports->items[i]);
    return ask(shim, &request, err);
}

int shim_forget(struct shim *shim, struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {};

    handle_expect_end(shim);
    wire_init(&request, WIRE_FORGET, 0);
    return ask(shim, &request, err);
}
