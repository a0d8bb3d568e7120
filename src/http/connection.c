/* Sockets are used without blocking and polled, whatever their flags say, so that limits in time
 * and cancellation work alike for plain bytes and TLS. */
#include "http/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "http/transport.h"

#include "base/banned.h"

enum {
    FILL_SIZE = 4096,      /* asked for at a time when reading ahead */
    COPY_SIZE = 64 * 1024, /* of a file at a time, where the kernel cannot send it by itself */
    JOIN_SIZE = 16 * 1024, /* parts up to this size become one TLS record */
};

struct http_connection *http_connection_new(int fd)
{
    struct http_connection *connection = NEW(struct http_connection);

    connection->fd = fd;
    connection->read_timeout_ms = connection->write_timeout_ms = -1;
    connection->cancel_fd = -1;
    return connection;
}

/* A peer that vanished is no fault of ours: UNAVAILABLE instead of INTERNAL. */
static int fail_io(struct error *err, const char *what)
{
    error_sys(err, "%s", what);
    if (err)
        err->kind = ERROR_UNAVAILABLE;
    return -1;
}

static ssize_t plain_read(int fd, void *data, size_t size, short *out_events, struct error *err)
{
    for (;;) {
        ssize_t count = recv(fd, data, size, MSG_DONTWAIT);

        if (count >= 0)
            return count;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return fail_io(err, "read from peer");
        *out_events = POLLIN;
        return WOULD_BLOCK;
    }
}

static ssize_t plain_write(int fd, struct iovec *parts, size_t count, short *out_events,
                           struct error *err)
{
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };

    for (;;) {
        ssize_t written = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (written >= 0)
            return written;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return fail_io(err, "write to peer");
        *out_events = POLLOUT;
        return WOULD_BLOCK;
    }
}

ssize_t http_connection_try_read(struct http_connection *connection, void *data, size_t size,
                                 short *out_events, struct error *err)
{
    if (connection->tls)
        return tls_session_read(connection->tls, data, size, out_events, err);
    return plain_read(connection->fd, data, size, out_events, err);
}

ssize_t http_connection_try_write(struct http_connection *connection, const void *data, size_t size,
                                  short *out_events, struct error *err)
{
    struct iovec part = { .iov_base = (void *)data, .iov_len = size };

    if (connection->tls)
        return tls_session_write(connection->tls, data, size, out_events, err);
    return plain_write(connection->fd, &part, 1, out_events, err);
}

static int remaining_ms(uint64_t deadline_ns)
{
    uint64_t now = clock_monotonic_ns();

    return now >= deadline_ns ? 0 : (int)((deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

int http_connection_poll(struct http_connection *connection, short events, int timeout_ms,
                         int cancel_fd, struct error *err)
{
    struct pollfd fds[] = { { .fd = connection->fd, .events = events },
                            { .fd = cancel_fd, .events = POLLIN } };
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)MAX(timeout_ms, 0) * NS_PER_MS;

    for (;;) {
        int count = poll(fds, COUNT(fds), timeout_ms < 0 ? -1 : remaining_ms(deadline));

        if (count < 0 && errno != EINTR)
            return error_sys(err, "poll");
        if (count > 0)
            return fds[1].revents ? WAS_CANCELLED : 1;
        if (count == 0)
            return 0;
    }
}

static size_t take_ahead(struct http_connection *connection, void *data, size_t size)
{
    size_t count = MIN(size, connection->ahead.size);

    memcpy(data, buf_bytes(&connection->ahead), count);
    buf_consume(&connection->ahead, count);
    if (connection->ahead.size == 0)
        buf_done(&connection->ahead);
    return count;
}

static int wait_to_read(struct http_connection *connection, short events, struct error *err)
{
    int ready = http_connection_poll(connection, events, connection->read_timeout_ms,
                                     connection->cancel_fd, err);

    if (ready == WAS_CANCELLED)
        return error_set(err, ERROR_CANCELLED, "cancelled");
    if (ready == 0) {
        connection->read_timed_out = true;
        return error_set(err, ERROR_UNAVAILABLE, "peer sent nothing for %d ms",
                         connection->read_timeout_ms);
    }
    return ready < 0 ? -1 : 0;
}

ssize_t http_connection_read(struct http_connection *connection, void *data, size_t size,
                             struct error *err)
{
    if (size == 0)
        return 0;
    if (connection->ahead.size > 0)
        return (ssize_t)take_ahead(connection, data, size);
    for (;;) {
        short events;
        ssize_t count = http_connection_try_read(connection, data, size, &events, err);

        if (count != WOULD_BLOCK)
            return count;
        if (wait_to_read(connection, events, err) < 0)
            return -1;
    }
}

int http_connection_fill(struct http_connection *connection, size_t limit, struct error *err)
{
    while (connection->ahead.size < limit) {
        short events;
        size_t room = MIN(limit - connection->ahead.size, FILL_SIZE);
        ssize_t count = http_connection_try_read(connection, buf_room(&connection->ahead, room),
                                                 room, &events, err);

        if (count == 0 || count == -1)
            return (int)count;
        if (count == WOULD_BLOCK)
            break;
        buf_grow(&connection->ahead, (size_t)count);
        if ((size_t)count < room && !connection->tls)
            break; /* the socket is empty: spare the call that says so */
    }
    if (connection->ahead.size == 0)
        buf_done(&connection->ahead);
    return 1;
}

static int wait_to_write(struct http_connection *connection, short events, struct error *err)
{
    int ready = http_connection_poll(connection, events, connection->write_timeout_ms, -1, err);

    if (ready == 0)
        return error_set(err, ERROR_UNAVAILABLE, "peer took nothing for %d ms",
                         connection->write_timeout_ms);
    return ready < 0 ? -1 : 0;
}

int http_connection_write(struct http_connection *connection, const void *data, size_t size,
                          struct error *err)
{
    const char *next = data;

    while (size > 0) {
        short events;
        ssize_t count = http_connection_try_write(connection, next, size, &events, err);

        if (count == -1)
            return -1;
        if (count == WOULD_BLOCK) {
            if (wait_to_write(connection, events, err) < 0)
                return -1;
            continue;
        }
        next += count;
        size -= (size_t)count;
    }
    return 0;
}

static int write_parts_plain(struct http_connection *connection, struct iovec *parts, size_t count,
                             struct error *err)
{
    while (count > 0) {
        short events;
        ssize_t written = plain_write(connection->fd, parts, count, &events, err);

        if (written == -1)
            return -1;
        if (written == WOULD_BLOCK) {
            if (wait_to_write(connection, events, err) < 0)
                return -1;
            continue;
        }
        while (count > 0 && (size_t)written >= parts->iov_len) {
            written -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + written;
            parts->iov_len -= (size_t)written;
        }
    }
    return 0;
}

int http_connection_write_parts(struct http_connection *connection, struct iovec *parts,
                                size_t count, struct error *err)
{
    CLEANUP(buf_done) struct buf joined = {};
    size_t size = 0;

    if (!connection->tls)
        return write_parts_plain(connection, parts, count, err);
    for (size_t i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (size > JOIN_SIZE) {
        for (size_t i = 0; i < count; i++)
            if (http_connection_write(connection, parts[i].iov_base, parts[i].iov_len, err) < 0)
                return -1;
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        buf_add(&joined, parts[i].iov_base, parts[i].iov_len);
    return http_connection_write(connection, buf_bytes(&joined), joined.size, err);
}

static int write_file_copied(struct http_connection *connection, int fd, off_t offset,
                             uint64_t size, struct error *err)
{
    CLEANUP(free) char *block = xmalloc(COPY_SIZE);

    while (size > 0) {
        ssize_t count = pread(fd, block, MIN(size, COPY_SIZE), offset);

        if (count < 0)
            return error_sys(err, "read file to send");
        if (count == 0)
            return error_set(err, ERROR_INTERNAL, "file to send is shorter than it was");
        if (http_connection_write(connection, block, (size_t)count, err) < 0)
            return -1;
        offset += count;
        size -= (uint64_t)count;
    }
    return 0;
}

int http_connection_write_file(struct http_connection *connection, int fd, int64_t offset,
                               uint64_t size, struct error *err)
{
    static const size_t piece = (size_t)1 << 30; /* the kernel takes less than 2 GiB at once */
    int flags = fcntl(connection->fd, F_GETFL);

    /* sendfile has no flag of its own for not waiting. */
    if (connection->tls || flags < 0 ||
        (!(flags & O_NONBLOCK) && fcntl(connection->fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return write_file_copied(connection, fd, offset, size, err);
    while (size > 0) {
        ssize_t count = sendfile(connection->fd, fd, &offset, MIN(size, piece));

        if (count == 0)
            return error_set(err, ERROR_INTERNAL, "file to send is shorter than it was");
        if (count > 0) {
            size -= (uint64_t)count;
            continue;
        }
        if (errno == EINVAL)
            return write_file_copied(connection, fd, offset, size, err);
        if (errno != EAGAIN && errno != EINTR)
            return fail_io(err, "send file to peer");
        if (errno == EAGAIN && wait_to_write(connection, POLLOUT, err) < 0)
            return -1;
    }
    return 0;
}

/* A readable socket may hold a part of a TLS record only: what counts is what came out of it. */
static int wait_tls(struct http_connection *connection, int timeout_ms, int cancel_fd,
                    struct error *err)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)MAX(timeout_ms, 0) * NS_PER_MS;

    for (;;) {
        int state = http_connection_fill(connection, FILL_SIZE, err);

        if (state < 0)
            return -1;
        if (state == 0 || connection->ahead.size > 0)
            return 1;
        int ready = http_connection_poll(
            connection, POLLIN, timeout_ms < 0 ? -1 : remaining_ms(deadline), cancel_fd, err);
        if (ready != 1)
            return ready;
    }
}

int http_connection_wait(struct http_connection *connection, int timeout_ms, int cancel_fd,
                         struct error *err)
{
    if (connection->ahead.size > 0)
        return 1;
    int ready = connection->tls
                    ? wait_tls(connection, timeout_ms, cancel_fd, err)
                    : http_connection_poll(connection, POLLIN, timeout_ms, cancel_fd, err);
    return ready == WAS_CANCELLED ? 0 : ready;
}

int http_connection_shutdown_write(struct http_connection *connection, struct error *err)
{
    if (!connection->tls) {
        if (shutdown(connection->fd, SHUT_WR) < 0 && errno != ENOTCONN)
            return fail_io(err, "end writing");
        return 0;
    }
    for (;;) {
        short events;
        int result = tls_session_shutdown(connection->tls, &events, err);

        if (result != WOULD_BLOCK)
            return result;
        if (wait_to_write(connection, events, err) < 0)
            return -1;
    }
}

bool http_connection_is_plain(const struct http_connection *connection)
{
    return !connection->tls && !connection->helper;
}

int http_connection_fd(const struct http_connection *connection)
{
    return connection->fd;
}

int http_connection_take_fd(struct http_connection *connection, void **out_pending,
                            size_t *out_pending_size)
{
    if (!http_connection_is_plain(connection))
        return -1;
    int fd = TAKE_FD(connection->fd);
    size_t size = connection->ahead.size;
    char *pending = size ? xmalloc(size) : NULL;
    if (size)
        memcpy(pending, buf_bytes(&connection->ahead), size);
    *out_pending = pending;
    *out_pending_size = size;
    http_connection_close(connection);
    return fd;
}

void http_connection_unread(struct http_connection *connection, const void *data, size_t size)
{
    if (size == 0)
        return;
    CLEANUP(buf_done) struct buf behind = connection->ahead;
    connection->ahead = (struct buf){};
    buf_add(&connection->ahead, data, size);
    buf_add(&connection->ahead, buf_bytes(&behind), behind.size);
}

void http_connection_close(struct http_connection *connection)
{
    int ignored;

    if (!connection)
        return;
    if (connection->tls) {
        short events;

        if (connection->fd >= 0)
            tls_session_shutdown(connection->tls, &events, NULL);
        tls_session_free(connection->tls);
    }
    if (connection->fd >= 0)
        close(connection->fd);
    if (connection->helper > 0) {
        kill(connection->helper, SIGTERM);
        process_wait(connection->helper, &ignored, NULL);
    }
    buf_done(&connection->ahead);
    free(connection);
}
