/* LISTEN_FDS and NOTIFY_SOCKET. */
#include "programs/service.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/macros.h"
#include "base/text.h"

#include "base/banned.h"

enum { PASSED_FD_LIMIT = 64 };

int service_passed_count(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    int64_t for_pid, number;

    if (!pid || !count || parse_int64(pid, 1, INT32_MAX, &for_pid, NULL) < 0 ||
        for_pid != getpid() || parse_int64(count, 0, PASSED_FD_LIMIT, &number, NULL) < 0)
        return 0;
    return (int)number;
}

int service_take_fd(int fd, bool *out_is_tcp, struct error *err)
{
    int listens = 0, family = 0;
    socklen_t size = sizeof(listens);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens)
        return error_set(err, ERROR_INVALID, "descriptor %d is no listening socket", fd);
    size = sizeof(family);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *out_is_tcp = family != AF_UNIX;
    return 0;
}

void service_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = path ? strlen(path) : 0;

    if (length == 0 || length >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = 0;

    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        log_warn("cannot tell the service manager", "state", state);
}
