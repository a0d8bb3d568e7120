/* volume: create, ls, rm; network: ls, rm. (inspect serves all kinds.) */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/filter_query.h"
#include "cli/format.h"
#include "cli/settings.h"
#include "cli/volume_row.h"

#include "base/banned.h"

static void add_pairs(struct json_writer *w, const char *key, const struct strv *pairs)
{
    json_begin_dict(w, key);
    for (size_t i = 0; i < pairs->count; i++) {
        const char *entry = pairs->items[i], *equals = strchr(entry, '=');
        CLEANUP(free)
        char *name = equals ? xstrndup(entry, (size_t)(equals - entry)) : xstrdup(entry);

        json_add_text(w, name, equals ? equals + 1 : "");
    }
    json_end_dict(w);
}

struct list_options {
    struct strv filters;
    const char *format;
    bool quiet, no_trunc, cluster;
};

/* clang-format off */
static const struct option_row list_rows[] = {
    { 'f', "filter",   OPTION_LIST, offsetof(struct list_options, filters),  "Show only those that fit", .check = filter_check },
    { 0,   "format",   OPTION_TEXT, offsetof(struct list_options, format),   "table, table TEMPLATE, json or a Go template" },
    { 0,   "no-trunc", OPTION_BOOL, offsetof(struct list_options, no_trunc), "Do not shorten" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct list_options, quiet),    "Show names or ids only" },
    {},
};

static const struct option_row volume_list_rows[] = {
    { 0,   "cluster",  OPTION_BOOL, offsetof(struct list_options, cluster),  "Show only volumes of a cluster" },
    { 'f', "filter",   OPTION_LIST, offsetof(struct list_options, filters),  "Show only those that fit", .check = filter_check },
    { 0,   "format",   OPTION_TEXT, offsetof(struct list_options, format),   "table, table TEMPLATE, json or a Go template" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct list_options, quiet),    "Show names only" },
    {},
};
/* clang-format on */

/* 'quiet' and 'raw': templates; 'raw' shows what 'quiet' does in its first line. */
static int print_list(const struct list_options *options, const char *quiet, const char *raw,
                      const char *keys, const char *setting, const struct format_column *columns,
                      struct json **made, size_t count, struct error *err)
{
    const char *format = options->format  ? options->format
                         : options->quiet ? quiet
                                          : settings_text(setting);
    CLEANUP(free) char *first = xstrndup(raw, strcspn(raw, "\n"));
    int result = format_rows(format_or_raw(format, options->quiet ? first : raw), keys, columns,
                             made, count, err);

    for (size_t i = 0; i < count; i++)
        json_free(made[i]);
    free(made);
    return result;
}

/* ---- volumes ---- */

struct volume_create_options {
    const char *driver;
    struct strv labels, options;
};

#define CLUSTER_ONLY "it is for volumes of a cluster"

static const struct option_row volume_create_rows[] = {
    { 0, "availability", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 'd', "driver", OPTION_TEXT, offsetof(struct volume_create_options, driver), "Driver" },
    { 0, "group", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "label", OPTION_LIST, offsetof(struct volume_create_options, labels), "Set a label" },
    { 0, "limit-bytes", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 'o', "opt", OPTION_LIST, offsetof(struct volume_create_options, options),
      "Option of the driver" },
    { 0, "required-bytes", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "scope", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "secret", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "sharing", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "topology-preferred", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "topology-required", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    { 0, "type", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    {},
};

static int volume_create(struct cli *cli, const void *parsed, const struct strv *arguments,
                         struct error *err)
{
    const struct volume_create_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", arguments->count ? arguments->items[0] : "");
    json_add_text(&w, "Driver", options->driver ? options->driver : "local");
    add_pairs(&w, "DriverOpts", &options->options);
    add_pairs(&w, "Labels", &options->labels);
    json_end_dict(&w);
    client_path_begin(&path, "/volumes/create");
    if (client_call(cli->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    puts(json_text(json_get(answer, "Name")));
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return text_compare_natural(json_text(json_get(*(const struct json *const *)a, "Name")),
                                json_text(json_get(*(const struct json *const *)b, "Name")));
}

static int volume_ls(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                     struct error *err)
{
    const struct list_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/volumes");
    if (filter_query_add(&path, &options->filters, err) < 0 ||
        client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return -1;
    const struct json *list = json_get(answer, "Volumes");
    size_t listed = json_count(list), count = 0;
    struct json **made = xcalloc(listed + 1, sizeof(*made));
    for (size_t i = 0; i < listed; i++) {
        const struct json *volume = json_at(list, i);

        if (options->cluster && json_type(json_get(volume, "ClusterVolume")) != JSON_DICT)
            continue;
        made[count++] = volume_row(volume);
    }
    qsort(made, count, sizeof(struct json *), by_name);
    return print_list(options, "{{.Name}}", "name: {{.Name}}\ndriver: {{.Driver}}\n",
                      options->cluster ? "Name Group Driver Availability Status" : "Driver Name",
                      "volumesFormat", volume_columns, made, count, err);
}

/* Only volumes of a cluster have anything that could be changed. */
static int volume_update(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
                         struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/volumes");
    client_path_segment(&path, arguments->items[0]);
    if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return -1;
    return error_set(err, ERROR_INVALID, "Can only update cluster volumes");
}

static const struct option_row volume_update_rows[] = {
    { 0, "availability", OPTION_UNSUPPORTED, 0, CLUSTER_ONLY },
    {},
};

struct force_options {
    bool force;
};

static const struct option_row force_rows[] = {
    { 'f', "force", OPTION_BOOL, offsetof(struct force_options, force),
      "What is missing is no error" },
    {},
};

static int volume_rm_one(struct cli *cli, const char *name, const void *parsed, struct error *err)
{
    const struct force_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/volumes");
    client_path_segment(&path, name);
    client_path_query(&path, "force", options->force ? "1" : NULL);
    return client_call(cli->client, "DELETE", &path, NULL, NULL, err);
}

static int volume_rm(struct cli *cli, const void *options, const struct strv *arguments,
                     struct error *err)
{
    return cli_each(cli, arguments, volume_rm_one, options, err);
}

/* ---- networks ---- */

static const struct format_column network_columns[] = { { "ID", "NETWORK ID" },
                                                        { "Name", "NAME" },
                                                        { "Driver", "DRIVER" },
                                                        { "Scope", "SCOPE" },
                                                        { "IPv4", "IPV4" },
                                                        { "IPv6", "IPV6" },
                                                        { "Internal", "INTERNAL" },
                                                        { "Labels", "LABELS" },
                                                        { "CreatedAt", "CREATED AT" },
                                                        {} };

/* "2006-01-02T15:04:05.9Z" as the client of Docker prints times: "2006-01-02 15:04:05.9 +0000 UTC".
 */
static char *creation_time(const char *text)
{
    size_t length = text ? strlen(text) : 0;

    if (length < 20 || text[10] != 'T' || text[length - 1] != 'Z')
        return xstrdup(text ? text : "");
    return xasprintf("%.10s %.*s +0000 UTC", text, (int)length - 12, text + 11);
}

static int network_ls(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                      struct error *err)
{
    const struct list_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *list = NULL;

    client_path_begin(&path, "/networks");
    if (filter_query_add(&path, &options->filters, err) < 0 ||
        client_call(cli->client, "GET", &path, NULL, &list, err) < 0)
        return -1;
    size_t count = json_count(list);
    struct json **made = xcalloc(count + 1, sizeof(*made));
    for (size_t i = 0; i < count; i++) {
        const struct json *network = json_at(list, i);
        const char *id = json_text(json_get(network, "Id"));
        CLEANUP(free) char *shown = options->no_trunc ? xstrdup(id) : format_short_id(id);
        CLEANUP(free) char *labels = format_labels(json_get(network, "Labels"));
        struct row row;

        row_begin(&row);
        CLEANUP(free) char *created = creation_time(json_text(json_get(network, "Created")));
        row_add(&row, "CreatedAt", created);
        row_add(&row, "Driver", json_text(json_get(network, "Driver")));
        row_add(&row, "ID", shown);
        row_add(&row, "IPv4", json_is_true(json_get(network, "EnableIPv4")) ? "true" : "false");
        row_add(&row, "IPv6", json_is_true(json_get(network, "EnableIPv6")) ? "true" : "false");
        row_add(&row, "Internal", json_is_true(json_get(network, "Internal")) ? "true" : "false");
        row_add(&row, "Labels", labels);
        row_add(&row, "Name", json_text(json_get(network, "Name")));
        row_add(&row, "Scope", json_text(json_get(network, "Scope")));
        made[i] = row_finish(&row);
    }
    qsort(made, count, sizeof(struct json *), by_name);
    return print_list(options, "{{.ID}}",
                      "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\n"
                      "scope: {{.Scope}}\n",
                      "ID Name Driver Scope", "networksFormat", network_columns, made, count, err);
}

static int network_rm_one(struct cli *cli, const char *name, const void *parsed, struct error *err)
{
    const struct force_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/networks");
    client_path_segment(&path, name);
    if (client_call(cli->client, "DELETE", &path, NULL, NULL, err) < 0)
        return options->force && err->kind == ERROR_NOT_FOUND ? 0 : -1;
    return 0;
}

static int network_rm(struct cli *cli, const void *options, const struct strv *arguments,
                      struct error *err)
{
    if (cli_each(cli, arguments, network_rm_one, options, err) < 0)
        return -1;
    return cli->exit_code ? error_set(err, ERROR_INTERNAL, "exit status 1") : 0;
}

/* clang-format off */
const struct command command_volume_create = {
    .name = "create", .usage = "[OPTIONS] [VOLUME]", .summary = "Create a volume", .most = 1, .options = volume_create_rows,
    .options_size = sizeof(struct volume_create_options), .run = volume_create,
};
const struct command command_volume_ls = {
    .name = "ls", .aliases = "list", .usage = "[OPTIONS]", .summary = "List volumes", .options = volume_list_rows,
    .options_size = sizeof(struct list_options), .run = volume_ls,
};
const struct command command_volume_update = {
    .name = "update", .usage = "[OPTIONS] VOLUME", .summary = "Change a volume of a cluster", .least = 1, .most = 1,
    .options = volume_update_rows, .run = volume_update,
};
const struct command command_volume_rm = {
    .name = "rm", .aliases = "remove", .usage = "[OPTIONS] VOLUME [VOLUME...]", .summary = "Remove volumes", .least = 1,
    .most = MANY_ARGUMENTS, .options = force_rows, .options_size = sizeof(struct force_options), .run = volume_rm,
};
const struct command command_network_ls = {
    .name = "ls", .aliases = "list", .usage = "[OPTIONS]", .summary = "List networks", .options = list_rows,
    .options_size = sizeof(struct list_options), .run = network_ls,
};
const struct command command_network_rm = {
    .name = "rm", .aliases = "remove", .usage = "[OPTIONS] NETWORK [NETWORK...]", .summary = "Remove networks", .least = 1,
    .most = MANY_ARGUMENTS, .options = force_rows, .options_size = sizeof(struct force_options), .run = network_rm,
};
/* clang-format on */
