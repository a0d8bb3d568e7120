/* version, events, system verify. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/filter_query.h"
#include "cli/format.h"
#include "cli/settings.h"

#include "base/banned.h"

struct format_options {
    const char *format;
};

static const struct option_row format_rows_[] = {
    { 'f', "format", OPTION_TEXT, offsetof(struct format_options, format),
      "json or a Go template" },
    {},
};

static int get(struct cli *cli, const char *where, struct json **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "%s", where);
    return client_call(cli->client, "GET", &path, NULL, out, err);
}

/* ---- version ---- */

static void add_client(struct json_writer *w)
{
    struct utsname host;

    uname(&host);
    json_begin_dict(w, "Client");
    json_add_text(w, "Version", BERTH_VERSION);
    json_add_text(w, "ApiVersion", CLIENT_API_VERSION);
    json_add_text(w, "DefaultAPIVersion", CLIENT_API_VERSION);
    json_add_text(w, "Os", "linux");
    json_add_text(w, "Arch", strcmp(host.machine, "x86_64") == 0 ? "amd64" : host.machine);
    json_add_text(w, "Context", settings_context());
    json_end_dict(w);
}

static void print_version(const struct json *document)
{
    const struct json *mine = json_get(document, "Client"), *server = json_get(document, "Server");

    printf("Client: berth\n Version:     %s\n API version: %s\n OS/Arch:     %s/%s\n",
           json_text(json_get(mine, "Version")), json_text(json_get(mine, "ApiVersion")),
           json_text(json_get(mine, "Os")), json_text(json_get(mine, "Arch")));
    if (json_type(server) != JSON_DICT)
        return;
    printf("\nServer: berth\n Engine:\n  Version:     %s\n  API version: %s (minimum version %s)\n "
           " OS/Arch:     %s/%s\n"
           "  Kernel:      %s\n",
           json_text(json_get(server, "Version")), json_text(json_get(server, "ApiVersion")),
           json_text(json_get(server, "MinAPIVersion")), json_text(json_get(server, "Os")),
           json_text(json_get(server, "Arch")), json_text(json_get(server, "KernelVersion")));
}

static int version(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                   struct error *err)
{
    const struct format_options *options = parsed;
    CLEANUP(json_free) struct json *server = NULL, *document = NULL;
    CLEANUP(str_done) struct str text = {}, server_text = {};
    struct json_writer w = { .out = &text };
    int result = get(cli, "/version", &server, err);

    json_begin_dict(&w, NULL);
    add_client(&w);
    if (result == 0) {
        json_write(server, &server_text);
        json_add_raw(&w, "Server", str_text(&server_text));
    } else {
        json_add_null(&w, "Server");
    }
    json_end_dict(&w);
    struct error ignored;
    if (json_parse(text.data, text.length, &document, &ignored) < 0)
        return -1;
    if (options->format)
        return result < 0 ? -1 : format_document(options->format, document, err);
    print_version(document);
    return result;
}

/* ---- events ---- */

struct events_options {
    struct strv filters;
    const char *format, *since, *until;
};

/* clang-format off */
static const struct option_row events_rows[] = {
    { 'f', "filter", OPTION_LIST, offsetof(struct events_options, filters), "Show only those that fit", .check = filter_check },
    { 0,   "format", OPTION_TEXT, offsetof(struct events_options, format),  "json or a Go template" },
    { 0,   "since",  OPTION_TEXT, offsetof(struct events_options, since),   "From this time, or so long ago" },
    { 0,   "until",  OPTION_TEXT, offsetof(struct events_options, until),   "Up to this time" },
    {},
};
/* clang-format on */

static void print_event(const struct json *event)
{
    const struct json *actor = json_get(event, "Actor"),
                      *attributes = json_get(actor, "Attributes");
    CLEANUP(strv_done) struct strv parts = {};
    char when[TIME_TEXT_SIZE];

    for (size_t i = 0; i < json_count(attributes); i++)
        strv_add_format(&parts, "%s=%s", json_key_at(attributes, i),
                        json_text(json_at(attributes, i)));
    strv_sort(&parts);
    CLEANUP(free) char *joined = strv_join(&parts, ", ");
    time_format_fixed(json_to_int64(json_get(event, "timeNano")), when);
    printf("%s %s %s %s%s%s%s\n", when, json_text(json_get(event, "Type")),
           json_text(json_get(event, "Action")), json_text(json_get(actor, "ID")),
           parts.count ? " (" : "", joined, parts.count ? ")" : "");
}

static int events(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                  struct error *err)
{
    const struct events_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *since = NULL, *until = NULL;
    struct client_messages messages = {};
    struct json *event = NULL;
    int more;

    if (time_human_to_unix(options->since, &since, err) < 0 ||
        time_human_to_unix(options->until, &until, err) < 0)
        return -1;
    client_path_begin(&path, "/events");
    client_path_query(&path, "since", since);
    client_path_query(&path, "until", until);
    if (filter_query_add(&path, &options->filters, err) < 0 ||
        client_stream(cli->client, "GET", &path, NULL, NULL, NULL, &messages.response, err) < 0)
        return -1;
    while ((more = client_messages_next(&messages, &event, err)) > 0) {
        if (options->format)
            more = format_document(options->format, event, err);
        else
            print_event(event);
        json_free(event);
        fflush(stdout);
        if (more < 0)
            break;
    }
    client_messages_done(&messages);
    return more;
}

/* ---- system ---- */

struct verify_options {
    bool repair, rehash;
};

static const struct option_row verify_rows[] = {
    { 0, "rehash", OPTION_BOOL, offsetof(struct verify_options, rehash),
      "Read all blobs and compare their digests" },
    { 0, "repair", OPTION_BOOL, offsetof(struct verify_options, repair),
      "Remove what belongs to nobody, make again what can be made" },
    {},
};

static int verify(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                  struct error *err)
{
    const struct verify_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/system/verify");
    client_path_query(&path, "rehash", options->rehash ? "1" : NULL);
    if (client_call(cli->client, options->repair ? "POST" : "GET", &path, NULL, &answer, err) < 0)
        return -1;
    const struct json *differences = json_get(answer, "Differences");
    const struct json *repaired = json_get(answer, "Repaired");
    for (size_t i = 0; i < json_count(repaired); i++)
        printf("repaired: %s\n", json_text(json_at(repaired, i)));
    for (size_t i = 0; i < json_count(differences); i++)
        puts(json_text(json_at(differences, i)));
    if (json_count(differences)) {
        cli->exit_code = 1;
        fprintf(stderr, "%zu differences between record, kernel and disk\n",
                json_count(differences));
    } else {
        puts("record, kernel and disk agree");
    }
    return 0;
}

/* clang-format off */
const struct command command_version = {
    .name = "version", .usage = "[OPTIONS]", .summary = "Show versions", .options = format_rows_,
    .options_size = sizeof(struct format_options), .run = version,
};
const struct command command_events = {
    .name = "events", .usage = "[OPTIONS]", .summary = "Show what happens, as it happens", .options = events_rows,
    .options_size = sizeof(struct events_options), .run = events,
};
const struct command command_verify = {
    .name = "verify", .usage = "[OPTIONS]", .summary = "Compare the record with the kernel and the disk", .options = verify_rows,
    .options_size = sizeof(struct verify_options), .run = verify,
};
/* clang-format on */
