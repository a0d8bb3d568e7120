/* Events: shape and filters. */
#include "api/event_write.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

/* Members that events of containers and images had before there were types. */
static void write_legacy(struct json_writer *w, const struct event *event)
{
    const char *image = map_get(&event->attributes, "image");
    bool is_container = text_equal(event->type, "container");

    if (!is_container && !text_equal(event->type, "image"))
        return;
    json_add_text(w, "status", event->action);
    if (!text_is_empty(event->id))
        json_add_text(w, "id", event->id);
    if (is_container && !text_is_empty(image))
        json_add_text(w, "from", image);
}

void event_write(struct json_writer *w, const struct event *event)
{
    json_begin_dict(w, NULL);
    write_legacy(w, event);
    json_add_text(w, "Type", event->type);
    json_add_text(w, "Action", event->action);
    json_begin_dict(w, "Actor");
    json_add_text(w, "ID", event->id ?: "");
    if (event->attributes.count > 0)
        json_add_texts(w, "Attributes", &event->attributes);
    else
        json_add_raw(w, "Attributes", "{}");
    json_end_dict(w);
    json_add_text(w, "scope", "local");
    json_add_int64(w, "time", event->wall_ns / NS_PER_S);
    json_add_int64(w, "timeNano", event->wall_ns);
    json_end_dict(w);
}

/* "exec_start: sh" is asked for as "exec_start", or in full. */
static bool action_matches(const struct event *event, const struct filters *filters)
{
    CLEANUP(free) char *word = xstrndup(event->action, strcspn(event->action, ":"));

    return filters_match_exactly(filters, "event", event->action) ||
           filters_match_exactly(filters, "event", word);
}

/* "container=web" wants events of containers whose id or name begins so. */
static bool object_matches(const struct event *event, const struct filters *filters,
                           const char *type)
{
    const char *name = map_get(&event->attributes, "name");

    if (!filters_has(filters, type))
        return true;
    return text_equal(event->type, type) && (filters_match_prefix(filters, type, event->id ?: "") ||
                                             filters_match_prefix(filters, type, name ?: ""));
}

static bool name_is_wanted(const struct filters *filters, const char *name)
{
    if (!name)
        return false;

    const char *tag = strrchr(name, ':');
    size_t length = tag && !strchr(tag, '/') ? (size_t)(tag - name) : strlen(name);
    CLEANUP(free) char *without_tag = xstrndup(name, length);

    return filters_match_exactly(filters, "image", name) ||
           filters_match_exactly(filters, "image", without_tag);
}

static bool image_matches(const struct event *event, const struct filters *filters)
{
    bool is_container = text_equal(event->type, "container");

    if (!filters_has(filters, "image"))
        return true;
    return name_is_wanted(filters, event->id) ||
           name_is_wanted(filters, map_get(&event->attributes, is_container ? "image" : "name"));
}

bool event_matches(const struct event *event, const struct filters *filters)
{
    static const char *const types[] = { "container", "volume", "network", "daemon", "plugin",
                                         "service",   "node",   "secret",  "config" };

    for (size_t i = 0; i < COUNT(types); i++)
        if (!object_matches(event, filters, types[i]))
            return false;
    return filters_match_exactly(filters, "type", event->type) && action_matches(event, filters) &&
           image_matches(event, filters) && filters_match_labels(filters, &event->attributes) &&
           filters_match_exactly(filters, "scope", "local");
}
