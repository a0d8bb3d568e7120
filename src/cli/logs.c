/* logs */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/stream.h"

#include "base/banned.h"

struct logs_options {
    bool details, follow, timestamps;
    const char *since, *until, *tail;
};

/* clang-format off */
static const struct option_row rows[] = {
    { 0,   "details",    OPTION_BOOL, offsetof(struct logs_options, details),    "Show attributes too" },
    { 'f', "follow",     OPTION_BOOL, offsetof(struct logs_options, follow),     "Go on with what comes" },
    { 0,   "since",      OPTION_TEXT, offsetof(struct logs_options, since),      "Only from this time, or so long ago (2m)" },
    { 'n', "tail",       OPTION_TEXT, offsetof(struct logs_options, tail),       "Only so many lines from the end" },
    { 't', "timestamps", OPTION_BOOL, offsetof(struct logs_options, timestamps), "Show times" },
    { 0,   "until",      OPTION_TEXT, offsetof(struct logs_options, until),      "Only up to this time, or so long ago" },
    {},
};
/* clang-format on */

static int add_time(struct client_path *path, const char *name, const char *text, struct error *err)
{
    CLEANUP(free) char *wire = NULL;

    if (time_human_to_unix(text, &wire, err) < 0)
        return error_set(
            err, ERROR_INVALID,
            "invalid value for \"%s\": failed to parse value as time or duration: \"%s\"", name,
            text);
    client_path_query(path, name, wire);
    return 0;
}

static ssize_t read_response(void *data, void *to, size_t size, struct error *err)
{
    return http_response_read(data, to, size, err);
}

static int copy_raw(struct http_response *response, struct error *err)
{
    char block[32 * 1024];
    ssize_t count;

    while ((count = http_response_read(response, block, sizeof(block), err)) > 0)
        if (fd_write_all(STDOUT_FILENO, block, (size_t)count, err) < 0)
            return -1;
    return (int)count;
}

static int logs(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct logs_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {}, inspect = {};
    CLEANUP(json_free) struct json *container = NULL;
    CLEANUP(http_response_free) struct http_response *response = NULL;

    client_path_begin(&inspect, "/containers");
    client_path_segment(&inspect, arguments->items[0]);
    client_path_begin(&inspect, "/json");
    if (client_call(cli->client, "GET", &inspect, NULL, &container, err) < 0)
        return -1;
    client_path_begin(&path, "/containers/%s/logs", json_text(json_get(container, "Id")));
    client_path_query(&path, "stdout", "1");
    client_path_query(&path, "stderr", "1");
    client_path_query(&path, "follow", options->follow ? "1" : NULL);
    client_path_query(&path, "timestamps", options->timestamps ? "1" : NULL);
    client_path_query(&path, "details", options->details ? "1" : NULL);
    client_path_query(&path, "tail", options->tail);
    if (add_time(&path, "since", options->since, err) < 0 ||
        add_time(&path, "until", options->until, err) < 0 ||
        client_stream(cli->client, "GET", &path, NULL, NULL, NULL, &response, err) < 0)
        return -1;
    if (json_is_true(json_get(json_get(container, "Config"), "Tty")))
        return copy_raw(response, err);
    return stream_demultiplex(read_response, response, err);
}

const struct command command_logs = {
    .name = "logs",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Show what a container wrote",
    .least = 1,
    .most = 1,
    .options = rows,
    .options_size = sizeof(struct logs_options),
    .run = logs,
};
