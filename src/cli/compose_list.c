/* compose images, top, volumes, events, version */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/columns.h"
#include "cli/compose_session.h"
#include "cli/volume_row.h"
#include "compose/label.h"

#include "base/banned.h"

enum { LEAST_WIDTH = 20, GAP = 3, TOP_WIDTH = 4, TOP_GAP = 2 };

struct list_options {
    bool quiet, json, short_form;
    const char *format, *since, *until;
};
#define AT(member) offsetof(struct list_options, member)

static const struct option_row no_rows[] = { {} };

/* ---- images ---- */

/* clang-format off */
static const struct option_row images_rows[] = {
    { 0,   "format", OPTION_TEXT, AT(format), "table or json" },
    { 'q', "quiet",  OPTION_BOOL, AT(quiet),  "Print ids only" },
    {},
};
/* clang-format on */

static void add_image_row(struct columns *columns, const char *const *cells, size_t count)
{
    struct strv *row = columns_row(columns);

    for (size_t i = 0; i < count; i++)
        strv_add(row, cells[i]);
}

static int image_row(struct cli *cli, const struct actual_container *container,
                     struct json_writer *json, struct columns *columns,
                     const struct list_options *options, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *image = NULL;
    const char *id = json_text(json_get(container->document, "ImageID"));
    const char *last = strrchr(container->image, '/'), *colon;
    int64_t created_ns = 0;

    client_path_begin(&path, "/images");
    client_path_segment(&path, id);
    client_path_begin(&path, "/json");
    if (client_call(cli->client, "GET", &path, NULL, &image, err) < 0)
        return -1;
    colon = strchr(last ? last : container->image, ':');
    const char *created = json_text(json_get(image, "Created"));
    if (created)
        time_parse(created, &created_ns, err);
    CLEANUP(free)
    char *repository = colon ? xstrndup(container->image, (size_t)(colon - container->image))
                             : xstrdup(container->image);
    CLEANUP(free) char *short_id = format_short_id(id), *ago = format_ago(created_ns / NS_PER_S);
    CLEANUP(free) char *size = text_human_size(json_to_int64(json_get(image, "Size")));
    CLEANUP(free)
    char *platform = xasprintf("%s/%s", json_text(json_get(image, "Os")) ?: "",
                               json_text(json_get(image, "Architecture")) ?: "");
    const char *tag = colon ? colon + 1 : "latest";
    if (text_equal(options->format, "json")) {
        json_begin_dict(json, NULL);
        json_add_text(json, "ID", id);
        json_add_text(json, "ContainerName", container->name);
        json_add_text(json, "Repository", repository);
        json_add_text(json, "Tag", tag);
        json_add_text(json, "Platform", platform);
        json_add_int64(json, "Size", json_to_int64(json_get(image, "Size")));
        json_add_text(json, "Created", created ?: "");
        json_end_dict(json);
        return 0;
    }
    const char *const cells[] = { container->name, repository, tag, platform, short_id, size, ago };
    add_image_row(columns, cells, COUNT(cells));
    return 0;
}

static int images(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    static const char *const titles[] = { "CONTAINER", "REPOSITORY", "TAG",    "PLATFORM",
                                          "IMAGE ID",  "SIZE",       "CREATED" };
    const struct list_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(columns_done) struct columns columns = {};
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv ids = {};
    struct json_writer w = { .out = &text };
    bool is_json = text_equal(options->format, "json");

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    json_begin_list(&w, NULL);
    add_image_row(&columns, titles, COUNT(titles));
    for (size_t i = 0; i < session.actual.count; i++) {
        const struct actual_container *container = &session.actual.containers[i];
        const char *id = json_text(json_get(container->document, "ImageID"));

        if (container->is_oneoff ||
            (arguments->count && !strv_contains(arguments, container->service)))
            continue;
        if (options->quiet && !strv_contains(&ids, id))
            strv_add(&ids, id);
        if (!options->quiet && image_row(cli, container, &w, &columns, options, err) < 0)
            return -1;
    }
    json_end_list(&w);
    for (size_t i = 0; i < ids.count; i++)
        puts(strchr(ids.items[i], ':') ? strchr(ids.items[i], ':') + 1 : ids.items[i]);
    if (is_json && !options->quiet)
        puts(str_text(&text));
    else if (!options->quiet)
        columns_print(&columns, LEAST_WIDTH, GAP);
    return 0;
}

const struct command command_compose_images = {
    .name = "images",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "List the images of containers",
    .most = MANY_ARGUMENTS,
    .options = images_rows,
    .options_size = sizeof(struct list_options),
    .run = images,
};

/* ---- top ---- */

static void add_process(struct columns *columns, const char *first, const char *second,
                        const struct json *cells)
{
    struct strv *row = columns_row(columns);

    strv_add(row, first);
    strv_add(row, second);
    for (size_t i = 0; i < json_count(cells); i++)
        strv_add(row, json_text(json_at(cells, i)));
}

static int top(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments,
               struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(columns_done) struct columns columns = {};

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    for (size_t i = 0; i < session.actual.count; i++) {
        const struct actual_container *container = &session.actual.containers[i];
        CLEANUP(client_path_done) struct client_path path = {};
        CLEANUP(json_free) struct json *answer = NULL;
        CLEANUP(free) char *number = xasprintf("%d", container->number);

        if (container->is_oneoff || !actual_is_running(container) ||
            (arguments->count && !strv_contains(arguments, container->service)))
            continue;
        client_path_begin(&path, "/containers/%s/top", container->id);
        if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
            return -1;
        if (!columns.count)
            add_process(&columns, "SERVICE", "#", json_get(answer, "Titles"));
        const struct json *processes = json_get(answer, "Processes");
        for (size_t j = 0; j < json_count(processes); j++)
            add_process(&columns, container->service, number, json_at(processes, j));
    }
    columns_print(&columns, TOP_WIDTH, TOP_GAP);
    return 0;
}

const struct command command_compose_top = {
    .name = "top",
    .usage = "[SERVICE...]",
    .summary = "List the processes of containers",
    .most = MANY_ARGUMENTS,
    .options = no_rows,
    .options_size = sizeof(struct list_options),
    .run = top,
};

/* ---- volumes ---- */

static bool is_mounted(const struct compose_session *session, const struct strv *services,
                       const char *volume)
{
    for (size_t i = 0; i < session->actual.count; i++) {
        const struct actual_container *container = &session->actual.containers[i];
        const struct json *mounts = json_get(container->document, "Mounts");

        for (size_t j = 0; strv_contains(services, container->service) && j < json_count(mounts);
             j++)
            if (text_equal(json_text(json_get(json_at(mounts, j), "Name")), volume))
                return true;
    }
    return false;
}

static int volumes(struct cli *cli, const void *parsed, const struct strv *arguments,
                   struct error *err)
{
    const struct list_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    size_t count = 0;

    if (compose_session_open(cli, NULL, &session, err) < 0)
        return -1;
    const struct json *list = json_get(session.actual.volumes, "Volumes");
    struct json **rows = xcalloc(json_count(list) + 1, sizeof(*rows));
    for (size_t i = 0; i < json_count(list); i++)
        if (!arguments->count ||
            is_mounted(&session, arguments, json_text(json_get(json_at(list, i), "Name"))))
            rows[count++] = volume_row(json_at(list, i));
    int result = format_rows(options->quiet ? "{{.Name}}" : options->format, "Driver Name",
                             volume_columns, rows, count, err);
    for (size_t i = 0; i < count; i++)
        json_free(rows[i]);
    free(rows);
    return result;
}

/* clang-format off */
static const struct option_row volumes_rows[] = {
    { 0,   "format", OPTION_TEXT, AT(format), "table, json or a template" },
    { 'q', "quiet",  OPTION_BOOL, AT(quiet),  "Print names only" },
    {},
};
/* clang-format on */

const struct command command_compose_volumes = {
    .name = "volumes",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "List the volumes of the project, or those of services",
    .most = MANY_ARGUMENTS,
    .options = volumes_rows,
    .options_size = sizeof(struct list_options),
    .run = volumes,
};

/* ---- events ---- */

/* clang-format off */
static const struct option_row events_rows[] = {
    { 0, "json",  OPTION_BOOL, AT(json),  "A JSON object for each" },
    { 0, "since", OPTION_TEXT, AT(since), "From this time on" },
    { 0, "until", OPTION_TEXT, AT(until), "Up to this time" },
    {},
};
/* clang-format on */

static void print_event(const struct json *event, bool as_json)
{
    const struct json *attributes = json_get(json_get(event, "Actor"), "Attributes");
    const char *id = json_text(json_get(json_get(event, "Actor"), "ID"));
    const char *action = json_text(json_get(event, "Action"));
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };
    char time[TIME_TEXT_SIZE];

    time_format(json_to_int64(json_get(event, "timeNano")), time);
    if (!as_json) {
        printf("%s container %s %s (image=%s, name=%s)\n", time, action, id,
               json_text(json_get(attributes, "image")) ?: "",
               json_text(json_get(attributes, "name")) ?: "");
        fflush(stdout);
        return;
    }
    json_begin_dict(&w, NULL);
    json_add_text(&w, "action", action);
    json_begin_dict(&w, "attributes");
    JSON_EACH (attributes, key)
        if (!text_starts(key, LABEL_PREFIX))
            json_add_text(&w, key, json_text(json_key_value(key)));
    json_end_dict(&w);
    json_add_text(&w, "id", id);
    json_add_text(&w, "service", json_text(json_get(attributes, LABEL_SERVICE)));
    json_add_text(&w, "time", time);
    json_add_text(&w, "type", "container");
    json_end_dict(&w);
    puts(str_text(&text));
    fflush(stdout);
}

static int events(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct list_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *since = NULL, *until = NULL;
    CLEANUP(str_done) struct str filters = {};
    struct json_writer w = { .out = &filters };
    struct client_messages messages = {};
    struct json *event = NULL;
    int more;

    if (time_human_to_unix(options->since, &since, err) < 0 ||
        time_human_to_unix(options->until, &until, err) < 0 ||
        compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_raw(&w, "type", "[\"container\"]");
    json_begin_list(&w, "label");
    json_add_text_format(&w, NULL, LABEL_PROJECT "=%s", session.project.name);
    json_end_list(&w);
    json_end_dict(&w);
    client_path_begin(&path, "/events");
    client_path_query(&path, "filters", str_text(&filters));
    client_path_query(&path, "since", since);
    client_path_query(&path, "until", until);
    if (client_stream(cli->client, "GET", &path, NULL, NULL, NULL, &messages.response, err) < 0)
        return -1;
    while ((more = client_messages_next(&messages, &event, err)) > 0) {
        const char *service =
            json_text(json_get(json_get(json_get(event, "Actor"), "Attributes"), LABEL_SERVICE));

        if (!arguments->count || (service && strv_contains(arguments, service)))
            print_event(event, options->json);
        json_free(event);
    }
    client_messages_done(&messages);
    return more;
}

const struct command command_compose_events = {
    .name = "events",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Print what happens to containers, as it happens",
    .most = MANY_ARGUMENTS,
    .options = events_rows,
    .options_size = sizeof(struct list_options),
    .run = events,
};

/* ---- version ---- */

/* clang-format off */
static const struct option_row version_rows[] = {
    { 'f', "format", OPTION_TEXT, AT(format),     "pretty or json" },
    { 0,   "short",  OPTION_BOOL, AT(short_form), "Print the number only" },
    {},
};
/* clang-format on */

/* Called by Docker's names we say which of Docker's versions we are like: scripts compare. */
static int version(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                   struct error *err UNUSED)
{
    const struct list_options *options = parsed;
    bool is_docker = text_starts(cli->program, "docker");
    const char *number = is_docker ? LABEL_VERSION_VALUE : BERTH_VERSION;

    if (options->short_form)
        puts(number);
    else if (text_equal(options->format, "json"))
        printf("{\"version\":\"%s\"}\n", number);
    else if (is_docker)
        printf("Docker Compose version %s (berth %s)\n", number, BERTH_VERSION);
    else
        printf("berth compose version %s\n", number);
    return 0;
}

const struct command command_compose_version = {
    .name = "version",
    .usage = "[OPTIONS]",
    .summary = "Print the version",
    .options = version_rows,
    .options_size = sizeof(struct list_options),
    .is_local = true,
    .run = version,
};
