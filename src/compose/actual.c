/* Three lists, filtered by the project's label. */
#include "compose/actual.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/label.h"

#include "base/banned.h"

static int read_list(struct client *client, const char *path_text, const char *project, bool all,
                     struct json **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str filters = {};
    CLEANUP(free)
    char *label = project ? xasprintf(LABEL_PROJECT "=%s", project) : xstrdup(LABEL_PROJECT);
    struct json_writer w = { .out = &filters };

    json_begin_dict(&w, NULL);
    json_begin_list(&w, "label");
    json_add_text(&w, NULL, label);
    json_end_list(&w);
    json_end_dict(&w);
    client_path_begin(&path, "%s", path_text);
    client_path_query(&path, "all", all ? "1" : NULL);
    client_path_query(&path, "filters", str_text(&filters));
    return client_call(client, "GET", &path, NULL, out, err);
}

const char *actual_label(const struct actual_container *container, const char *label)
{
    return json_text(json_get(json_get(container->document, "Labels"), label));
}

static int compare(const void *a, const void *b)
{
    const struct actual_container *left = a, *right = b;
    int order = strcmp(left->service, right->service);

    return order ? order : left->number - right->number;
}

static void fill(struct actual_container *out, const struct json *document)
{
    const char *name = json_text(json_at(json_get(document, "Names"), 0));
    const char *number;
    struct error unread;
    int64_t value = 0;

    out->document = document;
    number = actual_label(out, LABEL_NUMBER);
    if (number && parse_int64(number, 0, INT32_MAX, &value, &unread) == 0)
        out->number = (int)value;
    out->id = json_text(json_get(document, "Id"));
    out->name = name && *name == '/' ? name + 1 : name ? name : out->id;
    out->service = actual_label(out, LABEL_SERVICE) ?: "";
    out->hash = actual_label(out, LABEL_HASH);
    out->image = json_text(json_get(document, "Image"));
    out->image_id = actual_label(out, LABEL_IMAGE);
    out->dependencies = actual_label(out, LABEL_DEPENDENCIES);
    out->state = json_text(json_get(document, "State")) ?: "";
    out->is_replacement = actual_label(out, LABEL_REPLACES) != NULL;
    out->is_oneoff = text_equal(actual_label(out, LABEL_ONEOFF), "True");
}

int actual_read_containers(struct client *client, const char *project, struct actual *out,
                           struct error *err)
{
    CLEANUP(actual_done) struct actual actual = {};

    if (read_list(client, "/containers/json", project, true, &actual.document, err) < 0)
        return -1;
    actual.count = json_count(actual.document);
    actual.containers = xcalloc(actual.count + 1, sizeof(*actual.containers));
    for (size_t i = 0; i < actual.count; i++)
        fill(&actual.containers[i], json_at(actual.document, i));
    qsort(actual.containers, actual.count, sizeof(*actual.containers), compare);
    *out = actual;
    actual = (struct actual){};
    return 0;
}

int actual_read(struct client *client, const char *project, struct actual *out, struct error *err)
{
    CLEANUP(actual_done) struct actual actual = {};

    if (actual_read_containers(client, project, &actual, err) < 0 ||
        read_list(client, "/networks", project, false, &actual.networks, err) < 0 ||
        read_list(client, "/volumes", project, false, &actual.volumes, err) < 0)
        return -1;
    *out = actual;
    actual = (struct actual){};
    return 0;
}

void actual_done(struct actual *actual)
{
    free(actual->containers);
    json_free(actual->document);
    json_free(actual->networks);
    json_free(actual->volumes);
}

const struct actual_container *actual_find(const struct actual *actual, const char *service,
                                           int number)
{
    for (size_t i = 0; i < actual->count; i++) {
        const struct actual_container *container = &actual->containers[i];

        if (!container->is_oneoff && strcmp(container->service, service) == 0 &&
            (!number || container->number == number))
            return container;
    }
    return NULL;
}

bool actual_is_running(const struct actual_container *container)
{
    return strcmp(container->state, "running") == 0 || strcmp(container->state, "paused") == 0 ||
           strcmp(container->state, "restarting") == 0;
}

const struct json *actual_named(const struct json *list, const char *name)
{
    const struct json *items = json_type(list) == JSON_DICT ? json_get(list, "Volumes") : list;

    for (size_t i = 0; i < json_count(items); i++)
        if (text_equal(json_text(json_get(json_at(items, i), "Name")), name))
            return json_at(items, i);
    return NULL;
}
