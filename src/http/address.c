/* URLs of servers. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "http/dial.h"

#include "base/banned.h"

static const struct {
    const char *prefix;
    enum address_kind kind;
    bool is_tls;
    const char *port; /* when none is given */
} schemes[] = {
    { "unix://", ADDRESS_UNIX, false, NULL }, { "tcp://", ADDRESS_TCP, false, "2375" },
    { "http://", ADDRESS_TCP, false, "80" },  { "https://", ADDRESS_TCP, true, "443" },
    { "ssh://", ADDRESS_SSH, false, NULL },
};

#define TLS_PORT "2376" /* of tcp:// with TLS */

static int set_port(struct address *address, const char *text, struct error *err)
{
    int64_t ignored;

    if (parse_int64(text, 1, 65535, &ignored, err) < 0)
        return error_context(err, "port");
    free(address->port);
    address->port = xstrdup(text);
    return 0;
}

/* "host", "host:port", "[v6]:port" of 'length' characters. */
static int parse_host(struct address *address, const char *text, size_t length, struct error *err)
{
    CLEANUP(free) char *given = xstrndup(text, length);
    char *end = *given == '[' ? strchr(given, ']') : strchrnul(given, ':');

    if (!end || (*given == '[' && end[1] && end[1] != ':'))
        return error_set(err, ERROR_INVALID, "malformed host: %s", given);
    char *port = strchr(end, ':');
    *end = 0;
    if (port && set_port(address, port + 1, err) < 0)
        return -1;
    address->host = xstrdup(given + (*given == '['));
    if (!*address->host || *address->host == '-')
        return error_set(err, ERROR_INVALID, "malformed host: %.*s", (int)length, text);
    return 0;
}

/* What follows ssh's host ends up in a command line of the other side's shell. */
static int set_ssh_path(struct address *address, const char *path, struct error *err)
{
    if (!*path || strcmp(path, "/") == 0)
        return 0;
    if (path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")])
        return error_set(err, ERROR_INVALID, "unsupported character in socket path: %s", path);
    address->path = xstrdup(path);
    return 0;
}

static int parse_network(struct address *address, const char *text, struct error *err)
{
    size_t length = strcspn(text, "/");
    const char *path = text + length;
    const char *at = address->kind == ADDRESS_SSH ? memrchr(text, '@', length) : NULL;

    if (at) {
        address->user = xstrndup(text, (size_t)(at - text));
        if (!*address->user || *address->user == '-' || strchr(address->user, ':'))
            return error_set(err, ERROR_INVALID, "malformed user: %s", address->user);
        length -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    if (parse_host(address, text, length, err) < 0)
        return -1;
    if (address->kind == ADDRESS_SSH)
        return set_ssh_path(address, path, err);
    return !*path || strcmp(path, "/") == 0
               ? 0
               : error_set(err, ERROR_INVALID, "paths in server addresses are not supported: %s",
                           path);
}

static int parse_rest(struct address *address, const char *rest, struct error *err)
{
    if (address->kind != ADDRESS_UNIX)
        return parse_network(address, rest, err);
    if (!*rest)
        return error_set(err, ERROR_INVALID, "unix:// without a path");
    address->path = xstrdup(rest);
    return 0;
}

int server_address_parse(const char *url, bool has_tls, struct address *out, struct error *err)
{
    CLEANUP(address_done) struct address address = {};

    for (size_t i = 0; i < COUNT(schemes); i++) {
        if (!text_starts(url, schemes[i].prefix))
            continue;
        bool is_docker = strcmp(schemes[i].prefix, "tcp://") == 0;

        address.kind = schemes[i].kind;
        address.is_tls = schemes[i].is_tls || (is_docker && has_tls);
        address.port = xstrdup(is_docker && has_tls ? TLS_PORT : schemes[i].port);
        if (parse_rest(&address, url + strlen(schemes[i].prefix), err) < 0)
            return error_context(err, "server address %s", url);
        *out = address;
        address = (struct address){};
        return 0;
    }
    return error_set(err, ERROR_INVALID, "unable to parse docker host `%s`", url);
}

void address_done(struct address *address)
{
    free(address->user);
    free(address->host);
    free(address->port);
    free(address->path);
    *address = (struct address){};
}
