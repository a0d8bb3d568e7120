/* Bytes between an attached client and a process. */
#include "shim/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shim/supervise.h"
#include "shim/task.h"

#include "base/banned.h"

enum {
    FRAME_HEAD_SIZE = 8,
    INPUT_READ_SIZE = 32 * 1024,
    DISCARD_SIZE = 4096,
    LEAVE_MS = 10000, /* for what a client has not read when the process ends */
    LINGER_MS = 2000, /* for its own end of the connection afterwards */
    KEEPALIVE_S = 30, /* a peer that vanished is noticed after that long, and a few probes */
};

static void update(struct client *client);

/* ---- coming */

/* A client beyond a network may vanish without a word. Fails harmlessly on unix sockets. */
static void set_keepalive(int fd)
{
    int on = 1, seconds = KEEPALIVE_S;

    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
}

static int set_keys(struct client *client, const struct wire_message *request, struct error *err)
{
    size_t size = 0;
    const void *keys = wire_get_bytes(request, WIRE_FIELD_DETACH_KEYS, &size);

    /* As Docker has it: without a terminal there are no keys, only bytes. */
    if (!keys || !client->task->is_terminal)
        return 0;
    if (size > DETACH_KEYS_LIMIT)
        return error_set(err, ERROR_INVALID, "too many detach keys");
    memcpy(client->keys.bytes, keys, size);
    client->keys.size = size;
    return 0;
}

static void client_ready(struct source *source, uint32_t events);

int client_new(struct supervisor *shim, struct task *task, struct wire_message *request,
               struct client **out, struct error *err)
{
    CLEANUP(close) int fd = wire_take_fd(request, WIRE_FIELD_CLIENT_FD);
    struct client *client = NEW(struct client);

    list_init(&client->link);
    client->shim = shim;
    client->task = task;
    client->source = (struct source){ .fd = -1, .ready = client_ready };
    client->wants_stdin = wire_get_bool(request, WIRE_FIELD_STREAM_STDIN);
    client->wants[LOG_STDOUT] = wire_get_bool(request, WIRE_FIELD_STREAM_STDOUT);
    client->wants[LOG_STDERR] = wire_get_bool(request, WIRE_FIELD_STREAM_STDERR);
    client->is_framed = wire_get_bool(request, WIRE_FIELD_STREAM_FRAMED);
    if (fd < 0 || set_keys(client, request, err) < 0) {
        free(client);
        return fd < 0 ? error_set(err, ERROR_INVALID, "the client's socket is missing") : -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    set_keepalive(fd);
    client->source.fd = TAKE_FD(fd);
    *out = client;
    return 0;
}

/* ---- leaving */

void client_free(struct client *client)
{
    struct loop *loop = &client->shim->loop;

    list_remove(&client->link);
    loop_close_source(loop, &client->source);
    buf_done(&client->input);
    buf_done(&client->output);
    client->task = NULL;
    loop_free(loop, client);
}

/* The rest of a leaving client's output is away: now it has to see the end. Closing at once could
 * take output along that is in flight, if the client sent something that nobody has read. */
static void end_output(struct client *client)
{
    if (client->output_ended)
        return;
    client->output_ended = true;
    shutdown(client->source.fd, SHUT_WR);
    client->expire_ns = clock_monotonic_ns() + LINGER_MS * NS_PER_MS;
}

/* From here on the process is none of its business. */
static void leave(struct client *client)
{
    client->task = NULL;
    client->expire_ns = clock_monotonic_ns() + LEAVE_MS * NS_PER_MS;
    list_remove(&client->link);
    list_add(&client->shim->leaving, &client->link);
    buf_clear(&client->input);
    if (client->output.size == 0)
        end_output(client);
    if (client->input_ended && client->output_ended)
        client_free(client);
    else
        update(client);
}

void client_finish(struct client *client)
{
    leave(client);
}

static void end_input(struct client *client)
{
    struct task *task = client->task;

    if (client->wants_stdin && task->closes_stdin && !task->is_terminal)
        task_close_input(task);
    client->wants_stdin = false;
}

/* The client went away, or asked for it. */
static void detach(struct client *client, bool is_gone)
{
    struct task *task = client->task;

    end_input(client);
    supervisor_tell(client->shim, WIRE_DETACHED, task->exec_id);
    if (is_gone)
        client_free(client);
    else
        leave(client);
    task_watch_output(task); /* it may have been the one to be waited for */
}

static void gone(struct client *client)
{
    if (client->task)
        detach(client, true);
    else
        client_free(client);
}

/* ---- output */

static void note_progress(struct client *client);

static bool flush(struct client *client)
{
    while (client->output.size > 0) {
        ssize_t count = send(client->source.fd, buf_bytes(&client->output), client->output.size,
                             MSG_NOSIGNAL | MSG_DONTWAIT);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno == EAGAIN;
        buf_consume(&client->output, (size_t)count);
        note_progress(client);
    }
    buf_done(&client->output);
    return true;
}

bool client_is_behind(const struct client *client)
{
    return client->output.size >= ATTACH_BUFFER_LIMIT;
}

/* It took something, or has just fallen behind. */
static void note_progress(struct client *client)
{
    bool may_be_dropped = client->task && !client->task->exec_id && client->shim->log;

    if (client->task)
        client->expire_ns = may_be_dropped && client_is_behind(client)
                                ? clock_monotonic_ns() + ATTACH_STALL_MS * NS_PER_MS
                                : 0;
}

uint64_t client_deadline(const struct client *client)
{
    return client->expire_ns;
}

void client_expire(struct client *client, uint64_t now_ns)
{
    if (client->expire_ns && now_ns >= client->expire_ns)
        gone(client);
}

static void put_head(uint8_t *head, enum log_stream stream, size_t size)
{
    uint8_t bytes[FRAME_HEAD_SIZE] = { stream == LOG_STDERR ? 2 : 1,
                                       0,
                                       0,
                                       0,
                                       (uint8_t)(size >> 24),
                                       (uint8_t)(size >> 16),
                                       (uint8_t)(size >> 8),
                                       (uint8_t)size };

    memcpy(head, bytes, sizeof(bytes));
}

void client_send(struct client *client, enum log_stream stream, const char *data, size_t size)
{
    uint8_t head[FRAME_HEAD_SIZE];
    size_t head_size = client->is_framed ? sizeof(head) : 0;
    struct iovec parts[] = { { head, head_size }, { (void *)data, size } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    size_t sent = 0;

    if (!client->wants[stream])
        return;
    put_head(head, stream, size);
    if (client->output.size == 0) {
        ssize_t count = sendmsg(client->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            gone(client);
            return;
        }
        sent = (size_t)MAX(count, 0);
    }
    if (sent < head_size)
        buf_add(&client->output, head + sent, head_size - sent);
    sent -= MIN(sent, head_size);
    bool was_behind = client_is_behind(client);
    buf_add(&client->output, data + sent, size - sent);
    if (!was_behind)
        note_progress(client);
    if (client->output.size > 0)
        update(client);
}

/* ---- input */

bool client_feed(struct client *client)
{
    while (client->input.size > 0) {
        size_t count = task_write_input(client->task, buf_bytes(&client->input),
                                        client->input.size);

        if (count == 0) {
            update(client); /* no more is taken from it meanwhile */
            return false;
        }
        buf_consume(&client->input, count);
    }
    buf_done(&client->input);
    if (!client->input_ended) {
        update(client);
        return true;
    }
    /* As Docker has it: the end of stdin ends the process' stdin, if it was opened for one client;
     * otherwise the client has had its say and is detached. */
    bool ends_stdin = client->task->closes_stdin && !client->task->is_terminal;
    if (!client->wants_stdin || ends_stdin) {
        end_input(client);
        update(client);
    } else
        detach(client, false);
    return true;
}

static void detach_by_keys(struct client *client)
{
    static const char told[] =
        "exec attach failed: error on attach stdin: read escape sequence\r\n";

    if (client->task->exec_id)
        client_send(client, LOG_STDOUT, told, sizeof(told) - 1);
    if (client->task)
        detach(client, false);
}

/* The client is gone or detached after this, maybe. */
static void take_input(struct client *client, const char *data, size_t size)
{
    bool detaching = false;

    if (client->wants_stdin && task_has_input(client->task))
        detaching = detach_filter(&client->keys, data, size, &client->input);
    while (detaching && client->input.size > 0) { /* what was typed before the keys */
        size_t count = task_write_input(client->task, buf_bytes(&client->input),
                                        client->input.size);
        if (count == 0)
            break;
        buf_consume(&client->input, count);
    }
    if (detaching)
        detach_by_keys(client);
    else
        client_feed(client);
}

void client_begin(struct client *client, const struct buf *pending)
{
    client->wants_stdin &= task_has_input(client->task);
    list_add(&client->task->clients, &client->link);
    update(client);
    if (pending->size > 0)
        take_input(client, (const char *)buf_bytes(pending), pending->size);
}

static void read_input(struct client *client, bool is_hung_up)
{
    char *buffer = supervisor_buffer(client->shim);
    ssize_t size = recv(client->source.fd, buffer, INPUT_READ_SIZE, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0) {
        take_input(client, buffer, (size_t)size);
        return;
    }
    client->input_ended = true;
    if (size < 0 || is_hung_up)
        gone(client);
    else
        client_feed(client);
}

static void discard_input(struct client *client)
{
    char ignored[DISCARD_SIZE];
    ssize_t size = recv(client->source.fd, ignored, sizeof(ignored), MSG_DONTWAIT);

    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    client->input_ended = true;
    if (size < 0 || client->output_ended)
        client_free(client);
    else
        update(client);
}

/* Input is not read while stdin has no room; then a hang-up is not looked for either, since it
 * would be told without end. */
static void update(struct client *client)
{
    struct loop *loop = &client->shim->loop;
    bool is_blocked = client->input.size > 0;
    uint32_t events = client->output.size > 0 ? EPOLLOUT : 0;

    if (is_blocked && !events)
        loop_unwatch(loop, &client->source);
    else
        loop_watch(loop, &client->source,
                   events | (client->input_ended || is_blocked ? 0 : EPOLLIN));
}

static void client_ready(struct source *source, uint32_t events)
{
    struct client *client = CONTAINER_OF(source, struct client, source);
    bool was_behind = client_is_behind(client);

    if (client->output.size > 0 && (events & (EPOLLOUT | EPOLLERR)) && !flush(client)) {
        gone(client);
        return;
    }
    if (client->task && was_behind && !client_is_behind(client))
        task_watch_output(client->task);
    if (!client->task && client->output.size == 0)
        end_output(client);
    if ((source->events & EPOLLIN) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        if (client->task)
            read_input(client, (events & EPOLLHUP) != 0);
        else
            discard_input(client);
    } else if (events & (EPOLLHUP | EPOLLERR))
        gone(client);
    else
        update(client);
}
