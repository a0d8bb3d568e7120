/* The small short forms; those of ports and volumes have files of their own. */
#include "compose/expand.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"

#include "base/banned.h"

/* Replaces a scalar by {key: scalar}. */
static void wrap(struct yaml *node, const char *key)
{
    struct yaml *dict = yaml_new_at(YAML_DICT, node);

    yaml_set(dict, key, yaml_clone(node));
    yaml_replace(node, dict);
}

/* Replaces each scalar of a list by {key: scalar}. */
static void wrap_items(struct yaml *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (yaml_text(list->items[i]))
            wrap(list->items[i], key);
}

/* A scalar becomes a list of it. */
static void make_list(struct yaml *node)
{
    if (node->kind == YAML_LIST)
        return;
    struct yaml *list = yaml_new_at(YAML_LIST, node);
    yaml_add(list, yaml_clone(node));
    yaml_replace(node, list);
}

EXPANSION(build)
{
    (void)spot, (void)err;
    if (yaml_text(node))
        wrap(node, "context");
    return 0;
}

EXPANSION(ssh)
{
    struct yaml *list;

    for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
        const char *text = yaml_text(node->items[i]);

        if (text && strcmp(text, "default") != 0 && !strchr(text, '='))
            return spot_error(spot, node->items[i], err, "invalid ssh key \"%s\"", text);
    }
    if (node->kind == YAML_LIST)
        return 0;
    if (node->kind != YAML_DICT)
        return spot_error(spot, node, err, "must be a mapping or a list");
    list = yaml_new_at(YAML_LIST, node);
    for (size_t i = 0; i < node->count; i++) {
        const char *path = yaml_text(node->items[i]);
        CLEANUP(free)
        char *text = path ? xasprintf("%s=%s", node->keys[i], path) : xstrdup(node->keys[i]);

        yaml_add(list, yaml_new_text(text));
    }
    yaml_replace(node, list);
    return 0;
}

EXPANSION(extends)
{
    (void)spot, (void)err;
    if (yaml_text(node))
        wrap(node, "service");
    return 0;
}

EXPANSION(include)
{
    (void)spot, (void)err;
    make_list(node);
    wrap_items(node, "path");
    return 0;
}

EXPANSION(depends_on)
{
    if (node->kind == YAML_LIST) {
        CLEANUP(yaml_drop) struct yaml *dict = yaml_new_at(YAML_DICT, node);

        for (size_t i = 0; i < node->count; i++) {
            const char *name = yaml_text(node->items[i]);
            struct spot here = { .above = spot, .index = i };

            if (!name)
                return spot_error(&here, node->items[i], err, "must be a string");
            if (yaml_get(dict, name))
                return spot_error(&here, node->items[i], err, "'%s' is there twice", name);
            struct yaml *entry = yaml_new_at(YAML_DICT, node->items[i]);
            yaml_set(entry, "condition", yaml_new_text("service_started"));
            yaml_set(dict, name, entry);
        }
        dict->tag = node->tag;
        yaml_replace(node, TAKE(dict));
    }
    for (size_t i = 0; node->kind == YAML_DICT && i < node->count; i++) {
        struct yaml *item = node->items[i];
        struct spot here = { .above = spot, .name = node->keys[i] };

        if (item->tag == YAML_RESET)
            continue;
        if (item->kind != YAML_DICT)
            return spot_error(&here, item, err, "must be a mapping");
        if (!yaml_get(item, "condition"))
            return spot_error(&here, item, err, "missing property 'condition'");
        if (!yaml_get(item, "required"))
            yaml_set(item, "required", yaml_new_bool(true));
    }
    return 0;
}

EXPANSION(env_file)
{
    (void)spot, (void)err;
    make_list(node);
    wrap_items(node, "path");
    for (size_t i = 0; i < node->count; i++)
        if (node->items[i]->kind == YAML_DICT && !yaml_get(node->items[i], "required"))
            yaml_set(node->items[i], "required", yaml_new_bool(true));
    return 0;
}

EXPANSION(networks)
{
    CLEANUP(yaml_drop) struct yaml *dict = NULL;

    if (node->kind != YAML_LIST)
        return 0;
    dict = yaml_new_at(YAML_DICT, node);
    for (size_t i = 0; i < node->count; i++) {
        const char *name = yaml_text(node->items[i]);
        struct spot here = { .above = spot, .index = i };

        if (!name)
            return spot_error(&here, node->items[i], err, "must be a string");
        yaml_set(dict, name, yaml_new_at(YAML_NULL, node->items[i]));
    }
    dict->tag = node->tag;
    yaml_replace(node, TAKE(dict));
    return 0;
}

EXPANSION(references)
{
    (void)spot, (void)err;
    wrap_items(node, "source");
    return 0;
}

EXPANSION(devices)
{
    if (node->kind != YAML_LIST)
        return 0;
    for (size_t i = 0; i < node->count; i++) {
        CLEANUP(strv_done) struct strv parts = {};
        const char *text = yaml_text(node->items[i]);
        struct spot here = { .above = spot, .index = i };

        if (node->items[i]->kind == YAML_DICT)
            continue;
        if (node->items[i]->kind != YAML_TEXT)
            return spot_error(&here, node->items[i], err, "must be a string");
        strv_split(&parts, text, ':');
        if (parts.count < 1 || parts.count > 3)
            return spot_error(&here, node->items[i], err,
                              "confusing device mapping, please use long syntax: %s", text);
        struct yaml *dict = yaml_new_at(YAML_DICT, node->items[i]);
        yaml_set(dict, "source", yaml_new_text(parts.items[0]));
        yaml_set(dict, "target", yaml_new_text(parts.count > 1 ? parts.items[1] : parts.items[0]));
        yaml_set(dict, "permissions", yaml_new_text(parts.count > 2 ? parts.items[2] : "rwm"));
        yaml_replace(node->items[i], dict);
    }
    return 0;
}

EXPANSION(device_count)
{
    struct error unread;
    int64_t count;

    if (text_equal(yaml_text(node), "all"))
        yaml_replace(node, yaml_new_integer(-1));
    else if (node->kind == YAML_TEXT && parse_int64(node->text, 0, INT32_MAX, &count, &unread) < 0)
        return spot_error(spot, node, err,
                          "invalid value \"%s\", the only value allowed is 'all' or a number",
                          node->text);
    return 0;
}

EXPANSION(gpus)
{
    if (text_equal(yaml_text(node), "all")) {
        struct yaml *dict = yaml_new_at(YAML_DICT, node);

        yaml_set(dict, "count", yaml_new_integer(-1));
        yaml_replace(node, dict);
        make_list(node);
    }
    if (node->kind != YAML_LIST)
        return spot_error(spot, node, err, "must be \"all\" or a list");
    return 0;
}

EXPANSION(health_test)
{
    (void)spot, (void)err;
    if (node->kind == YAML_TEXT) {
        struct yaml *list = yaml_new_at(YAML_LIST, node);

        yaml_add(list, yaml_new_text("CMD-SHELL"));
        yaml_add(list, yaml_new_text(yaml_text(node)));
        yaml_replace(node, list);
    }
    return 0;
}

static int compare_hosts(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    size_t left_length = strcspn(left, "="), right_length = strcspn(right, "=");
    int order = strncmp(left, right, MIN(left_length, right_length));

    return order ? order : (left_length > right_length) - (left_length < right_length);
}

static int add_host(struct strv *lines, const char *host, const struct yaml *address,
                    const struct spot *spot, struct error *err)
{
    if (address && address->kind == YAML_LIST) {
        for (size_t i = 0; i < address->count; i++)
            if (add_host(lines, host, address->items[i], spot, err) < 0)
                return -1;
        return 0;
    }
    if (!yaml_text(address))
        return spot_error(spot, address, err, "must be a string");
    strv_add_format(lines, "%s=%s", host, yaml_text(address));
    return 0;
}

/* "host=address" and "host:address", the address perhaps in brackets. */
static int add_host_line(struct strv *lines, const struct yaml *item, const struct spot *spot,
                         struct error *err)
{
    const char *text = yaml_text(item);
    const char *split = text ? strpbrk(text, "=:") : NULL;

    if (!split || split == text)
        return spot_error(spot, item, err, "invalid additional host, missing IP: %s",
                          text ? text : "");
    size_t length = strlen(split + 1);
    bool is_bracketed = split[1] == '[' && split[length] == ']';
    CLEANUP(free) char *host = xstrndup(text, (size_t)(split - text));
    CLEANUP(free)
    char *address = is_bracketed ? xstrndup(split + 2, length - 2) : xstrdup(split + 1);
    strv_add_format(lines, "%s=%s", host, address);
    return 0;
}

EXPANSION(extra_hosts)
{
    CLEANUP(strv_done) struct strv lines = {};
    struct yaml *list;

    if (node->kind != YAML_LIST && node->kind != YAML_DICT)
        return spot_error(spot, node, err, "must be a mapping or a list");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i], .index = i };
        int result = node->kind == YAML_DICT
                         ? add_host(&lines, node->keys[i], node->items[i], &here, err)
                         : add_host_line(&lines, node->items[i], &here, err);

        if (result < 0)
            return -1;
    }
    /* Insertion keeps the order of one host's addresses, which qsort would not. */
    for (size_t i = 1; i < lines.count; i++)
        for (size_t j = i; j > 0 && compare_hosts(&lines.items[j - 1], &lines.items[j]) > 0; j--) {
            char *swapped = lines.items[j];

            lines.items[j] = lines.items[j - 1];
            lines.items[j - 1] = swapped;
        }
    list = yaml_new_at(YAML_LIST, node);
    for (size_t i = 0; i < lines.count; i++)
        yaml_add(list, yaml_new_text(lines.items[i]));
    list->tag = node->tag;
    yaml_replace(node, list);
    return 0;
}

static int check_limit(struct yaml *node, const struct spot *spot, struct error *err)
{
    struct error unread;
    int64_t value;

    if (node->kind == YAML_TEXT && parse_int64(node->text, -1, INT64_MAX, &value, &unread) == 0)
        yaml_replace(node, yaml_new_integer(value));
    return node->kind == YAML_INTEGER ? 0 : spot_error(spot, node, err, "must be a integer");
}

EXPANSION(ulimits)
{
    for (size_t i = 0; node->kind == YAML_DICT && i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i] };
        struct yaml *item = node->items[i];

        if (item->kind != YAML_DICT) {
            if (check_limit(item, &here, err) < 0)
                return -1;
            continue;
        }
        for (size_t j = 0; j < item->count; j++) {
            struct spot below = { .above = &here, .name = item->keys[j] };

            if (strcmp(item->keys[j], "soft") != 0 && strcmp(item->keys[j], "hard") != 0)
                return spot_error(&here, item->items[j], err,
                                  "additional properties '%s' not allowed", item->keys[j]);
            if (check_limit(item->items[j], &below, err) < 0)
                return -1;
        }
        struct yaml *hard = yaml_take(item, "hard"), *soft = yaml_take(item, "soft");
        if (!hard || !soft) {
            yaml_drop(hard);
            yaml_drop(soft);
            return spot_error(&here, item, err, "needs both soft and hard");
        }
        yaml_set(item, "soft", soft);
        yaml_set(item, "hard", hard);
    }
    return node->kind == YAML_DICT ? 0 : spot_error(spot, node, err, "must be a mapping");
}

EXPANSION(external)
{
    for (size_t i = 0; node->kind == YAML_DICT && i < node->count; i++)
        if (strcmp(node->keys[i], "name") != 0 && !text_starts(node->keys[i], "x-"))
            return spot_error(spot, node->items[i], err, "additional properties '%s' not allowed",
                              node->keys[i]);
    if (node->kind == YAML_DICT)
        yaml_replace(node, yaml_new_bool(true));
    return 0;
}

EXPANSION(resources)
{
    (void)spot, (void)err;
    for (size_t i = 0; node->kind == YAML_DICT && i < node->count; i++) {
        struct yaml *external = yaml_get(node->items[i], "external");
        const char *name = yaml_text(yaml_get(external, "name"));

        if (name && !yaml_get(node->items[i], "name"))
            yaml_set(node->items[i], "name", yaml_new_text(name));
    }
    return 0;
}

EXPANSION(services)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    for (size_t i = 0; node->kind == YAML_DICT && i < node->count; i++)
        if (!*node->keys[i] || node->keys[i][strspn(node->keys[i], letters)])
            return spot_error(spot, node->items[i], err,
                              "additional properties '%s' not allowed: names are made of letters, "
                              "digits, '.', '_' and '-'",
                              node->keys[i]);
    return 0;
}

EXPANSION(contexts)
{
    for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++) {
        const char *text = yaml_text(node->items[i]);

        if (text && !strchr(text, '='))
            return spot_error(spot, node->items[i], err, "invalid value %s, expected key=value",
                              text);
    }
    return 0;
}

EXPANSION(mapping)
{
    return node->kind == YAML_DICT ? 0 : spot_error(spot, node, err, "must be a mapping");
}

EXPANSION(provider_options)
{
    if (node->kind != YAML_DICT)
        return spot_error(spot, node, err, "must be a mapping");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i] };

        make_list(node->items[i]);
        for (size_t j = 0; j < node->items[i]->count; j++) {
            struct yaml *value = node->items[i]->items[j];
            CLEANUP(str_done) struct str text = {};

            if (value->kind >= YAML_LIST || value->kind == YAML_NULL)
                return spot_error(&here, value, err, "must be a string, a number or a boolean");
            if (value->kind == YAML_TEXT)
                continue;
            yaml_write_json(value, &text);
            yaml_replace(value, yaml_new_text(str_text(&text)));
        }
    }
    return 0;
}

/* ---- identities ---- */

char *identity_port(const struct yaml *item)
{
    const char *ip = yaml_text(yaml_get(item, "host_ip"));
    const char *published = yaml_text(yaml_get(item, "published"));
    const char *target = yaml_text(yaml_get(item, "target"));
    const char *protocol = yaml_text(yaml_get(item, "protocol"));

    return xasprintf("%s|%s|%s|%s", ip ? ip : "", published ? published : "", target ? target : "",
                     protocol ? protocol : "tcp");
}

char *identity_target(const struct yaml *item)
{
    return xstrdup(yaml_text(yaml_get(item, "target")));
}

static char *identity_reference(const struct yaml *item, const char *directory)
{
    const char *target = yaml_text(yaml_get(item, "target"));
    const char *source = yaml_text(yaml_get(item, "source"));

    return target ? xstrdup(target) : xasprintf("%s/%s", directory, source ? source : "");
}

char *identity_config(const struct yaml *item)
{
    return identity_reference(item, "");
}

char *identity_secret(const struct yaml *item)
{
    return identity_reference(item, "/run/secrets");
}

char *identity_path(const struct yaml *item)
{
    return xstrdup(yaml_text(yaml_get(item, "path")));
}
