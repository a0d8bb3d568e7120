/* libnghttp2 keeps the rules of the protocol; here are threads, waiting and memory. One lock guards
 * the session and all its streams. The thread in http2_run is the only one that touches the socket,
 * and never waits for it in one direction alone: two ends that both have much to say would wait for
 * each other. The others queue, and wake it. */
#include "http/http2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/thread.h"
#include "http/transport.h"

#include "base/banned.h"

enum {
    READ_SIZE = 64 * 1024,
    SEND_SIZE = 64 * 1024,       /* taken from the session at a time */
    WAITING_LIMIT = 256 * 1024,  /* bytes of a stream that the peer has not taken yet */
    WRITE_STALL_MS = 300 * 1000, /* longest time that a peer may take nothing of what waits */
    CANCEL_STEP_MS = 50,         /* how often a waiting thread looks whether it is called off */
};

struct http2 {
    atomic_size_t reference_count;
    struct http_connection *connection;
    http2_handler handler; /* NULL: this is the client */
    void *data;
    int wake_fd;     /* an event: there may be something to send */
    struct buf sent; /* on its way into the socket; of the thread in http2_run */
    struct mutex lock;
    struct condition changed; /* anything of what follows */
    nghttp2_session *session;
    struct list streams;
    size_t handler_count; /* threads in 'handler' */
    bool is_over, must_stop;
};

struct http2_stream {
    struct list link;
    struct http2 *http2;
    int32_t id;
    struct strv names, values; /* headers and trailers that came */
    size_t headers_size;
    struct buf in, out;
    bool has_headers, is_handled;
    bool has_in_ended;         /* the peer said all */
    bool has_ended;            /* so did we */
    bool is_out_taken;         /* the end of this side is on its way */
    bool is_closed, was_reset; /* nothing more comes or goes */
    struct strv trailer_names, trailer_values;
    int cancel_fd;    /* borrowed, -1: none */
    int cancelled_fd; /* ours, -1: nobody asked for it yet */
};

/* ---- memory ---- */

static struct http2_stream *stream_new(struct http2 *http2, int32_t id)
{
    struct http2_stream *stream = NEW(struct http2_stream);

    stream->http2 = http2_ref(http2);
    stream->id = id;
    stream->cancel_fd = stream->cancelled_fd = -1;
    list_add(&http2->streams, &stream->link);
    return stream;
}

static void stream_destroy(struct http2_stream *stream)
{
    strv_done(&stream->names);
    strv_done(&stream->values);
    strv_done(&stream->trailer_names);
    strv_done(&stream->trailer_values);
    buf_done(&stream->in);
    buf_done(&stream->out);
    close_cleanup(&stream->cancelled_fd);
    http2_unref(stream->http2);
    free(stream);
}

struct http2 *http2_ref(struct http2 *http2)
{
    atomic_fetch_add(&http2->reference_count, 1);
    return http2;
}

void http2_unref(struct http2 *http2)
{
    if (!http2 || atomic_fetch_sub(&http2->reference_count, 1) > 1)
        return;
    if (http2->session)
        nghttp2_session_del(http2->session);
    http_connection_close(http2->connection);
    close_cleanup(&http2->wake_fd);
    buf_done(&http2->sent);
    mutex_done(&http2->lock);
    condition_done(&http2->changed);
    free(http2);
}

/* ---- with the lock held ---- */

static void close_stream(struct http2_stream *stream, bool was_reset)
{
    stream->is_closed = true;
    stream->was_reset |= was_reset;
    if (stream->cancelled_fd >= 0 && stream->was_reset)
        eventfd_write(stream->cancelled_fd, 1);
}

static void end_locked(struct http2 *http2) REQUIRES(http2->lock)
{
    http2->is_over = true;
    LIST_EACH (&http2->streams, struct http2_stream, link, stream)
        close_stream(stream, !stream->is_closed);
    condition_broadcast(&http2->changed);
}

/* Has what is to be sent sent. */
static void flush_locked(struct http2 *http2) REQUIRES(http2->lock)
{
    if (!http2->is_over && nghttp2_session_want_write(http2->session))
        eventfd_write(http2->wake_fd, 1);
}

/* ---- what nghttp2 calls, with the lock held ---- */

static void *run_handler(void *data)
{
    struct http2_stream *stream = data;
    struct http2 *http2 = http2_ref(stream->http2);

    http2->handler(http2->data, stream);
    http2_stream_free(stream);
    mutex_lock(&http2->lock);
    http2->handler_count--;
    condition_broadcast(&http2->changed);
    mutex_unlock(&http2->lock);
    http2_unref(http2);
    return NULL;
}

static void start_handler(struct http2 *http2, struct http2_stream *stream)
{
    stream->is_handled = true;
    http2->handler_count++;
    if (thread_start_detached("http2", run_handler, stream, NULL) == 0)
        return;
    stream->is_handled = false;
    http2->handler_count--;
    nghttp2_submit_rst_stream(http2->session, 0, stream->id, NGHTTP2_REFUSED_STREAM);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct http2 *http2 = data;

    if (!http2->handler || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                         stream_new(http2, frame->hd.stream_id));
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size,
                     uint8_t flags UNUSED, void *data UNUSED)
{
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session,
                                                                       frame->hd.stream_id);

    if (!stream)
        return 0;
    stream->headers_size += name_size + value_size;
    if (stream->headers_size > HTTP2_HEADERS_LIMIT)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
    strv_add_take(&stream->names, xstrndup((const char *)name, name_size));
    strv_add_take(&stream->values, xstrndup((const char *)value, value_size));
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct http2 *http2 = data;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session,
                                                                       frame->hd.stream_id);

    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        stream->has_headers = true;
        if (http2->handler && !stream->is_handled)
            start_handler(http2, stream);
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        stream->has_in_ended = true;
    condition_broadcast(&http2->changed);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags UNUSED, int32_t id, const uint8_t *bytes,
                   size_t size, void *data)
{
    struct http2 *http2 = data;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

    if (stream)
        buf_add(&stream->in, bytes, size);
    else
        nghttp2_session_consume(session, id, size);
    condition_broadcast(&http2->changed);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *data)
{
    struct http2 *http2 = data;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

    if (!stream)
        return 0;
    close_stream(stream, code != NGHTTP2_NO_ERROR);
    condition_broadcast(&http2->changed);
    if (http2->handler && !stream->is_handled) { /* it never became a request */
        list_remove(&stream->link);
        stream_destroy(stream);
    }
    return 0;
}

static nghttp2_nv make_header(const char *name, const char *value)
{
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
                         .value = (uint8_t *)(uintptr_t)value,
                         .namelen = strlen(name),
                         .valuelen = strlen(value) };
}

static void send_trailers(nghttp2_session *session, const struct http2_stream *stream)
{
    nghttp2_nv *headers = xcalloc(stream->trailer_names.count + 1, sizeof(*headers));

    for (size_t i = 0; i < stream->trailer_names.count; i++)
        headers[i] = make_header(stream->trailer_names.items[i], stream->trailer_values.items[i]);
    nghttp2_submit_trailer(session, stream->id, headers, stream->trailer_names.count);
    free(headers);
}

/* Gives nghttp2 the next bytes to send. */
static ssize_t take_out(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t size,
                        uint32_t *flags, nghttp2_data_source *source UNUSED, void *data)
{
    struct http2 *http2 = data;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

    if (!stream) /* freed: the reset is on its way */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t count = MIN(size, stream->out.size);
    if (count == 0 && !stream->has_ended)
        return NGHTTP2_ERR_DEFERRED;
    if (count > 0)
        memcpy(bytes, buf_bytes(&stream->out), count);
    buf_consume(&stream->out, count);
    if (stream->out.size == 0 && stream->has_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        stream->is_out_taken = true;
        if (stream->trailer_names.count > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            send_trailers(session, stream);
        }
    }
    condition_broadcast(&http2->changed);
    return (ssize_t)count;
}

/* ---- the connection ---- */

static int make_session(struct http2 *http2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAM_LIMIT },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEADERS_LIMIT },
    };
    int result = nghttp2_session_callbacks_new(&callbacks);

    if (result == 0)
        result = nghttp2_option_new(&option);
    if (result == 0) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_option_set_no_auto_window_update(option, 1);
        result = http2->handler
                     ? nghttp2_session_server_new2(&http2->session, callbacks, http2, option)
                     : nghttp2_session_client_new2(&http2->session, callbacks, http2, option);
    }
    if (result == 0)
        result = nghttp2_submit_settings(http2->session, 0, settings, COUNT(settings));
    if (result == 0)
        result = nghttp2_session_set_local_window_size(http2->session, 0, 0,
                                                       HTTP2_CONNECTION_WINDOW);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return result;
}

int http2_new(struct http_connection *connection, http2_handler handler, void *data,
              struct http2 **out, struct error *err)
{
    CLEANUP(http2_unref) struct http2 *http2 = NEW(struct http2);

    atomic_init(&http2->reference_count, 1);
    http2->connection = connection;
    http2->handler = handler;
    http2->data = data;
    list_init(&http2->streams);
    mutex_init(&http2->lock);
    condition_init(&http2->changed);
    http2->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (http2->wake_fd < 0)
        return error_sys(err, "make an event");
    int result = make_session(http2);
    if (result < 0)
        return error_set(err, ERROR_UNAVAILABLE, "cannot speak HTTP/2: %s",
                         nghttp2_strerror(result));
    *out = TAKE(http2);
    return 0;
}

/* Takes what the session wants to send until it would be much. */
static int fill_sent(struct http2 *http2)
{
    ssize_t size = 0;

    mutex_lock(&http2->lock);
    while (http2->sent.size < SEND_SIZE) {
        const uint8_t *bytes;

        size = nghttp2_session_mem_send(http2->session, &bytes);
        if (size <= 0)
            break;
        buf_add(&http2->sent, bytes, (size_t)size);
    }
    mutex_unlock(&http2->lock);
    return size < 0 ? -1 : 0;
}

/* Sends as much as the socket takes; adds to 'events' what it waits for. */
static int send_some(struct http2 *http2, short *events)
{
    struct error ignored;

    for (;;) {
        short wanted = 0;

        if (fill_sent(http2) < 0)
            return -1;
        if (http2->sent.size == 0)
            return 0;
        ssize_t count = http_connection_try_write(http2->connection, buf_bytes(&http2->sent),
                                                  http2->sent.size, &wanted, &ignored);
        if (count == WOULD_BLOCK) {
            *events |= wanted;
            return 0;
        }
        if (count < 0)
            return -1;
        buf_consume(&http2->sent, (size_t)count);
    }
}

/* Reads what is there, one block; 1: there was one, 0: there was nothing. */
static int receive_some(struct http2 *http2, uint8_t *block, short *events)
{
    struct error ignored;
    short wanted = 0;
    ssize_t size = http2->connection->ahead.size > 0
                       ? http_connection_read(http2->connection, block, READ_SIZE, &ignored)
                       : http_connection_try_read(http2->connection, block, READ_SIZE, &wanted,
                                                  &ignored);

    if (size == WOULD_BLOCK) {
        *events |= wanted;
        return 0;
    }
    if (size <= 0)
        return -1;
    mutex_lock(&http2->lock);
    bool is_right = nghttp2_session_mem_recv(http2->session, block, (size_t)size) == size;
    mutex_unlock(&http2->lock);
    return is_right ? 1 : -1;
}

static bool wants_more(struct http2 *http2)
{
    mutex_lock(&http2->lock);
    bool wants = !http2->must_stop && (nghttp2_session_want_read(http2->session) ||
                                       nghttp2_session_want_write(http2->session));
    mutex_unlock(&http2->lock);
    return wants;
}

/* One turn: all that can be done without waiting, then waiting. False: that was the last one. */
static bool run_turn(struct http2 *http2, uint8_t *block, int cancel_fd)
{
    struct pollfd fds[] = { { .fd = http_connection_fd(http2->connection) },
                            { .fd = http2->wake_fd, .events = POLLIN },
                            { .fd = cancel_fd, .events = POLLIN } };
    eventfd_t ignored;

    eventfd_read(http2->wake_fd, &ignored);
    int received = receive_some(http2, block, &fds[0].events);
    if (received < 0 || send_some(http2, &fds[0].events) < 0 || !wants_more(http2))
        return false;
    if (received > 0)
        return true;
    int count = poll(fds, COUNT(fds), http2->sent.size > 0 ? WRITE_STALL_MS : -1);
    return (count > 0 || (count < 0 && errno == EINTR)) && !fds[2].revents;
}

/* Says that it ends, if the peer listens yet. */
static void say_goodbye(struct http2 *http2)
{
    short ignored = 0;

    mutex_lock(&http2->lock);
    nghttp2_session_terminate_session(http2->session, NGHTTP2_NO_ERROR);
    mutex_unlock(&http2->lock);
    send_some(http2, &ignored);
}

void http2_run(struct http2 *http2, int cancel_fd)
{
    uint8_t *block = xmalloc(READ_SIZE);

    while (run_turn(http2, block, cancel_fd))
        continue;
    free(block);
    say_goodbye(http2);
    mutex_lock(&http2->lock);
    end_locked(http2);
    shutdown(http_connection_fd(http2->connection), SHUT_RDWR);
    while (http2->handler_count > 0)
        condition_wait(&http2->changed, &http2->lock);
    LIST_EACH (&http2->streams, struct http2_stream, link, stream)
        if (http2->handler) { /* what never became a request */
            list_remove(&stream->link);
            stream_destroy(stream);
        }
    mutex_unlock(&http2->lock);
}

void http2_stop(struct http2 *http2)
{
    mutex_lock(&http2->lock);
    http2->must_stop = true;
    mutex_unlock(&http2->lock);
    eventfd_write(http2->wake_fd, 1);
}

/* ---- streams ---- */

int http2_request(struct http2 *http2, const struct http2_header *headers, size_t count,
                  struct http2_stream **out, struct error *err)
{
    nghttp2_nv *list = xcalloc(count, sizeof(*list));

    for (size_t i = 0; i < count; i++)
        list[i] = make_header(headers[i].name, headers[i].value);
    mutex_lock(&http2->lock);
    struct http2_stream *stream = stream_new(http2, 0);
    const nghttp2_data_provider provider = { .read_callback = take_out };
    int32_t id = http2->is_over
                     ? NGHTTP2_ERR_EOF
                     : nghttp2_submit_request(http2->session, NULL, list, count, &provider, stream);
    stream->id = id;
    flush_locked(http2);
    if (id < 0)
        stream->is_closed = true;
    mutex_unlock(&http2->lock);
    free(list);
    if (id < 0) {
        http2_stream_free(stream);
        return error_set(err, ERROR_UNAVAILABLE, "the client is gone");
    }
    *out = stream;
    return 0;
}

void http2_stream_free(struct http2_stream *stream)
{
    if (!stream)
        return;
    struct http2 *http2 = stream->http2;

    mutex_lock(&http2->lock);
    if (!http2->is_over && stream->id > 0) {
        if (!stream->is_closed) {
            /* What was ended goes out whole before the stream is forgotten. */
            while (stream->has_ended && !stream->is_out_taken && !stream->is_closed)
                condition_wait(&http2->changed, &http2->lock);
        }
        if (stream->in.size > 0 && !http2->is_over)
            nghttp2_session_consume(http2->session, stream->id, stream->in.size);
        if (!stream->is_closed) {
            nghttp2_session_set_stream_user_data(http2->session, stream->id, NULL);
            if (!stream->has_ended || !stream->has_in_ended)
                nghttp2_submit_rst_stream(http2->session, 0, stream->id,
                                          stream->has_ended ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
        }
        flush_locked(http2);
    }
    list_remove(&stream->link);
    mutex_unlock(&http2->lock);
    stream_destroy(stream);
}

/* Waits for a change. CANCELLED. */
static int wait_locked(struct http2_stream *stream, struct error *err) REQUIRES(stream->http2->lock)
{
    struct http2 *http2 = stream->http2;

    if (stream->cancel_fd < 0) {
        condition_wait(&http2->changed, &http2->lock);
        return 0;
    }
    if (fd_is_readable(stream->cancel_fd))
        return error_set(err, ERROR_CANCELLED, "cancelled");
    condition_wait_until(&http2->changed, &http2->lock,
                         clock_monotonic_ns() + CANCEL_STEP_MS * NS_PER_MS);
    return 0;
}

static int fail_closed(struct error *err)
{
    return error_set(err, ERROR_UNAVAILABLE, "the client has ended the call");
}

int http2_respond(struct http2_stream *stream, const struct http2_header *headers, size_t count,
                  struct error *err)
{
    struct http2 *http2 = stream->http2;
    const nghttp2_data_provider provider = { .read_callback = take_out };
    nghttp2_nv *list = xcalloc(count, sizeof(*list));

    for (size_t i = 0; i < count; i++)
        list[i] = make_header(headers[i].name, headers[i].value);
    mutex_lock(&http2->lock);
    int result = stream->is_closed
                     ? -1
                     : nghttp2_submit_response(http2->session, stream->id, list, count, &provider);
    flush_locked(http2);
    mutex_unlock(&http2->lock);
    free(list);
    return result < 0 ? fail_closed(err) : 0;
}

static ssize_t read_locked(struct http2_stream *stream, void *data, size_t size, struct error *err)
    REQUIRES(stream->http2->lock)
{
    struct http2 *http2 = stream->http2;

    while (stream->in.size == 0 && !stream->has_in_ended && !stream->is_closed)
        if (wait_locked(stream, err) < 0)
            return -1;
    if (stream->in.size == 0)
        return stream->has_in_ended ? 0 : fail_closed(err);
    size_t count = MIN(size, stream->in.size);
    memcpy(data, buf_bytes(&stream->in), count);
    buf_consume(&stream->in, count);
    if (!http2->is_over) {
        nghttp2_session_consume(http2->session, stream->id, count);
        flush_locked(http2);
    }
    return (ssize_t)count;
}

ssize_t http2_read(struct http2_stream *stream, void *data, size_t size, struct error *err)
{
    mutex_lock(&stream->http2->lock);
    ssize_t count = read_locked(stream, data, size, err);
    mutex_unlock(&stream->http2->lock);
    return count;
}

static int write_locked(struct http2_stream *stream, const void *data, size_t size,
                        struct error *err) REQUIRES(stream->http2->lock)
{
    struct http2 *http2 = stream->http2;

    while (stream->out.size >= WAITING_LIMIT && !stream->is_closed)
        if (wait_locked(stream, err) < 0)
            return -1;
    if (stream->is_closed || stream->has_ended)
        return fail_closed(err);
    buf_add(&stream->out, data, size);
    nghttp2_session_resume_data(http2->session, stream->id);
    flush_locked(http2);
    return 0;
}

int http2_write(struct http2_stream *stream, const void *data, size_t size, struct error *err)
{
    mutex_lock(&stream->http2->lock);
    int result = write_locked(stream, data, size, err);
    mutex_unlock(&stream->http2->lock);
    return result;
}

int http2_end(struct http2_stream *stream, const struct http2_header *trailers, size_t count,
              struct error *err)
{
    struct http2 *http2 = stream->http2;

    mutex_lock(&http2->lock);
    bool is_open = !stream->is_closed && !stream->has_ended;
    if (is_open) {
        for (size_t i = 0; i < count; i++) {
            strv_add(&stream->trailer_names, trailers[i].name);
            strv_add(&stream->trailer_values, trailers[i].value);
        }
        stream->has_ended = true;
        nghttp2_session_resume_data(http2->session, stream->id);
        flush_locked(http2);
    }
    mutex_unlock(&http2->lock);
    return is_open ? 0 : fail_closed(err);
}

void http2_reset(struct http2_stream *stream)
{
    struct http2 *http2 = stream->http2;

    mutex_lock(&http2->lock);
    if (!stream->is_closed) {
        nghttp2_session_set_stream_user_data(http2->session, stream->id, NULL);
        nghttp2_submit_rst_stream(http2->session, 0, stream->id, NGHTTP2_CANCEL);
        close_stream(stream, true);
        condition_broadcast(&http2->changed);
        flush_locked(http2);
    }
    mutex_unlock(&http2->lock);
}

void http2_set_cancel(struct http2_stream *stream, int cancel_fd)
{
    stream->cancel_fd = cancel_fd;
}

int http2_cancel_fd(struct http2_stream *stream)
{
    mutex_lock(&stream->http2->lock);
    if (stream->cancelled_fd < 0)
        stream->cancelled_fd = eventfd(stream->was_reset ? 1 : 0, EFD_CLOEXEC);
    mutex_unlock(&stream->http2->lock);
    return stream->cancelled_fd;
}

const char *http2_header_get(struct http2_stream *stream, const char *name)
{
    const char *value = NULL;

    mutex_lock(&stream->http2->lock);
    for (size_t i = 0; i < stream->names.count; i++)
        if (strcmp(stream->names.items[i], name) == 0)
            value = stream->values.items[i];
    mutex_unlock(&stream->http2->lock);
    return value;
}

void http2_header_list(struct http2_stream *stream, const char *name, struct strv *out)
{
    mutex_lock(&stream->http2->lock);
    for (size_t i = 0; i < stream->names.count; i++)
        if (strcmp(stream->names.items[i], name) == 0)
            strv_add(out, stream->values.items[i]);
    mutex_unlock(&stream->http2->lock);
}

int http2_wait_headers(struct http2_stream *stream, struct error *err)
{
    int result = 0;

    mutex_lock(&stream->http2->lock);
    while (result == 0 && !stream->has_headers && !stream->is_closed)
        result = wait_locked(stream, err);
    if (result == 0 && !stream->has_headers)
        result = fail_closed(err);
    mutex_unlock(&stream->http2->lock);
    return result;
}
