/* "[ip:][published[-range]:]target[-range][/protocol]". Equal ranges become one entry a port; a
 * range that is published for one target stays a range, from which the engine takes a free port. */
#include <arpa/inet.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/expand.h"

#include "base/banned.h"

enum { PORT_LIMIT = 65536 }; /* of one service */

struct port_range {
    int64_t first, last; /* 0: none */
};

struct port_form {
    char *ip, *protocol;
    struct port_range published, target;
};

static void port_form_done(struct port_form *form)
{
    free(form->ip);
    free(form->protocol);
}
CLEANUP_VALUE(port_form_done, struct port_form)

static int read_range(const char *text, struct port_range *out)
{
    CLEANUP(free) char *copy = xstrdup(text);
    char *dash = strchr(copy, '-');
    struct error unread;

    *out = (struct port_range){};
    if (!*text)
        return 0;
    if (dash)
        *dash++ = 0;
    if (parse_int64(copy, 0, 65535, &out->first, &unread) < 0 ||
        parse_int64(dash ? dash : copy, 0, 65535, &out->last, &unread) < 0)
        return -1;
    return out->last < out->first ? -1 : 0;
}

static int read_protocol(char *text, struct port_form *out, const struct spot *spot,
                         const struct yaml *node, struct error *err)
{
    char *slash = strchr(text, '/');

    if (slash)
        *slash++ = 0;
    out->protocol = xstrdup(slash && *slash ? slash : "tcp");
    for (char *at = out->protocol; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at |= 0x20;
    if (strcmp(out->protocol, "tcp") != 0 && strcmp(out->protocol, "udp") != 0 &&
        strcmp(out->protocol, "sctp") != 0)
        return spot_error(spot, node, err, "Invalid proto: %s", out->protocol);
    return 0;
}

static int read_ip(char *text, struct port_form *out, const struct spot *spot,
                   const struct yaml *node, struct error *err)
{
    size_t length = strlen(text);
    unsigned char address[sizeof(struct in6_addr)];

    if (*text == '[' && text[length - 1] == ']') {
        text[length - 1] = 0;
        out->ip = xstrdup(text + 1);
        return inet_pton(AF_INET6, out->ip, address) == 1
                   ? 0
                   : spot_error(spot, node, err, "Invalid ip address: %s", out->ip);
    }
    if (strchr(text, ':'))
        return spot_error(spot, node, err,
                          "Invalid ip address %s: put an IPv6 address into brackets", text);
    if (*text && inet_pton(AF_INET, text, address) != 1)
        return spot_error(spot, node, err, "Invalid ip address: %s", text);
    out->ip = *text ? xstrdup(text) : NULL;
    return 0;
}

static int read_form(const struct yaml *node, struct port_form *out, const struct spot *spot,
                     struct error *err)
{
    CLEANUP(free) char *text = xstrdup(yaml_text(node));
    char *target = text, *published = NULL, *colon;

    if (read_protocol(text, out, spot, node, err) < 0)
        return -1;
    colon = strrchr(text, ':');
    if (colon) {
        *colon = 0;
        target = colon + 1;
        published = text;
        colon = strrchr(text, ':');
        if (colon) {
            *colon = 0;
            published = colon + 1;
            if (read_ip(text, out, spot, node, err) < 0)
                return -1;
        }
    }
    if (!*target)
        return spot_error(spot, node, err, "No port specified: %s",
                          *yaml_text(node) ? yaml_text(node) : "<empty>");
    if (read_range(target, &out->target) < 0)
        return spot_error(spot, node, err, "Invalid containerPort: %s", target);
    if (published && read_range(published, &out->published) < 0)
        return spot_error(spot, node, err, "Invalid hostPort: %s", published);
    if (!out->target.first)
        return spot_error(spot, node, err, "is missing a target port");
    int64_t targets = out->target.last - out->target.first,
            others = out->published.last - out->published.first;
    if (published && *published && targets > 0 && targets != others)
        return spot_error(spot, node, err,
                          "Invalid ranges specified for container and host Ports: %s and %s",
                          target, published);
    return 0;
}

static struct yaml *port_entry(const struct yaml *like, const struct port_form *form,
                               int64_t target, const char *published)
{
    struct yaml *entry = yaml_new_at(YAML_DICT, like);

    yaml_set(entry, "mode", yaml_new_text("ingress"));
    if (form->ip)
        yaml_set(entry, "host_ip", yaml_new_text(form->ip));
    yaml_set(entry, "target", yaml_new_integer(target));
    if (published)
        yaml_set(entry, "published", yaml_new_text(published));
    yaml_set(entry, "protocol", yaml_new_text(form->protocol));
    return entry;
}

static void add_entries(struct yaml *list, const struct yaml *like, const struct port_form *form)
{
    const struct port_range *published = &form->published, *target = &form->target;

    for (int64_t i = 0; i <= target->last - target->first; i++) {
        CLEANUP(free) char *text = NULL;

        if (published->last > published->first && target->last == target->first)
            text = xasprintf("%lld-%lld", (long long)published->first, (long long)published->last);
        else if (published->first)
            text = xasprintf("%lld", (long long)(published->first + i));
        yaml_add(list, port_entry(like, form, target->first + i, text));
    }
}

/* The long form gets its defaults. */
static int complete(struct yaml *entry, const struct spot *spot, struct error *err)
{
    struct yaml *published = yaml_get(entry, "published");

    if (yaml_is_null(yaml_get(entry, "target")))
        return spot_error(spot, entry, err, "is missing a target port");
    if (!yaml_get(entry, "mode"))
        yaml_set(entry, "mode", yaml_new_text("ingress"));
    if (!yaml_get(entry, "protocol"))
        yaml_set(entry, "protocol", yaml_new_text("tcp"));
    if (published && text_equal(yaml_text(published), "0"))
        yaml_remove(entry, "published");
    return 0;
}

EXPANSION(ports)
{
    CLEANUP(yaml_drop) struct yaml *list = yaml_new_at(YAML_LIST, node);

    if (node->kind != YAML_LIST)
        return spot_error(spot, node, err, "must be a array");
    for (size_t i = 0; i < node->count; i++) {
        CLEANUP(port_form_done) struct port_form form = {};
        const struct yaml *item = node->items[i];
        struct spot here = { .above = spot, .index = i };

        if (item->kind == YAML_DICT) {
            struct yaml *entry = yaml_clone(item);

            yaml_add(list, entry);
            if (complete(entry, &here, err) < 0)
                return -1;
            continue;
        }
        if (item->kind != YAML_TEXT && item->kind != YAML_INTEGER)
            return spot_error(&here, item, err, "must be a number, a string or a mapping");
        if (read_form(item, &form, &here, err) < 0)
            return -1;
        if (list->count + (size_t)(form.target.last - form.target.first) >= PORT_LIMIT)
            return spot_error(&here, item, err,
                              "is one port more than the %d that a service may have", PORT_LIMIT);
        add_entries(list, item, &form);
    }
    list->tag = node->tag;
    yaml_replace(node, TAKE(list));
    return 0;
}
