/* `ps` of the host, and of its rows those of one container. The host's program sees all processes;
 * which are the container's is known from its control group. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "engine/container_usage.h"
#include "engine/internal.h"
#include "engine/process_list.h"
#include "linux/cgroup.h"

#include "base/banned.h"

enum { ARGUMENT_LIMIT = 64, RUN_LIMIT_MS = 10000 };
#define OUTPUT_LIMIT ((size_t)16 << 20)

void process_table_done(struct process_table *table)
{
    strv_done(&table->titles);
    for (size_t i = 0; i < table->row_count; i++)
        strv_done(&table->rows[i]);
    free(table->rows);
    *table = (struct process_table){};
}

/* ---- what ps printed ---- */

/* Words of a line. From the last title on all belongs to one field: a command has blanks. */
static void split_fields(const char *line, size_t length, size_t limit, struct strv *out)
{
    const char *end = line + length;

    while (line < end) {
        while (line < end && isspace((unsigned char)*line))
            line++;
        const char *word = line;
        bool is_last = limit && out->count + 1 == limit;
        while (line < end && (is_last || !isspace((unsigned char)*line)))
            line++;
        const char *word_end = line;
        while (word_end > word && isspace((unsigned char)word_end[-1]))
            word_end--;
        if (word_end > word)
            strv_add_take(out, xstrndup(word, (size_t)(word_end - word)));
    }
}

static bool contains(const pid_t *pids, size_t count, int64_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

int process_table_parse(const char *text, const pid_t *pids, size_t count,
                        struct process_table *out, struct error *err)
{
    CLEANUP(process_table_done) struct process_table table = {};
    size_t length = strcspn(text, "\n"), column = 0;
    bool was_ours = false;

    strv_init_empty(&table.titles);
    split_fields(text, length, 0, &table.titles);
    while (column < table.titles.count && strcmp(table.titles.items[column], "PID") != 0)
        column++;
    if (column == table.titles.count)
        return error_set(err, ERROR_INTERNAL, "Couldn't find PID field in ps output");
    for (const char *line = text + length; *line; line += length) {
        CLEANUP(strv_done) struct strv fields = {};
        int64_t pid = -1;

        line += *line == '\n';
        length = strcspn(line, "\n");
        split_fields(line, length, table.titles.count, &fields);
        if (fields.count <= column)
            continue;
        /* A thread of the process above has "-" for a number. */
        bool is_thread = strcmp(fields.items[column], "-") == 0;
        if (!is_thread && parse_int64(fields.items[column], 0, INT32_MAX, &pid, NULL) < 0)
            return error_set(err, ERROR_INTERNAL, "Unexpected pid '%s'", fields.items[column]);
        was_ours = is_thread ? was_ours : contains(pids, count, pid);
        if (!was_ours)
            continue;
        table.rows = xrealloc(table.rows, table.row_count + 1, sizeof(*table.rows));
        table.rows[table.row_count++] = fields;
        fields = (struct strv){};
    }
    *out = table;
    table = (struct process_table){};
    return 0;
}

/* ---- running it ---- */

/* "-o x=PID" would name another column so. */
static int check_arguments(const char *arguments, struct error *err)
{
    regmatch_t match[3];
    regex_t pattern;

    if (regcomp(&pattern, "[[:space:]]([^[:space:]]*)=[[:space:]]*(PID[^[:space:]]*)",
                REG_EXTENDED) != 0)
        return error_set(err, ERROR_INTERNAL, "cannot compile a pattern");
    const char *at = arguments;
    bool is_bad = false;
    while (!is_bad && regexec(&pattern, at, 3, match, 0) == 0) {
        is_bad = match[1].rm_eo - match[1].rm_so != 3 || !text_starts(at + match[1].rm_so, "pid");
        if (!is_bad)
            at += match[0].rm_eo;
    }
    regfree(&pattern);
    if (!is_bad)
        return 0;
    return error_set(err, ERROR_INTERNAL, "specifying \"%.*s=%.*s\" is not allowed",
                     (int)(match[1].rm_eo - match[1].rm_so), at + match[1].rm_so,
                     (int)(match[2].rm_eo - match[2].rm_so), at + match[2].rm_so);
}

static const char *ps_path(void)
{
    static const char *const paths[] = { "/bin/ps", "/usr/bin/ps", "/usr/local/bin/ps" };

    for (size_t i = 0; i < COUNT(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

/* Reads both streams to their end; false when it took too long, said too much or was called off. */
static bool read_streams(const int fds[2], struct str out[2], int cancel_fd)
{
    uint64_t end_ns = clock_monotonic_ns() + RUN_LIMIT_MS * (uint64_t)NS_PER_MS;
    bool is_open[2] = { true, true };

    while (is_open[0] || is_open[1]) {
        uint64_t now_ns = clock_monotonic_ns();
        struct pollfd polled[] = { { .fd = is_open[0] ? fds[0] : -1, .events = POLLIN },
                                   { .fd = is_open[1] ? fds[1] : -1, .events = POLLIN },
                                   { .fd = cancel_fd, .events = POLLIN } };

        if (now_ns >= end_ns || poll(polled, 3, (int)((end_ns - now_ns) / NS_PER_MS) + 1) < 0 ||
            polled[2].revents)
            return false;
        for (size_t i = 0; i < 2; i++) {
            char bytes[16384];

            if (!polled[i].revents)
                continue;
            ssize_t size = read(fds[i], bytes, sizeof(bytes));
            if (size > 0 && out[i].length + (size_t)size > OUTPUT_LIMIT)
                return false;
            if (size > 0)
                str_add_bytes(&out[i], bytes, (size_t)size);
            else
                is_open[i] = false;
        }
    }
    return true;
}

static int run_ps(const struct strv *arguments, int cancel_fd, struct str *out, struct error *err)
{
    static char *const environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)"LANG=C.UTF-8",
                                         NULL };
    CLEANUP(str_done) struct str said = {};
    int output[2] = { -1, -1 }, errors[2] = { -1, -1 }, code = -1;
    const char *path = ps_path();
    pid_t pid = 0;

    if (!path)
        return error_set(err, ERROR_UNSUPPORTED,
                         "ps: there is no such program on this host (Debian: procps)");
    if (pipe2(output, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0) {
        error_sys(err, "make a pipe");
        close_cleanup(&output[0]);
        close_cleanup(&output[1]);
        return -1;
    }
    struct process_options options = { .path = path,
                                       .arguments = arguments->items,
                                       .environment = environment,
                                       .fds = { -1, output[1], errors[1] },
                                       .fd_count = 3 };
    int result = process_spawn(&options, &pid, err);
    close(output[1]);
    close(errors[1]);
    if (result == 0) {
        struct str texts[2] = {};

        if (!read_streams((const int[]){ output[0], errors[0] }, texts, cancel_fd))
            kill(pid, SIGKILL);
        result = process_wait(pid, &code, err);
        *out = texts[0];
        said = texts[1];
    }
    close(output[0]);
    close(errors[0]);
    if (result == 0 && code != 0)
        result = error_set(err, ERROR_INTERNAL, "ps: %.*s",
                           said.length ? (int)strcspn(said.data, "\n") : 15,
                           said.length ? said.data : "it did not end.");
    return result;
}

static void build_arguments(const char *text, const char *pids, struct strv *out)
{
    CLEANUP(strv_done) struct strv words = {};

    strv_add(out, "ps");
    strv_split(&words, text, ' ');
    for (size_t i = 0; i < words.count && out->count < ARGUMENT_LIMIT; i++)
        if (*words.items[i])
            strv_add(out, words.items[i]);
    if (!pids)
        return;
    strv_add(out, "-q");
    strv_add(out, pids);
}

/* First for its processes alone; not all options of ps go together with that. */
static int list(const char *text, const pid_t *pids, size_t count, int cancel_fd, struct str *out,
                struct error *err)
{
    CLEANUP(strv_done) struct strv few = {}, all = {};
    CLEANUP(str_done) struct str numbers = {};
    struct error ignored;

    for (size_t i = 0; i < count; i++)
        str_add_format(&numbers, "%s%d", i ? "," : "", (int)pids[i]);
    build_arguments(text, str_text(&numbers), &few);
    if (run_ps(&few, cancel_fd, out, &ignored) == 0)
        return 0;
    str_done(out);
    build_arguments(text, NULL, &all);
    return run_ps(&all, cancel_fd, out, err);
}

int engine_container_top(struct engine *engine, const char *text, const char *arguments,
                         int cancel_fd, struct process_table *out, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    CLEANUP(str_done) struct str printed = {};
    CLEANUP(free) pid_t *pids = NULL;
    size_t count = 0;

    if (text_is_empty(arguments))
        arguments = "-ef";
    if (check_arguments(arguments, err) < 0 || container_find(engine, text, &container, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (info->state == CONTAINER_RESTARTING)
        return error_set(err, ERROR_CONFLICT,
                         "Container %s is restarting, wait until the container is running",
                         info->id);
    if (!container_is_up(info))
        return error_set(err, ERROR_CONFLICT, "container %s is not running", info->id);
    CLEANUP(free) char *cgroup = container_cgroup(engine, info);
    if (cgroup_pids(cgroup, &pids, &count, err) < 0)
        return -1;
    if (list(arguments, pids, count, cancel_fd, &printed, err) < 0) {
        /* The usual table can be had without; small systems have a ps that knows no options. */
        if (strcmp(arguments, "-ef") != 0)
            return -1;
        process_list_read(pids, count, out);
    } else if (process_table_parse(str_text(&printed), pids, count, out, err) < 0) {
        return -1;
    }
    container_event(container, info, "top", NULL);
    return 0;
}
