/* stats: a table that is drawn anew while it runs. Each container has a thread that reads its
 * stream; the main thread draws what they read last. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/settings.h"
#include "cli/terminal.h"

#include "base/banned.h"

enum { REFRESH_MS = 500, RELIST_FRAMES = 2 };

struct stats_options {
    bool all, no_stream, no_trunc;
    const char *format;
};

/* clang-format off */
static const struct option_row rows[] = {
    { 'a', "all",       OPTION_BOOL, offsetof(struct stats_options, all),       "Show stopped containers too" },
    { 0,   "format",    OPTION_TEXT, offsetof(struct stats_options, format),    "table, table TEMPLATE, json or a Go template" },
    { 0,   "no-stream", OPTION_BOOL, offsetof(struct stats_options, no_stream), "Show one sample and end" },
    { 0,   "no-trunc",  OPTION_BOOL, offsetof(struct stats_options, no_trunc),  "Do not shorten" },
    {},
};

static const struct format_column columns[] = {
    { "Container", "CONTAINER" }, { "ID", "CONTAINER ID" }, { "Name", "NAME" }, { "CPUPerc", "CPU %" },
    { "MemUsage", "MEM USAGE / LIMIT" }, { "MemPerc", "MEM %" }, { "NetIO", "NET I/O" }, { "BlockIO", "BLOCK I/O" },
    { "PIDs", "PIDS" }, {},
};
/* clang-format on */

/* The numbers of the table. */
struct numbers {
    double cpu_percent, memory_percent;
    int64_t memory, limit, received, sent, read, written, processes;
};

struct reader {
    struct list link;
    struct view *view;
    char *shown; /* as it was asked for */
    pthread_t thread;
    /* under the lock of the view: */
    char *id, *name;
    struct numbers numbers;
    bool has_sample, has_ended, is_wanted;
    struct error failure;
};

struct view {
    struct cli *cli;
    const struct stats_options *options;
    struct mutex lock;
    struct condition changed;
    struct list readers;
};

/* ---- numbers ---- */

static int64_t at(const struct json *object, const char *key)
{
    return json_to_int64(json_get(object, key));
}

static double cpu_percent(const struct json *sample)
{
    const struct json *cpu = json_get(sample, "cpu_stats"),
                      *before = json_get(sample, "precpu_stats");
    double used = (double)(at(json_get(cpu, "cpu_usage"), "total_usage") -
                           at(json_get(before, "cpu_usage"), "total_usage"));
    double passed = (double)(at(cpu, "system_cpu_usage") - at(before, "system_cpu_usage"));

    return used > 0 && passed > 0 ? used / passed * (double)at(cpu, "online_cpus") * 100 : 0;
}

/* What can be dropped at once does not count as used. */
static int64_t used_memory(const struct json *memory)
{
    const struct json *stats = json_get(memory, "stats");
    int64_t usage = at(memory, "usage");
    int64_t droppable = json_get(stats, "total_inactive_file") ? at(stats, "total_inactive_file")
                                                               : at(stats, "inactive_file");

    return droppable < usage ? usage - droppable : usage;
}

static void add_network(const struct json *networks, struct numbers *out)
{
    for (size_t i = 0; i < json_count(networks); i++) {
        out->received += at(json_at(networks, i), "rx_bytes");
        out->sent += at(json_at(networks, i), "tx_bytes");
    }
}

static void add_block_io(const struct json *entries, struct numbers *out)
{
    for (size_t i = 0; i < json_count(entries); i++) {
        const char *operation = json_text(json_get(json_at(entries, i), "op"));

        if (operation && (operation[0] == 'r' || operation[0] == 'R'))
            out->read += at(json_at(entries, i), "value");
        else if (operation && (operation[0] == 'w' || operation[0] == 'W'))
            out->written += at(json_at(entries, i), "value");
    }
}

static struct numbers compute(const struct json *sample)
{
    const struct json *memory = json_get(sample, "memory_stats");
    struct numbers result = { .cpu_percent = cpu_percent(sample),
                              .memory = used_memory(memory),
                              .limit = at(memory, "limit"),
                              .processes = at(json_get(sample, "pids_stats"), "current") };

    if (result.limit)
        result.memory_percent = (double)result.memory / (double)result.limit * 100;
    add_network(json_get(sample, "networks"), &result);
    add_block_io(json_get(json_get(sample, "blkio_stats"), "io_service_bytes_recursive"), &result);
    return result;
}

/* ---- readers ---- */

static void replace(char **field, const char *value)
{
    const char *text = value ? value : "";

    if (text_equal(*field, text))
        return;
    free(*field);
    *field = xstrdup(text);
}

static void note_sample(struct reader *reader, const struct json *sample)
{
    const char *name = json_text(json_get(sample, "name"));

    mutex_lock(&reader->view->lock);
    replace(&reader->id, json_text(json_get(sample, "id")));
    replace(&reader->name, name && name[0] == '/' ? name + 1 : name);
    reader->numbers = compute(sample);
    reader->has_sample = true;
    condition_broadcast(&reader->view->changed);
    mutex_unlock(&reader->view->lock);
}

static void note_end(struct reader *reader, const struct error *failure)
{
    mutex_lock(&reader->view->lock);
    reader->has_ended = true;
    if (failure)
        reader->failure = *failure;
    condition_broadcast(&reader->view->changed);
    mutex_unlock(&reader->view->lock);
}

static void *read_samples(void *data)
{
    struct reader *reader = data;
    CLEANUP(client_path_done) struct client_path path = {};
    struct client_messages messages = {};
    struct json *sample = NULL;
    struct error err = {};
    int more;

    client_path_begin(&path, "/containers");
    client_path_segment(&path, reader->shown);
    client_path_begin(&path, "/stats");
    client_path_query(&path, "stream", reader->view->options->no_stream ? "0" : "1");
    if (client_stream(reader->view->cli->client, "GET", &path, NULL, NULL, NULL, &messages.response,
                      &err) < 0) {
        note_end(reader, &err);
        return NULL;
    }
    while ((more = client_messages_next(&messages, &sample, &err)) > 0) {
        note_sample(reader, sample);
        json_free(sample);
    }
    client_messages_done(&messages);
    note_end(reader, more < 0 ? &err : NULL);
    return NULL;
}

static int add_reader(struct view *view, const char *container, struct error *err)
{
    struct reader *reader = NEW(struct reader);

    reader->view = view;
    reader->shown = xstrdup(container);
    reader->is_wanted = true;
    if (thread_start("stats", read_samples, reader, &reader->thread, err) < 0) {
        free(reader->shown);
        free(reader);
        return -1;
    }
    list_add(&view->readers, &reader->link);
    return 0;
}

/* Waits for its thread, which ends with its stream. */
static void end_reader(struct reader *reader)
{
    pthread_join(reader->thread, NULL);
    list_remove(&reader->link);
    free(reader->shown);
    free(reader->id);
    free(reader->name);
    free(reader);
}

/* Threads for containers that came; those of containers that went end by themselves. */
static int follow_list(struct view *view, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *list = NULL;

    client_path_begin(&path, "/containers/json");
    client_path_query(&path, "all", view->options->all ? "1" : NULL);
    if (client_call(view->cli->client, "GET", &path, NULL, &list, err) < 0)
        return -1;
    LIST_EACH (&view->readers, struct reader, link, reader)
        reader->is_wanted = false;
    for (size_t i = 0; i < json_count(list); i++) {
        CLEANUP(free) char *id = format_short_id(json_text(json_get(json_at(list, i), "Id")));
        bool is_known = false;

        LIST_EACH (&view->readers, struct reader, link, reader)
            if (strcmp(reader->shown, id) == 0)
                reader->is_wanted = is_known = true;
        if (!is_known && add_reader(view, id, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the table ---- */

static struct json *make_row(const struct reader *reader, bool no_trunc)
{
    const struct numbers *numbers = &reader->numbers;
    CLEANUP(free) char *id = no_trunc ? xstrdup(reader->id) : format_short_id(reader->id);
    CLEANUP(free) char *cpu = xasprintf("%.2f%%", numbers->cpu_percent);
    CLEANUP(free) char *share = xasprintf("%.2f%%", numbers->memory_percent);
    CLEANUP(free) char *memory = text_human_size_binary(numbers->memory);
    CLEANUP(free) char *limit = text_human_size_binary(numbers->limit);
    CLEANUP(free) char *usage = xasprintf("%s / %s", memory, limit);
    CLEANUP(free) char *received = text_human_size(numbers->received);
    CLEANUP(free) char *sent = text_human_size(numbers->sent);
    CLEANUP(free) char *network = xasprintf("%s / %s", received, sent);
    CLEANUP(free) char *read = text_human_size(numbers->read);
    CLEANUP(free) char *written = text_human_size(numbers->written);
    CLEANUP(free) char *block = xasprintf("%s / %s", read, written);
    CLEANUP(free) char *processes = xasprintf("%lld", (long long)numbers->processes);
    struct row row;

    row_begin(&row);
    row_add(&row, "BlockIO", block);
    row_add(&row, "CPUPerc", cpu);
    row_add(&row, "Container", reader->shown);
    row_add(&row, "ID", id);
    row_add(&row, "MemPerc", share);
    row_add(&row, "MemUsage", usage);
    row_add(&row, "Name", reader->name);
    row_add(&row, "NetIO", network);
    row_add(&row, "PIDs", processes);
    return row_finish(&row);
}

static int draw(struct view *view, struct error *err)
{
    const char *format = view->options->format ? view->options->format
                                               : settings_text("statsFormat");
    size_t count = 0, limit = 0;

    LIST_EACH (&view->readers, struct reader, link, reader)
        limit++;
    struct json **made = xcalloc(limit + 1, sizeof(*made));
    mutex_lock(&view->lock);
    LIST_EACH (&view->readers, struct reader, link, reader)
        if (reader->has_sample && reader->is_wanted)
            made[count++] = make_row(reader, view->options->no_trunc);
    mutex_unlock(&view->lock);
    bool is_redrawn = !view->options->no_stream && terminal_is(STDOUT_FILENO);
    if (is_redrawn)
        fputs("\033[H\033[J", stdout);
    int result = format_rows(format, "ID Name CPUPerc MemUsage MemPerc NetIO BlockIO PIDs", columns,
                             made, count, err);
    fflush(stdout);
    for (size_t i = 0; i < count; i++)
        json_free(made[i]);
    free(made);
    return result;
}

/* ---- the command ---- */

static void wait_for_samples(struct view *view)
{
    mutex_lock(&view->lock);
    LIST_EACH (&view->readers, struct reader, link, reader)
        while (!reader->has_sample && !reader->has_ended)
            condition_wait(&view->changed, &view->lock);
    mutex_unlock(&view->lock);
}

/* Those that ended are let go; what failed among the named ones is told. */
static bool collect_ended(struct view *view, bool is_named)
{
    bool is_any_left = false;

    LIST_EACH (&view->readers, struct reader, link, reader) {
        mutex_lock(&view->lock);
        bool has_ended = reader->has_ended;
        mutex_unlock(&view->lock);
        if (!has_ended) {
            is_any_left = true;
            continue;
        }
        if (is_named && reader->failure.kind != ERROR_NONE) {
            fprintf(stderr, "%s\n", reader->failure.text);
            view->cli->exit_code = 1;
        }
        end_reader(reader);
    }
    return is_any_left;
}

static int draw_until_stopped(struct view *view, bool is_named, struct error *err)
{
    for (unsigned frame = 1;; frame++) {
        if (draw(view, err) < 0)
            return -1;
        nanosleep(&(struct timespec){ .tv_nsec = REFRESH_MS * 1000000L }, NULL);
        bool is_any_left = collect_ended(view, is_named);
        if (is_named && !is_any_left)
            return 0;
        if (!is_named && frame % RELIST_FRAMES == 0 && follow_list(view, err) < 0)
            return -1;
    }
}

static int stats(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    struct view view = { .cli = cli, .options = parsed };
    bool is_named = arguments->count > 0;
    int result = 0;

    mutex_init(&view.lock);
    condition_init(&view.changed);
    list_init(&view.readers);
    for (size_t i = 0; i < arguments->count && result == 0; i++)
        result = add_reader(&view, arguments->items[i], err);
    if (result == 0 && !is_named)
        result = follow_list(&view, err);
    if (result == 0)
        wait_for_samples(&view);
    bool has_sample = !is_named;
    mutex_lock(&view.lock);
    LIST_EACH (&view.readers, struct reader, link, reader)
        has_sample |= reader->has_sample;
    mutex_unlock(&view.lock);
    if (result == 0 && view.options->no_stream) {
        result = has_sample ? draw(&view, err) : 0;
        while (collect_ended(&view, is_named))
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    } else if (result == 0) {
        bool is_any_left = collect_ended(&view, is_named);

        if (is_any_left || !is_named)
            result = draw_until_stopped(&view, is_named, err);
    }
    /* Threads that still read end with the process. */
    return result;
}

const struct command command_stats = {
    .name = "stats",
    .usage = "[OPTIONS] [CONTAINER...]",
    .summary = "Show what containers use, live",
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct stats_options),
    .run = stats,
};
