/* compose ps, ls, images, port, top, volumes, version */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/columns.h"
#include "cli/compose_session.h"
#include "cli/format.h"
#include "compose/label.h"

#include "base/banned.h"

/* ---- ps ---- */

struct ps_options {
    bool all, no_trunc, orphans, quiet, services;
    struct strv filter, status;
    const char *format;
};

/* clang-format off */
#define AT(member) offsetof(struct ps_options, member)
static const struct option_row ps_rows[] = {
    { 'a', "all",      OPTION_BOOL, AT(all),      "Show containers that have stopped, too" },
    { 0,   "filter",   OPTION_LIST, AT(filter),   "Show only those (status=…)" },
    { 0,   "format",   OPTION_TEXT, AT(format),   "table, json or a template" },
    { 0,   "no-trunc", OPTION_BOOL, AT(no_trunc), "Do not shorten" },
    { 0,   "orphans",  OPTION_BOOL, AT(orphans),  "Show containers of services that the file has not", .initially_true = true },
    { 'q', "quiet",    OPTION_BOOL, AT(quiet),    "Print ids only" },
    { 0,   "services", OPTION_BOOL, AT(services), "Print names of services only" },
    { 0,   "status",   OPTION_LIST, AT(status),   "Show only those in this state" },
    {},
};
static const struct format_column ps_columns[] = {
    { "Name", "NAME" },       { "Image", "IMAGE" },   { "Command", "COMMAND" },
    { "Service", "SERVICE" }, { "RunningFor", "CREATED" }, { "Status", "STATUS" },
    { "Ports", "PORTS" },     { "ID", "CONTAINER ID" }, { "State", "STATE" },
    { "Health", "HEALTH" },   { "Project", "PROJECT" }, {},
};
/* clang-format on */

static void add_port_text(struct str *out, const struct json *port)
{
    const char *ip = json_text(json_get(port, "IP"));
    long long target = json_to_int64(json_get(port, "PrivatePort")),
              published = json_to_int64(json_get(port, "PublicPort"));

    if (out->length)
        str_add(out, ", ");
    if (published && ip)
        str_add_format(out, strchr(ip, ':') ? "[%s]:%lld->" : "%s:%lld->", ip, published);
    str_add_format(out, "%lld/%s", target, json_text(json_get(port, "Type")));
}

static void add_publishers(struct json_writer *w, const struct json *ports)
{
    json_begin_list(w, "Publishers");
    for (size_t i = 0; i < json_count(ports); i++) {
        const struct json *port = json_at(ports, i);

        json_begin_dict(w, NULL);
        json_add_text(w, "URL", json_text(json_get(port, "IP")) ?: "");
        json_add_int64(w, "TargetPort", json_to_int64(json_get(port, "PrivatePort")));
        json_add_int64(w, "PublishedPort", json_to_int64(json_get(port, "PublicPort")));
        json_add_text(w, "Protocol", json_text(json_get(port, "Type")));
        json_end_dict(w);
    }
    json_end_list(w);
}

/* "Up 4 seconds (healthy)" has the health in brackets. */
static char *health_of(const char *status)
{
    static const char *const known[] = { "healthy", "unhealthy", "health: starting" };

    for (size_t i = 0; status && i < COUNT(known); i++) {
        CLEANUP(free) char *text = xasprintf("(%s)", known[i]);

        if (strstr(status, text))
            return xstrdup(i == 2 ? "starting" : known[i]);
    }
    return xstrdup("");
}

/* Names of networks, joined. */
static char *networks_of(const struct json *document)
{
    CLEANUP(strv_done) struct strv names = {};

    JSON_EACH (json_get(json_get(document, "NetworkSettings"), "Networks"), key)
        strv_add(&names, key);
    strv_sort(&names);
    return strv_join(&names, ",");
}

/* Where mounts come from, joined; 'out_local' counts the volumes among them. */
static char *mounts_of(const struct json *document, size_t *out_local)
{
    const struct json *mounts = json_get(document, "Mounts");
    CLEANUP(strv_done) struct strv names = {};

    *out_local = 0;
    for (size_t i = 0; i < json_count(mounts); i++) {
        const struct json *mount = json_at(mounts, i);
        const char *name = json_text(json_get(mount, "Name"));

        strv_add(&names, text_is_empty(name) ? json_text(json_get(mount, "Source")) ?: "" : name);
        *out_local += text_equal(json_text(json_get(mount, "Driver")), "local");
    }
    return strv_join(&names, ",");
}

static struct json *ps_row(const struct actual_container *container, const char *project,
                           bool no_trunc)
{
    const struct json *document = container->document, *ports = json_get(document, "Ports");
    int64_t created_s = json_to_int64(json_get(document, "Created"));
    const char *status = json_text(json_get(document, "Status")) ?: "";
    const char *exited = strstr(status, "Exited (");
    CLEANUP(str_done) struct str ports_text = {};
    CLEANUP(free) char *ago = format_ago(created_s), *created = format_local_time(created_s);
    CLEANUP(free) char *labels = format_labels(json_get(document, "Labels"));
    CLEANUP(free) char *health = health_of(status), *id = format_short_id(container->id);
    const char *whole = json_text(json_get(document, "Command")) ?: "";
    CLEANUP(free) char *cut = no_trunc ? xstrdup(whole) : format_truncate(whole, 20);
    CLEANUP(free) char *command = xasprintf("\"%s\"", cut);
    size_t local_count;
    CLEANUP(free) char *networks = networks_of(document);
    CLEANUP(free) char *mounts = mounts_of(document, &local_count);
    CLEANUP(free) char *local = xasprintf("%zu", local_count);
    struct row row;

    for (size_t i = 0; i < json_count(ports); i++)
        add_port_text(&ports_text, json_at(ports, i));
    row_begin(&row);
    row_add(&row, "Command", command);
    row_add(&row, "CreatedAt", created);
    json_add_int64(&row.writer, "ExitCode", exited ? strtol(exited + 8, NULL, 10) : 0);
    row_add(&row, "Health", health);
    row_add(&row, "ID", no_trunc ? container->id : id);
    row_add(&row, "Image", container->image);
    row_add(&row, "Labels", labels);
    row_add(&row, "LocalVolumes", local);
    row_add(&row, "Mounts", mounts);
    row_add(&row, "Name", container->name);
    row_add(&row, "Names", container->name);
    row_add(&row, "Networks", networks);
    row_add(&row, "Ports", str_text(&ports_text));
    row_add(&row, "Project", project);
    add_publishers(&row.writer, ports);
    row_add(&row, "RunningFor", ago);
    row_add(&row, "Service", container->service);
    row_add(&row, "Size", "0B"); /* as long as nobody asks for it */
    row_add(&row, "State", container->state);
    row_add(&row, "Status", status);
    return row_finish(&row);
}

static bool is_listed(const struct compose_session *session, const struct ps_options *options,
                      const struct strv *services, const struct strv *states,
                      const struct actual_container *container)
{
    const struct project *project = &session->project;

    if (container->is_oneoff && !options->all)
        return false;
    if (services->count && !strv_contains(services, container->service))
        return false;
    if (!options->orphans && project->model && !project_service(project, container->service))
        return false;
    if (states->count)
        return strv_contains(states, container->state);
    return options->all || actual_is_running(container);
}

static int read_states(const struct ps_options *options, struct strv *out, struct error *err)
{
    strv_add_all(out, &options->status);
    for (size_t i = 0; i < options->filter.count; i++) {
        const char *text = options->filter.items[i];

        if (!text_starts(text, "status="))
            return error_set(err, ERROR_INVALID, "unknown filter %s", text);
        strv_add(out, text + strlen("status="));
    }
    return 0;
}

static int ps(struct cli *cli, const void *parsed, const struct strv *arguments, struct error *err)
{
    const struct ps_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv states = {}, names = {};
    CLEANUP(free) struct json **rows = NULL;
    size_t count = 0;
    int result = 0;

    if (read_states(options, &states, err) < 0 ||
        compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    rows = xcalloc(session.actual.count + 1, sizeof(struct json *));
    for (size_t i = 0; i < session.actual.count; i++) {
        const struct actual_container *container = &session.actual.containers[i];

        if (!is_listed(&session, options, arguments, &states, container))
            continue;
        if (options->quiet)
            puts(container->id);
        else if (options->services && !strv_contains(&names, container->service))
            strv_add(&names, container->service);
        else if (!options->services)
            rows[count++] = ps_row(container, session.project.name, options->no_trunc);
    }
    for (size_t i = 0; i < names.count; i++)
        puts(names.items[i]);
    if (!options->quiet && !options->services)
        result = format_rows(options->format, "Name Image Command Service RunningFor Status Ports",
                             ps_columns, rows, count, err);
    for (size_t i = 0; i < count; i++)
        json_free(rows[i]);
    return result;
}

const struct command command_compose_ps = {
    .name = "ps",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "List containers",
    .most = MANY_ARGUMENTS,
    .options = ps_rows,
    .options_size = sizeof(struct ps_options),
    .run = ps,
};

/* ---- ls ---- */

enum { LS_WIDTH = 20, LS_GAP = 3 };

struct ls_options {
    bool all, quiet;
    struct strv filter;
    const char *format;
};

/* clang-format off */
static const struct option_row ls_rows[] = {
    { 'a', "all",    OPTION_BOOL, offsetof(struct ls_options, all),    "Show projects that have stopped, too" },
    { 0,   "filter", OPTION_LIST, offsetof(struct ls_options, filter), "Show only those (name=…)" },
    { 0,   "format", OPTION_TEXT, offsetof(struct ls_options, format), "table or json" },
    { 'q', "quiet",  OPTION_BOOL, offsetof(struct ls_options, quiet),  "Print names only" },
    {},
};
/* clang-format on */

/* "exited(1), running(2)" */
static char *states_text(const struct actual *actual, const char *project, bool all)
{
    CLEANUP(strv_done) struct strv states = {};
    struct str out = {};

    for (size_t i = 0; i < actual->count; i++) {
        const struct actual_container *container = &actual->containers[i];

        if (text_equal(actual_label(container, LABEL_PROJECT), project) &&
            (all || actual_is_running(container)))
            strv_add(&states, container->state);
    }
    strv_sort(&states);
    for (size_t i = 0; i < states.count;) {
        size_t count = 1;

        while (i + count < states.count && strcmp(states.items[i], states.items[i + count]) == 0)
            count++;
        str_add_format(&out, "%s%s(%zu)", out.length ? ", " : "", states.items[i], count);
        i += count;
    }
    return str_take(&out);
}

static void print_project_json(struct json_writer *w, const char *name, const char *states,
                               const char *files)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Name", name);
    json_add_text(w, "Status", states);
    json_add_text(w, "ConfigFiles", files);
    json_end_dict(w);
}

static void add_project_row(struct columns *columns, const char *name, const char *states,
                            const char *files)
{
    struct strv *row = columns_row(columns);

    strv_add(row, name);
    strv_add(row, states);
    strv_add(row, files);
}

static bool name_fits(const struct strv *filters, const char *name)
{
    for (size_t i = 0; i < filters->count; i++)
        if (text_starts(filters->items[i], "name=") && !strstr(name, filters->items[i] + 5))
            return false;
    return true;
}

static int ls(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
              struct error *err)
{
    const struct ls_options *options = parsed;
    CLEANUP(actual_done) struct actual actual = {};
    CLEANUP(strv_done) struct strv seen = {};
    CLEANUP(columns_done) struct columns columns = {};
    CLEANUP(str_done) struct str json = {};
    struct json_writer w = { .out = &json };
    bool is_json = text_equal(options->format, "json");

    if (actual_read_containers(cli->client, NULL, &actual, err) < 0)
        return -1;
    for (size_t i = 0; i < actual.count; i++) {
        const char *name = actual_label(&actual.containers[i], LABEL_PROJECT);

        if (!strv_contains(&seen, name))
            strv_add(&seen, name);
    }
    strv_sort(&seen);
    json_begin_list(&w, NULL);
    add_project_row(&columns, "NAME", "STATUS", "CONFIG FILES");
    for (size_t i = 0; i < seen.count; i++) {
        CLEANUP(free) char *states = states_text(&actual, seen.items[i], options->all);
        const char *files = NULL;

        for (size_t j = 0; j < actual.count && !files; j++)
            if (text_equal(actual_label(&actual.containers[j], LABEL_PROJECT), seen.items[i]))
                files = actual_label(&actual.containers[j], LABEL_FILES) ?: "N/A";
        if (!*states || !name_fits(&options->filter, seen.items[i]))
            continue;
        if (options->quiet)
            puts(seen.items[i]);
        else if (is_json)
            print_project_json(&w, seen.items[i], states, files);
        else
            add_project_row(&columns, seen.items[i], states, files);
    }
    json_end_list(&w);
    if (is_json && !options->quiet)
        puts(str_text(&json));
    else if (!options->quiet)
        columns_print(&columns, LS_WIDTH, LS_GAP);
    return 0;
}

const struct command command_compose_ls = {
    .name = "ls",
    .usage = "[OPTIONS]",
    .summary = "List projects",
    .options = ls_rows,
    .options_size = sizeof(struct ls_options),
    .run = ls,
};
