/* TCP needs some care. Without SO_REUSEADDR a port counts as taken while old connections of a
 * server that is gone are in TIME_WAIT; with it, two sockets that do not listen may share a port.
 * So the strict way is tried first, and after a refusal the other one: listening for a moment makes
 * the kernel check for real and forget that the port was shareable. */
#include "network/port.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "network/subnet.h"

#include "base/banned.h"

#define SOCKET_LIST_LIMIT ((size_t)16 << 20)

/* clang-format off */
static const struct {
    const char *name;
    uint8_t number;
    int type;
} protocols[] = {
    { "sctp", IPPROTO_SCTP, SOCK_SEQPACKET },
    { "tcp",  IPPROTO_TCP,  SOCK_STREAM    },
    { "udp",  IPPROTO_UDP,  SOCK_DGRAM     },
};
/* clang-format on */

static int protocol_index(const char *name, struct error *err)
{
    for (size_t i = 0; i < COUNT(protocols); i++)
        if (strcmp(protocols[i].name, name) == 0)
            return (int)i;
    return error_set(err, ERROR_INVALID, "invalid proto: %s", name);
}

int port_protocol(const char *name, uint8_t *out, struct error *err)
{
    int index = protocol_index(name, err);

    if (index < 0)
        return -1;
    *out = protocols[index].number;
    return 0;
}

/* An address of either family with its port. */
struct place {
    struct sockaddr_storage name;
    socklen_t size;
};

static int read_place(const char *address, struct place *out, struct error *err)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&out->name;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&out->name;

    *out = (struct place){};
    if (inet_pton(AF_INET, address, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        out->size = sizeof(*ipv4);
        return 0;
    }
    if (inet_pton(AF_INET6, address, &ipv6->sin6_addr) != 1)
        return error_set(err, ERROR_INVALID, "invalid IP address: %s", address);
    ipv6->sin6_family = AF_INET6;
    out->size = sizeof(*ipv6);
    return 0;
}

static in_port_t *place_port(struct place *place)
{
    return place->name.ss_family == AF_INET ? &((struct sockaddr_in *)&place->name)->sin_port
                                            : &((struct sockaddr_in6 *)&place->name)->sin6_port;
}

static int open_socket(int index, int family, struct error *err)
{
    int fd = socket(family, protocols[index].type | SOCK_CLOEXEC, protocols[index].number);

    if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
        return -1;
    if (fd < 0)
        return error_sys(err, "open %s socket", protocols[index].name);
    return fd;
}

/* The ports of IPv6 are not those of IPv4. */
static int bind_place(int fd, const struct place *place)
{
    int on = 1;

    if (place->name.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -1;
    return bind(fd, (const struct sockaddr *)&place->name, place->size);
}

static void set_reuse(int fd, int value)
{
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value));
}

/* See the top of this file. -1 with errno. */
static int bind_beside_old_connections(const struct place *place)
{
    CLEANUP(close) int fd = socket(place->name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

    if (fd < 0)
        return -1;
    set_reuse(fd, 1);
    if (bind_place(fd, place) < 0 || listen(fd, 0) < 0)
        return -1;
    set_reuse(fd, 0);
    shutdown(fd, SHUT_RDWR); /* stops listening, stays bound */
    return TAKE_FD(fd);
}

/* -1 with errno. */
static int bind_once(int index, struct place *place, uint16_t port)
{
    CLEANUP(close) int fd = open_socket(index, place->name.ss_family, NULL);
    int small = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)); /* Nobody will read. */
    *place_port(place) = htons(port);
    if (bind_place(fd, place) == 0)
        return TAKE_FD(fd);
    if (errno == EADDRINUSE && protocols[index].number == IPPROTO_TCP && port != 0)
        return bind_beside_old_connections(place);
    return -1;
}

static int refuse(const struct port_mapping *wish, uint16_t port, int reason, struct error *err)
{
    CLEANUP(free) char *holder = NULL;

    if (reason != EADDRINUSE) {
        errno = reason;
        return error_sys(err, "Bind for %s:%u failed", wish->host_ip, port);
    }
    holder = port ? port_holder(wish->protocol, port) : NULL;
    return error_set(
        err, ERROR_CONFLICT, "Bind for %s%s%s:%u failed: port is already allocated%s%s%s",
        strchr(wish->host_ip, ':') ? "[" : "", wish->host_ip, strchr(wish->host_ip, ':') ? "]" : "",
        port, holder ? " (held by " : "", holder ? holder : "", holder ? ")" : "");
}

static uint16_t bound_port(int fd)
{
    struct place place = { .size = sizeof(place.name) };

    getsockname(fd, (struct sockaddr *)&place.name, &place.size);
    return ntohs(*place_port(&place));
}

/* The kernel has no such sockets: something to hold in their place, and a port if none is wished.
 */
static int bind_nothing(const struct port_mapping *wish, struct port_mapping *got, int *out_fd,
                        struct error *err)
{
    int fd;

    if (wish->host_port == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "cannot choose a %s port: this kernel has no such sockets",
                         wish->protocol);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open /dev/null");
    got->host_port = wish->host_port;
    *out_fd = fd;
    return 0;
}

int port_bind(const struct port_mapping *wish, struct port_mapping *got, int *out_fd,
              bool *out_is_held, struct error *err)
{
    struct port_mapping mapping = *wish;
    int index = protocol_index(wish->protocol, err);
    uint16_t last = MAX(wish->host_port, wish->host_port_end);
    struct place place;
    int reason = EADDRINUSE;

    if (index < 0 || read_place(wish->host_ip, &place, err) < 0)
        return -1;
    mapping.host_port_end = 0;
    *out_is_held = true;
    for (uint32_t port = wish->host_port; port <= last && reason == EADDRINUSE; port++) {
        int fd = bind_once(index, &place, (uint16_t)port);

        if (fd >= 0) {
            mapping.host_port = bound_port(fd);
            *got = mapping;
            *out_fd = fd;
            return 0;
        }
        reason = errno;
    }
    if (reason == EPROTONOSUPPORT || reason == ESOCKTNOSUPPORT) {
        *out_is_held = false;
        if (bind_nothing(wish, &mapping, out_fd, err) < 0)
            return -1;
        *got = mapping;
        return 0;
    }
    return refuse(wish, wish->host_port, reason, err);
}

/* ---- who has it? ---- */

/* The inode of a socket on that local port, out of lines like
 * "  0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 12345 …". */
static unsigned long find_inode(const char *text, uint16_t port)
{
    while ((text = strchr(text, '\n'))) {
        unsigned local_port;
        unsigned long inode;

        text++;
        if (sscanf(text, " %*d: %*[0-9A-Fa-f]:%x %*s %*s %*s %*s %*s %*s %*s %lu", &local_port,
                   &inode) == 2 &&
            local_port == port && inode != 0)
            return inode;
    }
    return 0;
}

static bool has_socket(const char *pid, const char *wanted)
{
    char path[300], target[64];
    DIR *directory;
    bool is_found = false;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    directory = opendir(path);
    if (!directory)
        return false;
    for (struct dirent *entry; !is_found && (entry = readdir(directory));) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

        target[MAX(length, 0)] = '\0';
        is_found = strcmp(target, wanted) == 0;
    }
    closedir(directory);
    return is_found;
}

static char *describe_process(const char *pid)
{
    CLEANUP(str_done) struct str name = {};
    char path[300];

    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    if (file_read(path, 4096, &name, NULL) < 0)
        return NULL;
    str_cut(&name, strcspn(str_text(&name), "\n"));
    return xasprintf("%s, pid %s", str_text(&name), pid);
}

static char *find_process(unsigned long inode)
{
    char wanted[64];
    char *holder = NULL;
    DIR *directory = opendir("/proc");

    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    if (!directory)
        return NULL;
    for (struct dirent *entry; !holder && (entry = readdir(directory));)
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, wanted))
            holder = describe_process(entry->d_name);
    closedir(directory);
    return holder;
}

char *port_holder(const char *protocol, uint16_t port)
{
    static const char *const versions[] = { "", "6" };

    for (size_t i = 0; i < COUNT(versions); i++) {
        CLEANUP(str_done) struct str text = {};
        CLEANUP(free)
        char *path = xasprintf("/proc/thread-self/net/%s%s", protocol, versions[i]);
        unsigned long inode;

        if (file_read(path, SOCKET_LIST_LIMIT, &text, NULL) < 0)
            continue;
        inode = find_inode(str_text(&text), port);
        if (inode != 0)
            return find_process(inode);
    }
    return NULL;
}
