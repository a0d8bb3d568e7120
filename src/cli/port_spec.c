/* Ports of the command line. Ranges of equal length are paired; a single container port may take
 * any host port of a range. */
#include "cli/port_spec.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

struct range {
    int64_t first, last; /* 0 and 0: none */
};

static int parse_range(const char *text, const char *what, const char *whole, struct range *out,
                       struct error *err)
{
    CLEANUP(free) char *copy = xstrdup(text);
    char *dash = strchr(copy, '-');
    struct error ignored;

    *out = (struct range){};
    if (!*text)
        return 0;
    if (dash)
        *dash++ = 0;
    if (parse_int64(copy, 0, 65535, &out->first, &ignored) < 0 ||
        (dash && parse_int64(dash, 0, 65535, &out->last, &ignored) < 0))
        return error_set(err, ERROR_INVALID, "invalid %s: %s", what, whole);
    if (!dash)
        out->last = out->first;
    if (out->last < out->first)
        return error_set(err, ERROR_INVALID, "invalid %s: %s: invalid range", what, whole);
    return 0;
}

/* Splits "…/udp"; the protocol is "tcp" if none is given. */
static int split_protocol(char *text, const char **out, struct error *err)
{
    char *slash = strrchr(text, '/');

    *out = "tcp";
    if (!slash)
        return 0;
    *slash = 0;
    if (strcasecmp(slash + 1, "tcp") == 0 || strcasecmp(slash + 1, "udp") == 0 ||
        strcasecmp(slash + 1, "sctp") == 0)
        *out = slash[1] == 'u' || slash[1] == 'U'   ? "udp"
               : slash[1] == 's' || slash[1] == 'S' ? "sctp"
                                                    : "tcp";
    else
        return error_set(err, ERROR_INVALID, "invalid proto: %s", slash + 1);
    return 0;
}

static void free_list(void *value)
{
    struct json_list *list = value;

    for (size_t i = 0; i < list->count; i++)
        json_fields_done(port_binding_fields, &JSON_ITEMS(list, struct port_binding)[i]);
    free(list->items);
    free(list);
}

static void add_binding(struct map *bindings, const char *key, const char *ip, char *host_port)
{
    struct json_list *list = map_get(bindings, key);

    if (!bindings->entries)
        map_init_empty(bindings, free_list);
    if (!list) {
        list = NEW(struct json_list);
        map_set(bindings, key, list);
    }
    struct port_binding *binding = json_list_add(list, sizeof(*binding));
    *binding = (struct port_binding){ xstrdup(ip), host_port };
}

int port_publish_parse(const char *text, struct strv *exposed, struct map *bindings,
                       struct error *err)
{
    CLEANUP(free) char *copy = xstrdup(text);
    const char *protocol, *ip = "", *host = "";
    struct range inside, outside;
    unsigned char address[sizeof(struct in6_addr)];
    char *rest = copy;

    if (split_protocol(copy, &protocol, err) < 0)
        return -1;
    char *last = strrchr(rest, ':');
    const char *container = last ? last + 1 : rest;
    if (last) {
        *last = 0;
        char *second = rest[0] == '[' ? strstr(rest, "]:") : strrchr(rest, ':');

        host = rest;
        if (second && rest[0] == '[') {
            *second = 0;
            ip = rest + 1;
            host = second + 2;
        } else if (second) {
            *second = 0;
            ip = rest;
            host = second + 1;
        }
    }
    if (*ip && inet_pton(AF_INET, ip, address) != 1 && inet_pton(AF_INET6, ip, address) != 1)
        return error_set(err, ERROR_INVALID, "invalid IP address: %s", ip);
    if (!*container)
        return error_set(err, ERROR_INVALID, "no port specified: %s<empty>", text);
    if (parse_range(container, "containerPort", container, &inside, err) < 0 ||
        parse_range(host, "hostPort", host, &outside, err) < 0)
        return -1;
    if (inside.first == 0)
        return error_set(err, ERROR_INVALID, "invalid containerPort: %s", container);
    bool is_pool = inside.first == inside.last && outside.first != outside.last;
    if (*host && !is_pool && outside.last - outside.first != inside.last - inside.first)
        return error_set(err, ERROR_INVALID,
                         "invalid ranges specified for container and host Ports: %s and %s",
                         container, host);
    for (int64_t port = inside.first; port <= inside.last; port++) {
        CLEANUP(free) char *key = xasprintf("%lld/%s", (long long)port, protocol);
        char *host_port;

        if (!*host)
            host_port = xstrdup("");
        else if (is_pool)
            host_port = xstrdup(host);
        else
            host_port = xasprintf("%lld", (long long)(outside.first + port - inside.first));
        if (!strv_contains(exposed, key))
            strv_add(exposed, key);
        add_binding(bindings, key, ip, host_port);
    }
    return 0;
}

int port_expose_parse(const char *text, struct strv *exposed, struct error *err)
{
    CLEANUP(free) char *copy = xstrdup(text);
    const char *protocol;
    struct range range;

    if (strchr(text, ':'))
        return error_set(err, ERROR_INVALID, "invalid port format for --expose: %s", text);
    if (split_protocol(copy, &protocol, err) < 0 ||
        parse_range(copy, "range format for --expose", text, &range, err) < 0)
        return -1;
    if (range.first == 0)
        return error_set(err, ERROR_INVALID, "invalid range format for --expose: %s", text);
    for (int64_t port = range.first; port <= range.last; port++) {
        CLEANUP(free) char *key = xasprintf("%lld/%s", (long long)port, protocol);

        if (!strv_contains(exposed, key))
            strv_add(exposed, key);
    }
    return 0;
}
