/* Opening connections. */
#include "http/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/strv.h"
#include "http/transport.h"

#include "base/banned.h"

enum { CONNECT_TIMEOUT_MS = 30 * 1000 };
#define SSH_TIMEOUT_OPTION "ConnectTimeout=30"

static int fail_to_connect(struct error *err, const char *where)
{
    bool is_forbidden = errno == EACCES || errno == EPERM;

    error_sys(err, "connect to %s", where);
    if (err)
        err->kind = is_forbidden ? ERROR_FORBIDDEN : ERROR_UNAVAILABLE;
    return -1;
}

/* connect waits as long as a send may. */
static int limit_connect(int fd, int limit_ms)
{
    const struct timeval limit = { limit_ms / 1000, limit_ms % 1000 * 1000 };

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int dial_unix(const char *path, int limit_ms, int *out_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ERROR_INVALID, "socket path too long: %s", path);
    memcpy(address.sun_path, path, strlen(path));
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_sys(err, "socket");
    if (limit_ms && limit_connect(fd, limit_ms) < 0)
        return error_sys(err, "limit a connection");
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        if (errno != EINTR)
            return fail_to_connect(err, path);
    *out_fd = TAKE_FD(fd);
    return 0;
}

/* Connects within a time, which the kernel's own limit exceeds by far. -1 with errno. */
static int connect_to(const struct addrinfo *info)
{
    CLEANUP(close)
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    int failure = 0, on = 1;
    socklen_t size = sizeof(failure);

    if (fd < 0)
        return -1;
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -1;
        if (poll(&wait, 1, CONNECT_TIMEOUT_MS) == 0)
            failure = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    errno = failure;
    if (failure)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return TAKE_FD(fd);
}

static int dial_tcp(const struct address *address, int *out_fd, struct error *err)
{
    CLEANUP(free) char *where = xasprintf("%s:%s", address->host, address->port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    int fd = -1;

    int result = getaddrinfo(address->host, address->port, &hints, &found);
    if (result != 0)
        return error_set(err, ERROR_UNAVAILABLE, "connect to %s: %s", where, gai_strerror(result));
    for (const struct addrinfo *info = found; info && fd < 0; info = info->ai_next)
        fd = connect_to(info);
    int number = errno;
    freeaddrinfo(found);
    errno = number;
    if (fd < 0)
        return fail_to_connect(err, where);
    *out_fd = fd;
    return 0;
}

/* ---- ssh ---- */

static char *find_program(const char *name)
{
    CLEANUP(strv_done) struct strv directories = {};

    strv_split(&directories, getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin", ':');
    for (size_t i = 0; i < directories.count; i++) {
        CLEANUP(free) char *path = path_join(directories.items[i], name);

        if (*directories.items[i] == '/' && access(path, X_OK) == 0)
            return TAKE(path);
    }
    return NULL;
}

static void add_ssh_arguments(const struct address *address, struct strv *arguments)
{
    strv_add(arguments, "ssh");
    strv_add(arguments, "-o");
    strv_add(arguments, SSH_TIMEOUT_OPTION);
    strv_add(arguments, "-T");
    if (address->user) {
        strv_add(arguments, "-l");
        strv_add(arguments, address->user);
    }
    if (address->port) {
        strv_add(arguments, "-p");
        strv_add(arguments, address->port);
    }
    strv_add(arguments, "--");
    strv_add(arguments, address->host);
    strv_add(arguments, "docker");
    if (address->path)
        strv_add_format(arguments, "--host=unix://%s", address->path);
    strv_add(arguments, "system");
    strv_add(arguments, "dial-stdio");
}

static int dial_ssh(const struct address *address, struct http_connection **out, struct error *err)
{
    CLEANUP(strv_done) struct strv arguments = {};
    CLEANUP(free) char *program = find_program("ssh");
    int fds[2];
    pid_t pid;

    if (!program)
        return error_set(err, ERROR_UNAVAILABLE, "there is no ssh program");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_sys(err, "socketpair");
    CLEANUP(close) int ours = fds[0];
    CLEANUP(close) int theirs = fds[1];
    add_ssh_arguments(address, &arguments);
    /* What ssh has to say, it says to the user. */
    struct process_options options = { .path = program,
                                       .arguments = arguments.items,
                                       .fds = { theirs, theirs, STDERR_FILENO },
                                       .fd_count = 3 };
    if (process_spawn(&options, &pid, err) < 0)
        return -1;
    *out = http_connection_new(TAKE_FD(ours));
    (*out)->helper = pid;
    return 0;
}

int dial(const struct address *address, struct tls_context *tls, struct http_connection **out,
         struct error *err)
{
    int fd = -1;

    if (address->kind == ADDRESS_SSH)
        return dial_ssh(address, out, err);
    if (address->kind == ADDRESS_UNIX
            ? dial_unix(address->path, address->silence_limit_ms, &fd, err) < 0
            : dial_tcp(address, &fd, err) < 0)
        return -1;
    if (address->is_tls && tls_connect(tls, fd, address->host, out, err) < 0)
        return -1;
    if (!address->is_tls)
        *out = http_connection_new(fd);
    if (address->silence_limit_ms)
        (*out)->read_timeout_ms = (*out)->write_timeout_ms = address->silence_limit_ms;
    return 0;
}
