/* Lines are put together per stream, so that what containers write at once does not mix. */
#include "compose/log.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/label.h"

#include "base/banned.h"

enum { FRAME_HEAD = 8 };

static const char *const colors[] = { "36", "33", "32", "35", "34", "96", "93", "92", "95", "94" };

void log_printer_init(struct log_printer *printer)
{
    *printer = (struct log_printer){};
    mutex_init(&printer->lock);
    map_init_empty(&printer->colors, NULL);
}

void log_printer_done(struct log_printer *printer)
{
    map_done(&printer->colors);
    mutex_done(&printer->lock);
}

const char *log_name(const struct actual_container *container, const char *project)
{
    size_t length = strlen(project);

    if (strncmp(container->name, project, length) == 0 &&
        (container->name[length] == '-' || container->name[length] == '_'))
        return container->name + length + 1;
    return container->name;
}

static void add_locked(struct log_printer *printer, const char *name)
{
    printer->width = MAX(printer->width, (int)strlen(name));
    if (!map_has(&printer->colors, name))
        map_set(&printer->colors, name, (void *)(printer->colors.count + 1));
}

void log_printer_add(struct log_printer *printer, const char *name)
{
    mutex_lock(&printer->lock);
    add_locked(printer, name);
    mutex_unlock(&printer->lock);
}

void log_printer_say(struct log_printer *printer, const char *text)
{
    mutex_lock(&printer->lock);
    printf("%s\n", text);
    fflush(stdout);
    mutex_unlock(&printer->lock);
}

static void print_line(struct log_printer *printer, const char *name, FILE *to, const char *line,
                       size_t length)
{
    to = printer->all_to ?: to;
    mutex_lock(&printer->lock);
    add_locked(printer, name);
    if (!printer->no_prefix && printer->has_colors) {
        size_t index = (size_t)map_get(&printer->colors, name) - 1;

        fprintf(to, "\x1b[%sm%-*s  | \x1b[0m", colors[index % COUNT(colors)], printer->width, name);
    } else if (!printer->no_prefix) {
        fprintf(to, "%-*s  | ", printer->width, name);
    }
    fwrite(line, 1, length, to);
    fputc('\n', to);
    fflush(to);
    mutex_unlock(&printer->lock);
}

/* Prints the whole lines of 'pending'; at the end, or when it is too long, the rest too. */
static void flush_lines(struct log_printer *printer, const char *name, FILE *to,
                        struct str *pending, bool is_end)
{
    size_t start = 0;

    for (size_t i = 0; i < pending->length; i++)
        if (pending->data[i] == '\n') {
            print_line(printer, name, to, pending->data + start, i - start);
            start = i + 1;
        }
    if (pending->length > start && (is_end || pending->length - start > LOG_LINE_LIMIT)) {
        print_line(printer, name, to, pending->data + start, pending->length - start);
        start = pending->length;
    }
    if (start) {
        memmove(pending->data, pending->data + start, pending->length - start);
        str_cut(pending, pending->length - start);
    }
}

static int copy_raw(struct http_response *response, struct log_printer *printer, const char *name,
                    struct error *err)
{
    CLEANUP(str_done) struct str pending = {};
    char block[16 * 1024];
    ssize_t count;

    while ((count = http_response_read(response, block, sizeof(block), err)) > 0) {
        for (ssize_t i = 0; i < count; i++)
            if (block[i] != '\r')
                str_add_char(&pending, block[i]);
        flush_lines(printer, name, stdout, &pending, false);
    }
    flush_lines(printer, name, stdout, &pending, true);
    return (int)count;
}

/* Reads exactly 'size' bytes; 0 at the end. */
static ssize_t read_full(struct http_response *response, void *data, size_t size, struct error *err)
{
    size_t have = 0;

    while (have < size) {
        ssize_t count = http_response_read(response, (char *)data + have, size - have, err);

        if (count <= 0)
            return count;
        have += (size_t)count;
    }
    return (ssize_t)have;
}

static int copy_frames(struct http_response *response, struct log_printer *printer,
                       const char *name, struct error *err)
{
    CLEANUP(str_done) struct str out = {}, errors = {};
    unsigned char head[FRAME_HEAD];
    char block[16 * 1024];
    ssize_t count;

    while ((count = read_full(response, head, sizeof(head), err)) > 0) {
        size_t left = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 |
                      head[7];
        bool is_error = head[0] == 2;
        struct str *pending = is_error ? &errors : &out;

        while (left > 0) {
            count = http_response_read(response, block, MIN(left, sizeof(block)), err);
            if (count <= 0)
                break;
            str_add_bytes(pending, block, (size_t)count);
            left -= (size_t)count;
            flush_lines(printer, name, is_error ? stderr : stdout, pending, false);
        }
        if (count <= 0)
            break;
    }
    flush_lines(printer, name, stdout, &out, true);
    flush_lines(printer, name, stderr, &errors, true);
    return (int)count;
}

static int is_terminal(struct client *client, const char *id, bool *out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *container = NULL;

    client_path_begin(&path, "/containers/%s/json", id);
    if (client_call(client, "GET", &path, NULL, &container, err) < 0)
        return -1;
    *out = json_is_true(json_get(json_get(container, "Config"), "Tty"));
    return 0;
}

int log_print(struct client *client, struct log_printer *printer, const struct log_wish *wish,
              struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;
    bool is_raw;

    if (is_terminal(client, wish->container_id, &is_raw, err) < 0)
        return -1;
    client_path_begin(&path, "/containers/%s/logs", wish->container_id);
    client_path_query(&path, "stdout", "1");
    client_path_query(&path, "stderr", "1");
    client_path_query(&path, "follow", wish->follow ? "1" : NULL);
    client_path_query(&path, "timestamps", printer->timestamps ? "1" : NULL);
    client_path_query(&path, "since", wish->since);
    client_path_query(&path, "until", wish->until);
    client_path_query(&path, "tail", wish->tail);
    if (client_stream(client, "GET", &path, NULL, NULL, NULL, &response, err) < 0)
        return -1;
    return is_raw ? copy_raw(response, printer, wish->name, err)
                  : copy_frames(response, printer, wish->name, err);
}
