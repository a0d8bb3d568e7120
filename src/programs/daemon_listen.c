/* unix://, tcp:// and fd:// hosts. */
#include "programs/daemon_listen.h"

#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "programs/service.h"

#include "base/banned.h"

static void add_socket(struct daemon_sockets *sockets, int fd, bool is_tcp, const char *unix_path)
{
    sockets->items = xrealloc(sockets->items, sockets->count + 1, sizeof(*sockets->items));
    sockets->items[sockets->count].fd = fd;
    sockets->items[sockets->count].is_tcp = is_tcp;
    sockets->items[sockets->count].unix_path = xstrdup(unix_path);
    sockets->count++;
}

static int open_unix(const struct daemon_options *options, const char *path,
                     struct daemon_sockets *sockets, struct error *err)
{
    const char *const groups[] = { "docker", "berth", NULL };
    const char *const chosen[] = { options->group, NULL };
    CLEANUP(free) char *directory = xstrndup(path, (size_t)(path_base(path) - path));
    int fd;

    if (path[0] != '/')
        return error_set(err, ERROR_INVALID, "the path of a unix socket must be absolute: %s",
                         path);
    if (dir_make(directory, 0755, err) < 0 ||
        http_listen_unix(path, text_is_empty(options->group) ? groups : chosen, &fd, err) < 0)
        return -1;
    add_socket(sockets, fd, false, path);
    return 0;
}

static int open_tcp(const struct daemon_options *options, const char *given,
                    struct daemon_sockets *sockets, struct error *err)
{
    const char *last = strrchr(given, ':');
    bool has_port = last && !strchr(last, ']');
    CLEANUP(free) char *address = NULL;
    int fd;

    if (!options->tls && !options->allow_insecure_tcp)
        return error_set(err, ERROR_INVALID,
                         "tcp://%s without TLS would make everybody who reaches it root on this "
                         "host: use --tlsverify, or --allow-insecure-tcp if that is wanted",
                         given);
    address = has_port
                  ? xstrdup(given)
                  : xasprintf("%s:%d", *given ? given : "127.0.0.1", options->tls ? 2376 : 2375);
    if (http_listen_tcp(address, &fd, err) < 0)
        return -1;
    if (!options->tls)
        log_warn("whoever reaches this address is root on this host", "address", address);
    add_socket(sockets, fd, true, NULL);
    return 0;
}

/* ---- sockets that systemd opened ---- */

static int add_passed(int fd, struct daemon_sockets *sockets, struct error *err)
{
    bool is_tcp;

    if (service_take_fd(fd, &is_tcp, err) < 0)
        return -1;
    add_socket(sockets, fd, is_tcp, NULL);
    return 0;
}

/* "fd://" and "fd://" with a star are all of them, "fd://3" is one. */
static int open_passed(const struct daemon_options *options, const char *which,
                       struct daemon_sockets *sockets, struct error *err)
{
    int count = service_passed_count();
    int64_t one;

    if (count == 0)
        return error_set(err, ERROR_INVALID, "fd://%s: no sockets were passed (LISTEN_FDS)", which);
    if (*which && strcmp(which, "*") != 0) {
        if (parse_int64(which, SERVICE_FIRST_FD, SERVICE_FIRST_FD + count - 1, &one, err) < 0)
            return error_context(err, "fd://%s", which);
        return add_passed((int)one, sockets, err);
    }
    for (int i = 0; i < count; i++)
        if (add_passed(SERVICE_FIRST_FD + i, sockets, err) < 0)
            return -1;
    for (size_t i = 0; i < sockets->count; i++)
        if (sockets->items[i].is_tcp && !options->tls && !options->allow_insecure_tcp)
            return error_set(err, ERROR_INVALID,
                             "a TCP socket was passed, but there is no TLS: use --tlsverify, or "
                             "--allow-insecure-tcp");
    return 0;
}

static int open_host(const struct daemon_options *options, const char *host,
                     struct daemon_sockets *sockets, struct error *err)
{
    static const struct {
        const char *scheme;
        int (*open)(const struct daemon_options *options, const char *rest,
                    struct daemon_sockets *sockets, struct error *err);
    } schemes[] = { { "unix://", open_unix }, { "tcp://", open_tcp }, { "fd://", open_passed } };

    for (size_t i = 0; i < COUNT(schemes); i++)
        if (text_starts(host, schemes[i].scheme))
            return schemes[i].open(options, host + strlen(schemes[i].scheme), sockets, err);
    return error_set(err, ERROR_INVALID, "invalid host %s: use unix://, tcp:// or fd://", host);
}

int daemon_sockets_open(const struct daemon_options *options, struct daemon_sockets *out,
                        struct error *err)
{
    CLEANUP(daemon_sockets_done) struct daemon_sockets sockets = {};

    if (options->tls) {
        struct tls_options tls = { .ca_path = options->tls_verify ? options->tls_ca_path : NULL,
                                   .cert_path = options->tls_cert_path,
                                   .key_path = options->tls_key_path,
                                   .verify_peer = options->tls_verify };

        if (tls_server_new(&tls, &sockets.tls, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < options->hosts.count; i++)
        if (open_host(options, options->hosts.items[i], &sockets, err) < 0)
            return -1;
    *out = sockets;
    sockets = (struct daemon_sockets){};
    return 0;
}

int daemon_sockets_serve(struct daemon_sockets *sockets, struct http_server *server,
                         struct error *err)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct tls_context *tls = sockets->items[i].is_tcp ? sockets->tls : NULL;

        if (http_server_listen(server, TAKE_FD(sockets->items[i].fd), tls, err) < 0)
            return -1;
    }
    return 0;
}

void daemon_sockets_done(struct daemon_sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->items[i].fd >= 0)
            close(sockets->items[i].fd);
        if (sockets->items[i].unix_path)
            unlink(sockets->items[i].unix_path);
        free(sockets->items[i].unix_path);
    }
    free(sockets->items);
    tls_context_free(sockets->tls);
    *sockets = (struct daemon_sockets){};
}
