/* The body as a whole, and how single members are written. */
#include "compose/body.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

void body_text(struct json_writer *w, const char *key, const struct yaml *node)
{
    if (yaml_text(node))
        json_add_text(w, key, yaml_text(node));
}

int64_t body_to_int64(const struct yaml *node)
{
    struct error unread;
    int64_t value = 0;

    if (!node)
        return 0;
    if (node->kind == YAML_TEXT &&
        parse_int64(node->text, INT64_MIN, INT64_MAX, &value, &unread) < 0)
        return 0;
    return node->kind == YAML_TEXT   ? value
           : node->kind == YAML_REAL ? (int64_t)node->real
                                     : node->integer;
}

void body_integer(struct json_writer *w, const char *key, const struct yaml *node)
{
    if (!yaml_is_null(node))
        json_add_int64(w, key, body_to_int64(node));
}

void body_bool(struct json_writer *w, const char *key, const struct yaml *node)
{
    if (node && node->kind == YAML_BOOL)
        json_add_bool(w, key, node->boolean);
}

void body_raw(struct json_writer *w, const char *key, const struct yaml *node)
{
    CLEANUP(str_done) struct str text = {};

    if (yaml_is_null(node))
        return;
    yaml_write_json(node, &text);
    json_add_raw(w, key, str_text(&text));
}

int64_t body_duration_ns(const struct yaml *node)
{
    struct error unread;
    int64_t ns = 0;

    if (yaml_text(node) && duration_parse(yaml_text(node), &ns, &unread) < 0)
        return 0;
    return ns;
}

int body_mode(const struct body_wish *wish, const char *mode, char **out, struct error *err)
{
    CLEANUP(free) char *id = NULL;

    if (!text_starts(mode, "service:")) {
        *out = xstrdup(mode);
        return 0;
    }
    id = wish->container_of(wish->data, mode + strlen("service:"));
    if (!id)
        return error_set(err, ERROR_NOT_FOUND, "service %s has no container for %s to join",
                         mode + strlen("service:"), wish->service_name);
    *out = xasprintf("container:%s", id);
    return 0;
}

int body_write(const struct body_wish *wish, struct str *out, struct error *err)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    body_add_config(&w, wish);
    json_begin_dict(&w, "HostConfig");
    if (body_add_host(&w, wish, err) < 0)
        return -1;
    json_end_dict(&w);
    if (body_add_networks(&w, wish, err) < 0)
        return -1;
    json_end_dict(&w);
    return 0;
}
