/* Making listening sockets. */
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/memory.h"
#include "http/server.h"

#include "base/banned.h"

enum { BACKLOG = 1024, GROUP_BUFFER_SIZE = 16 * 1024, SOCKET_MODE = 0660 };

static int unix_address(const char *path, struct sockaddr_un *out, struct error *err)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (!*path || strlen(path) >= sizeof(out->sun_path))
        return error_set(err, ERROR_INVALID, "socket path is empty or too long: %s", path);
    memcpy(out->sun_path, path, strlen(path));
    return 0;
}

/* Removes the socket of a server that is no more. */
static int clear_path(const char *path, const struct sockaddr_un *address, struct error *err)
{
    struct stat info;

    if (lstat(path, &info) < 0)
        return errno == ENOENT ? 0 : error_sys(err, "look at %s", path);
    if (!S_ISSOCK(info.st_mode))
        return error_set(err, ERROR_CONFLICT, "%s exists and is no socket", path);
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_sys(err, "socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return error_set(err, ERROR_CONFLICT, "somebody listens on %s already", path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return error_sys(err, "connect to %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_sys(err, "remove %s", path);
    return 0;
}

/* The first group of the list that exists; the caller's own otherwise (root's, for a daemon). */
static gid_t find_group(const char *const *names)
{
    CLEANUP(free) char *buffer = xmalloc(GROUP_BUFFER_SIZE);

    for (; names && *names; names++) {
        struct group group, *found = NULL;

        if (getgrnam_r(*names, &group, buffer, GROUP_BUFFER_SIZE, &found) == 0 && found)
            return group.gr_gid;
    }
    return getegid();
}

int http_listen_unix(const char *path, const char *const *groups, int *out_fd, struct error *err)
{
    struct sockaddr_un address;

    if (unix_address(path, &address, err) < 0 || clear_path(path, &address, err) < 0)
        return -1;
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_sys(err, "socket");
    /* The mode of the descriptor becomes that of the path: nobody may connect before it is right.
     * Until listen() nobody can in any case. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, "bind %s", path);
    if (chown(path, (uid_t)-1, find_group(groups)) < 0 || chmod(path, SOCKET_MODE) < 0 ||
        listen(fd, BACKLOG) < 0) {
        error_sys(err, "listen on %s", path);
        unlink(path);
        return -1;
    }
    *out_fd = TAKE_FD(fd);
    return 0;
}

/* "host:port", "[v6]:port", ":port": both parts are yours. */
static int split_address(const char *address, char **out_host, char **out_port, struct error *err)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;

    if (!colon || !colon[1])
        return error_set(err, ERROR_INVALID, "address without a port: %s", address);
    if (length >= 2 && address[0] == '[' && colon[-1] == ']')
        *out_host = xstrndup(address + 1, length - 2);
    else if (!memchr(address, ':', length))
        *out_host = xstrndup(address, length);
    else
        return error_set(err, ERROR_INVALID, "IPv6 address without brackets: %s", address);
    *out_port = xstrdup(colon + 1);
    return 0;
}

static int listen_on(const struct addrinfo *info)
{
    CLEANUP(close)
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    int on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return TAKE_FD(fd);
}

int http_listen_tcp(const char *address, int *out_fd, struct error *err)
{
    CLEANUP(free) char *host = NULL;
    CLEANUP(free) char *port = NULL;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found;
    int fd = -1;

    if (split_address(address, &host, &port, err) < 0)
        return -1;
    int result = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (result != 0)
        return error_set(err, ERROR_INVALID, "listen on %s: %s", address, gai_strerror(result));
    /* Without a host, IPv6's "any" is tried first: it serves both. */
    for (const struct addrinfo *info = found; info && fd < 0 && !*host; info = info->ai_next)
        if (info->ai_family == AF_INET6)
            fd = listen_on(info);
    for (const struct addrinfo *info = found; info && fd < 0; info = info->ai_next)
        fd = listen_on(info);
    int number = errno;
    freeaddrinfo(found);
    errno = number;
    if (fd < 0)
        return error_sys(err, "listen on %s", address);
    *out_fd = fd;
    return 0;
}
