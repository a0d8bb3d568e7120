/* compose logs */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_session.h"
#include "compose/follower.h"

#include "base/banned.h"

struct logs_options {
    bool follow, no_color, no_log_prefix, timestamps;
    const char *since, *until, *tail;
    struct optional_int64 index;
};

/* clang-format off */
#define AT(member) offsetof(struct logs_options, member)
static const struct option_row rows[] = {
    { 'f', "follow",        OPTION_BOOL,    AT(follow),        "Go on with what comes" },
    { 0,   "index",         OPTION_INTEGER, AT(index),         "Only the container of this number" },
    { 0,   "no-color",      OPTION_BOOL,    AT(no_color),      "No colours in front of lines" },
    { 0,   "no-log-prefix", OPTION_BOOL,    AT(no_log_prefix), "No names in front of lines" },
    { 0,   "since",         OPTION_TEXT,    AT(since),         "Only from this time, or so long ago (2m)" },
    { 'n', "tail",          OPTION_TEXT,    AT(tail),          "Only so many lines from the end of each" },
    { 't', "timestamps",    OPTION_BOOL,    AT(timestamps),    "Show times" },
    { 0,   "until",         OPTION_TEXT,    AT(until),         "Only up to this time, or so long ago" },
    {},
};
/* clang-format on */

struct printing {
    struct cli *cli;
    struct log_printer *printer;
    struct log_wish wish;
    struct error failure;
    int result;
};

static void *print(void *data)
{
    struct printing *printing = data;

    printing->result = log_print(printing->cli->client, printing->printer, &printing->wish,
                                 &printing->failure);
    return NULL;
}

/* All side by side when they are followed, else one after the other. */
static int print_all(struct cli *cli, struct log_printer *printer, struct printing *list,
                     size_t count, bool follow, struct error *err)
{
    CLEANUP(free) pthread_t *threads = xcalloc(count + 1, sizeof(*threads));
    CLEANUP(free) bool *is_started = xcalloc(count + 1, sizeof(*is_started));
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        list[i].cli = cli;
        list[i].printer = printer;
        is_started[i] = follow && thread_start("log", print, &list[i], &threads[i], err) == 0;
        if (!is_started[i])
            print(&list[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_started[i])
            pthread_join(threads[i], NULL);
        if (list[i].result < 0 && result == 0) {
            *err = list[i].failure;
            result = -1;
        }
    }
    return result;
}

static int logs(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct logs_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(log_printer_done) struct log_printer printer;
    CLEANUP(free) char *since = NULL, *until = NULL;
    CLEANUP(free) struct printing *list = NULL;
    size_t count = 0;

    log_printer_init(&printer);
    printer.all_to = stdout;
    printer.no_prefix = options->no_log_prefix;
    printer.timestamps = options->timestamps;
    printer.has_colors = !options->no_color && compose_has_colors(cli, STDOUT_FILENO);
    if (time_human_to_unix(options->since, &since, err) < 0 ||
        time_human_to_unix(options->until, &until, err) < 0 ||
        compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    list = xcalloc(session.actual.count + 1, sizeof(*list));
    for (size_t i = 0; i < session.actual.count; i++) {
        const struct actual_container *container = &session.actual.containers[i];

        if (container->is_oneoff ||
            (arguments->count && !strv_contains(arguments, container->service)) ||
            (options->index.is_set && container->number != options->index.value))
            continue;
        const char *name = log_name(container, session.project.name);
        log_printer_add(&printer, name);
        list[count++].wish = (struct log_wish){ .container_id = container->id,
                                                .name = name,
                                                .since = since,
                                                .until = until,
                                                .tail = options->tail,
                                                .follow = options->follow };
    }
    return print_all(cli, &printer, list, count, options->follow, err);
}

const struct command command_compose_logs = {
    .name = "logs",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Show what containers wrote",
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct logs_options),
    .run = logs,
};
