/* ps: the list of containers. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/filter_query.h"
#include "cli/format.h"
#include "cli/settings.h"

#include "base/banned.h"

enum { COMMAND_LENGTH = 20 };

struct ps_options {
    bool all, latest, no_trunc, quiet, size;
    struct strv filters;
    const char *format;
    struct optional_int64 last;
};

/* clang-format off */
static const struct option_row rows[] = {
    { 'a', "all",      OPTION_BOOL,    offsetof(struct ps_options, all),      "Show stopped ones too" },
    { 'f', "filter",   OPTION_LIST,    offsetof(struct ps_options, filters),  "Show only those that fit", .check = filter_check },
    { 0,   "format",   OPTION_TEXT,    offsetof(struct ps_options, format),   "table, table TEMPLATE, json or a Go template" },
    { 'n', "last",     OPTION_INTEGER, offsetof(struct ps_options, last),     "Show the n that were created last" },
    { 'l', "latest",   OPTION_BOOL,    offsetof(struct ps_options, latest),   "Show the one that was created last" },
    { 0,   "no-trunc", OPTION_BOOL,    offsetof(struct ps_options, no_trunc), "Do not shorten" },
    { 'q', "quiet",    OPTION_BOOL,    offsetof(struct ps_options, quiet),    "Show ids only" },
    { 's', "size",     OPTION_BOOL,    offsetof(struct ps_options, size),     "Show sizes" },
    {},
};

static const struct format_column columns[] = {
    { "ID", "CONTAINER ID" }, { "Image", "IMAGE" },   { "Command", "COMMAND" }, { "RunningFor", "CREATED" },
    { "CreatedAt", "CREATED AT" }, { "Status", "STATUS" }, { "Ports", "PORTS" }, { "Names", "NAMES" },
    { "State", "STATE" },     { "Size", "SIZE" },     { "Labels", "LABELS" },   { "Mounts", "MOUNTS" },
    { "LocalVolumes", "LOCAL VOLUMES" }, { "Networks", "NETWORKS" }, { "Platform", "PLATFORM" }, {},
};
/* clang-format on */

struct port {
    const char *ip, *type;
    int64_t inside, outside;
};

static int by_port(const void *a, const void *b)
{
    const struct port *left = a, *right = b;

    if (!left->outside != !right->outside)
        return left->outside ? 1 : -1;
    if (left->inside != right->inside)
        return left->inside < right->inside ? -1 : 1;
    int type = strcmp(left->type, right->type);
    return type ? type : strcmp(left->ip, right->ip);
}

/* "0.0.0.0:8000-8002->8000-8002/tcp, 443/tcp": neighbours with equal numbers on both sides are one
 * range. */
static char *ports_text(const struct json *list)
{
    size_t count = json_count(list);
    CLEANUP(free) struct port *ports = xcalloc(count + 1, sizeof(*ports));
    struct str text = {};

    for (size_t i = 0; i < count; i++) {
        const struct json *entry = json_at(list, i);
        const char *ip = json_text(json_get(entry, "IP")),
                   *type = json_text(json_get(entry, "Type"));

        ports[i] = (struct port){ ip ? ip : "", type ? type : "tcp",
                                  json_to_int64(json_get(entry, "PrivatePort")),
                                  json_to_int64(json_get(entry, "PublicPort")) };
    }
    qsort(ports, count, sizeof(*ports), by_port);
    for (size_t i = 0, next; i < count; i = next) {
        bool mergeable = !ports[i].outside || ports[i].inside == ports[i].outside;

        for (next = i + 1; mergeable && next < count && strcmp(ports[next].ip, ports[i].ip) == 0 &&
                           strcmp(ports[next].type, ports[i].type) == 0 &&
                           ports[next].inside == ports[next - 1].inside + 1 &&
                           !ports[next].outside == !ports[i].outside &&
                           (!ports[next].outside || ports[next].outside == ports[next].inside);
             next++)
            ;
        CLEANUP(free)
        char *range = next - i > 1 ? xasprintf("%lld-%lld", (long long)ports[i].inside,
                                               (long long)ports[next - 1].inside)
                                   : xasprintf("%lld", (long long)ports[i].inside);
        str_add(&text, text.length ? ", " : "");
        if (!ports[i].outside) {
            str_add_format(&text, "%s/%s", range, ports[i].type);
            continue;
        }
        str_add_format(&text, strchr(ports[i].ip, ':') ? "[%s]:" : "%s:", ports[i].ip);
        if (next - i > 1)
            str_add_format(&text, "%s->%s/%s", range, range, ports[i].type);
        else
            str_add_format(&text, "%lld->%s/%s", (long long)ports[i].outside, range, ports[i].type);
    }
    return str_take(&text);
}

static char *names_text(const struct json *names)
{
    CLEANUP(strv_done) struct strv parts = {};

    for (size_t i = 0; i < json_count(names); i++) {
        const char *name = json_text(json_at(names, i));

        strv_add(&parts, name[0] == '/' ? name + 1 : name);
    }
    return strv_join(&parts, ",");
}

static char *keys_text(const struct json *dict)
{
    CLEANUP(strv_done) struct strv parts = {};

    for (size_t i = 0; i < json_count(dict); i++)
        strv_add(&parts, json_key_at(dict, i));
    return strv_join(&parts, ",");
}

static char *mounts_text(const struct json *mounts, bool no_trunc, int *out_volumes)
{
    CLEANUP(strv_done) struct strv parts = {};

    *out_volumes = 0;
    for (size_t i = 0; i < json_count(mounts); i++) {
        const struct json *mount = json_at(mounts, i);
        const char *name = json_text(json_get(mount, "Name"));
        const char *shown = text_is_empty(name) ? json_text(json_get(mount, "Source")) : name;

        *out_volumes += text_equal(json_text(json_get(mount, "Driver")), "local");
        strv_add_take(&parts, no_trunc ? xstrdup(shown ? shown : "")
                                       : format_truncate(shown ? shown : "", 15));
    }
    return strv_join(&parts, ",");
}

static struct json *make_row(const struct json *container, const struct ps_options *options)
{
    struct row row;
    int volumes;
    const char *id = json_text(json_get(container, "Id")),
               *image = json_text(json_get(container, "Image"));
    int64_t created = json_to_int64(json_get(container, "Created"));
    CLEANUP(free) char *short_id = options->no_trunc ? xstrdup(id) : format_short_id(id);
    CLEANUP(free)
    char *short_image = text_starts(image, "sha256:") && !options->no_trunc ? format_short_id(image)
                                                                            : xstrdup(image);
    const char *command = json_text(json_get(container, "Command"));
    CLEANUP(free)
    char *cut = options->no_trunc ? xstrdup(command) : format_truncate(command, COMMAND_LENGTH);
    CLEANUP(free) char *quoted = xasprintf("\"%s\"", cut);
    CLEANUP(free) char *ago = format_ago(created);
    CLEANUP(free) char *at = format_local_time(created);
    CLEANUP(free) char *ports = ports_text(json_get(container, "Ports"));
    CLEANUP(free) char *names = names_text(json_get(container, "Names"));
    CLEANUP(free) char *labels = format_labels(json_get(container, "Labels"));
    CLEANUP(free)
    char *networks = keys_text(json_get(json_get(container, "NetworkSettings"), "Networks"));
    CLEANUP(free)
    char *mounts = mounts_text(json_get(container, "Mounts"), options->no_trunc, &volumes);
    CLEANUP(free) char *volume_count = xasprintf("%d", volumes);
    CLEANUP(free) char *rw = text_human_size(json_to_int64(json_get(container, "SizeRw")));
    CLEANUP(free) char *root = text_human_size(json_to_int64(json_get(container, "SizeRootFs")));
    CLEANUP(free) char *size = xasprintf("%s (virtual %s)", rw, root);

    row_begin(&row);
    row_add(&row, "Command", quoted);
    row_add(&row, "CreatedAt", at);
    row_add(&row, "ID", short_id);
    row_add(&row, "Image", short_image);
    row_add(&row, "Labels", labels);
    row_add(&row, "LocalVolumes", volume_count);
    row_add(&row, "Mounts", mounts);
    row_add(&row, "Names", names);
    row_add(&row, "Networks", networks);
    json_add_null(&row.writer, "Platform");
    row_add(&row, "Ports", ports);
    row_add(&row, "RunningFor", ago);
    row_add(&row, "Size", options->size ? size : "0B");
    row_add(&row, "State", json_text(json_get(container, "State")));
    row_add(&row, "Status", json_text(json_get(container, "Status")));
    return row_finish(&row);
}

#define RAW                                                                                        \
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n"                            \
    "created_at: {{.CreatedAt}}\nstate:{{pad .State 1 0}}\n"                                       \
    "status:{{pad .Status 1 0}}\nnames: {{.Names}}\n"                                              \
    "labels:{{pad .Labels 1 0}}\nports:{{pad .Ports 1 0}}\n"

/* Ids go before any form but the one that is spelled out. */
static const char *choose_format(const struct ps_options *options)
{
    bool is_raw = text_equal(options->format, "raw");

    if (options->quiet && !text_is_empty(options->format))
        fputs("WARNING: Ignoring custom format, because both --format and --quiet are set.\n",
              stderr);
    if (options->quiet)
        return is_raw ? "container_id: {{.ID}}" : "{{.ID}}";
    return format_or_raw(options->format ? options->format : settings_text("psFormat"),
                         options->size ? RAW "size: {{.Size}}\n" : RAW);
}

static int ps(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
              struct error *err)
{
    const struct ps_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *list = NULL;
    char limit[24];

    snprintf(limit, sizeof(limit), "%lld", options->latest ? 1LL : (long long)options->last.value);
    client_path_begin(&path, "/containers/json");
    client_path_query(&path, "all", options->all ? "1" : NULL);
    client_path_query(&path, "limit", options->latest || options->last.is_set ? limit : NULL);
    client_path_query(&path, "size", options->size ? "1" : NULL);
    if (filter_query_add(&path, &options->filters, err) < 0 ||
        client_call(cli->client, "GET", &path, NULL, &list, err) < 0)
        return -1;
    size_t count = json_count(list);
    struct json **made = xcalloc(count + 1, sizeof(*made));
    for (size_t i = 0; i < count; i++)
        made[i] = make_row(json_at(list, i), options);
    int result = format_rows(choose_format(options),
                             options->size ? "ID Image Command RunningFor Status Ports Names Size"
                                           : "ID Image Command RunningFor Status Ports Names",
                             columns, made, count, err);
    for (size_t i = 0; i < count; i++)
        json_free(made[i]);
    free(made);
    return result;
}

const struct command command_ps = {
    .name = "ps",
    .name_in_group = "ls",
    .aliases = "ls list",
    .usage = "[OPTIONS]",
    .summary = "List containers",
    .options = rows,
    .options_size = sizeof(struct ps_options),
    .run = ps,
};
