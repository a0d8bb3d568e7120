/* Sockets of all kinds behind one way of sending. */
#include "forward/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "forward/journal.h"
#include "forward/syslog.h"
#include "http/tls.h"

#include "base/banned.h"

enum { CONNECT_LIMIT_MS = 5000, SEND_LIMIT_S = 10, FLUSH_STEP_MS = 20, HOST_NAME_SIZE = 256 };

struct target {
    const struct forward_settings *settings;
    struct syslog_address address;
    bool is_journal;
    char host_name[HOST_NAME_SIZE];
    struct tls_context *tls;
    int fd;                             /* -1: not connected, or with TLS */
    struct http_connection *connection; /* with TLS */
};

static void disconnect(struct target *target)
{
    http_connection_close(TAKE(target->connection));
    close_cleanup(&target->fd);
    target->fd = -1;
}

/* What TLS servers say by themselves (session tickets) and nobody has read makes the kernel reset
 * the connection when it is closed, and throw away what the other end has not taken yet. So it is
 * read, until all has been taken. */
static void flush(struct http_connection *connection)
{
    uint64_t end_ns = clock_monotonic_ns() + SEND_LIMIT_S * NS_PER_S;
    int waiting = 0;

    if (http_connection_shutdown_write(connection, NULL) < 0)
        return;
    while (ioctl(http_connection_fd(connection), SIOCOUTQ, &waiting) == 0 && waiting > 0 &&
           clock_monotonic_ns() < end_ns)
        if (http_connection_wait(connection, FLUSH_STEP_MS, -1, NULL) != 0)
            return;
    http_connection_wait(connection, 0, -1, NULL);
}

void target_free(struct target *target)
{
    if (!target)
        return;
    if (target->connection)
        flush(target->connection);
    disconnect(target);
    tls_context_free(target->tls);
    syslog_address_done(&target->address);
    free(target);
}

/* ---- connecting */

static void limit_sending(int fd)
{
    struct timeval limit = { .tv_sec = SEND_LIMIT_S };

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int connect_unix(struct target *target, const char *path, int type, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(close) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_sys(err, "create a socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ERROR_INVALID, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        error_sys(err, "dial unix %s: connect", path);
        return -1;
    }
    limit_sending(fd);
    target->fd = TAKE_FD(fd);
    return 0;
}

static int connect_local(struct target *target, struct error *err)
{
    static const char *const paths[] = { "/dev/log", "/var/run/syslog", "/var/run/log" };

    for (size_t i = 0; i < COUNT(paths); i++)
        if (connect_unix(target, paths[i], SOCK_DGRAM, NULL) == 0 ||
            connect_unix(target, paths[i], SOCK_STREAM, NULL) == 0)
            return 0;
    return error_set(err, ERROR_UNAVAILABLE,
                     "Unix syslog delivery error: no local syslog is there");
}

/* connect with a limit. */
static int connect_within(const struct addrinfo *info)
{
    CLEANUP(close)
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    info->ai_protocol);
    struct pollfd done = { .fd = fd, .events = POLLOUT };
    int problem = 0;
    socklen_t size = sizeof(problem);

    if (fd < 0)
        return -1;
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -1;
        if (poll(&done, 1, CONNECT_LIMIT_MS) <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem) {
            errno = problem;
            return -1;
        }
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return TAKE_FD(fd);
}

static int connect_host(struct target *target, int type, struct error *err)
{
    const struct syslog_address *address = &target->address;
    struct addrinfo hints = { .ai_socktype = type }, *found = NULL;
    int result = getaddrinfo(address->host, address->port, &hints, &found);
    CLEANUP(close) int fd = -1;

    if (result != 0)
        return error_set(err, ERROR_UNAVAILABLE, "dial %s: lookup %s: %s",
                         type == SOCK_DGRAM ? "udp" : "tcp", address->host, gai_strerror(result));
    for (struct addrinfo *info = found; info && fd < 0; info = info->ai_next)
        fd = connect_within(info);
    int problem = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        errno = problem;
        return error_sys(err, "dial %s %s:%s: connect", type == SOCK_DGRAM ? "udp" : "tcp",
                         address->host, address->port);
    }
    limit_sending(fd);
    if (target->address.transport == SYSLOG_TLS)
        return tls_connect(target->tls, TAKE_FD(fd), address->host, &target->connection, err);
    target->fd = TAKE_FD(fd);
    return 0;
}

static int connect_target(struct target *target, struct error *err)
{
    if (target->is_journal)
        return connect_unix(target, JOURNAL_SOCKET_PATH, SOCK_DGRAM, err);
    switch (target->address.transport) {
    case SYSLOG_LOCAL:
        return connect_local(target, err);
    case SYSLOG_UNIX:
        return connect_unix(target, target->address.path, SOCK_STREAM, err);
    case SYSLOG_UNIXGRAM:
        return connect_unix(target, target->address.path, SOCK_DGRAM, err);
    case SYSLOG_UDP:
        return connect_host(target, SOCK_DGRAM, err);
    default:
        return connect_host(target, SOCK_STREAM, err);
    }
}

static int make_tls(struct target *target, struct error *err)
{
    const struct forward_settings *settings = target->settings;
    struct tls_options options = {
        .ca_path = text_is_empty(settings->ca_path) ? NULL : settings->ca_path,
        .cert_path = text_is_empty(settings->cert_path) ? NULL : settings->cert_path,
        .key_path = text_is_empty(settings->key_path) ? NULL : settings->key_path,
        .verify_peer = !settings->skip_verify,
    };

    return tls_client_new(&options, &target->tls, err);
}

int target_open(const struct forward_settings *settings, struct target **out, struct error *err)
{
    CLEANUP(target_free) struct target *target = NEW(struct target);

    target->settings = settings;
    target->fd = -1;
    target->is_journal = strcmp(settings->driver, "journald") == 0;
    gethostname(target->host_name, sizeof(target->host_name) - 1);
    if (!target->is_journal &&
        (syslog_address_parse(settings->address, &target->address, err) < 0 ||
         (target->address.transport == SYSLOG_TLS && make_tls(target, err) < 0)))
        return -1;
    if (connect_target(target, err) < 0)
        return -1;
    *out = TAKE(target);
    return 0;
}

/* ---- sending */

/* The other end of a stream has closed: what is written to it now would be lost without a word. */
static bool has_ended(const struct target *target)
{
    char probe;

    if (target->connection) /* servers say nothing: what can be read is the end */
        return http_connection_wait(target->connection, 0, -1, NULL) != 0;
    return target->fd >= 0 && recv(target->fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* What is too large for a datagram goes as a sealed file. */
static int send_file(int fd, const void *bytes, size_t size)
{
    CLEANUP(close) int file = memfd_create("entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file < 0 || fd_write_all(file, bytes, size, NULL) < 0 ||
        fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return -1;
    return descriptor_send(fd, NULL, 0, file, NULL) < 0 ? -1 : 0;
}

static int send_datagram(const struct target *target, const char *bytes, size_t size,
                         struct error *err)
{
    if (send(target->fd, bytes, size, MSG_NOSIGNAL) >= 0)
        return 0;
    if (errno == EMSGSIZE && target->is_journal && send_file(target->fd, bytes, size) == 0)
        return 0;
    /* Too large, or nobody there just now: as datagrams are, it is lost. */
    if (errno == EMSGSIZE || (errno == ECONNREFUSED && target->address.transport == SYSLOG_UDP))
        return 0;
    return error_sys(err, "send to the log");
}

static int send_stream(const struct target *target, const char *bytes, size_t size,
                       struct error *err)
{
    while (size > 0) {
        ssize_t count = send(target->fd, bytes, size, MSG_NOSIGNAL);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "send to the log");
        bytes += count;
        size -= (size_t)count;
    }
    return 0;
}

static int send_bytes(struct target *target, const char *bytes, size_t size, struct error *err)
{
    int type = 0;
    socklen_t length = sizeof(type);

    if (target->connection)
        return http_connection_write(target->connection, bytes, size, err);
    getsockopt(target->fd, SOL_SOCKET, SO_TYPE, &type, &length);
    return type == SOCK_DGRAM ? send_datagram(target, bytes, size, err)
                              : send_stream(target, bytes, size, err);
}

static int send_formatted(struct target *target, const char *bytes, size_t size, struct error *err)
{
    if (has_ended(target))
        disconnect(target);
    if (target->fd < 0 && !target->connection && connect_target(target, err) < 0)
        return -1;
    if (send_bytes(target, bytes, size, err) == 0)
        return 0;
    disconnect(target);
    return -1;
}

int target_send(struct target *target, const struct forward_entry *entry, const char *text,
                struct error *err)
{
    if (target->is_journal) {
        CLEANUP(buf_done) struct buf message = {};

        journal_format(target->settings, entry, text, &message);
        return send_formatted(target, (const char *)buf_bytes(&message), message.size, err);
    }
    CLEANUP(str_done) struct str message = {};
    syslog_format(target->settings, target->address.transport, target->host_name, (int)getpid(),
                  entry, text, &message);
    return send_formatted(target, message.data, message.length, err);
}
