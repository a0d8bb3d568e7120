/* top and port: what is asked of one container. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"

#include "base/banned.h"

enum { LEAST_WIDTH = 20, GAP = 3, COLUMN_LIMIT = 64 };

/* ---- top ---- */

static void measure(const struct json *row, size_t *widths)
{
    for (size_t i = 0; i < json_count(row) && i < COLUMN_LIMIT; i++)
        widths[i] = MAX(widths[i], strlen(json_text(json_at(row, i))) + GAP);
}

static void print_row(const struct json *row, const size_t *widths)
{
    for (size_t i = 0; i < json_count(row) && i < COLUMN_LIMIT; i++)
        if (i + 1 < json_count(row))
            printf("%-*s", (int)widths[i], json_text(json_at(row, i)));
        else
            printf("%s\n", json_text(json_at(row, i)));
}

static int top(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
               struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(strv_done) struct strv words = {};
    size_t widths[COLUMN_LIMIT];

    for (size_t i = 1; i < arguments->count; i++)
        strv_add(&words, arguments->items[i]);
    CLEANUP(free) char *joined = strv_join(&words, " ");
    client_path_begin(&path, "/containers");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/top");
    client_path_query(&path, "ps_args", words.count ? joined : NULL);
    if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return -1;
    const struct json *rows = json_get(answer, "Processes"), *titles = json_get(answer, "Titles");
    for (size_t i = 0; i < COLUMN_LIMIT; i++)
        widths[i] = LEAST_WIDTH;
    measure(titles, widths);
    for (size_t i = 0; i < json_count(rows); i++)
        measure(json_at(rows, i), widths);
    print_row(titles, widths);
    for (size_t i = 0; i < json_count(rows); i++)
        print_row(json_at(rows, i), widths);
    return 0;
}

/* ---- port ---- */

static void print_binding(const struct json *binding)
{
    const char *ip = json_text(json_get(binding, "HostIp"));

    printf(strchr(ip, ':') ? "[%s]:%s\n" : "%s:%s\n", ip, json_text(json_get(binding, "HostPort")));
}

static int compare_ports(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    long difference = strtol(left, NULL, 10) - strtol(right, NULL, 10);

    return difference ? (difference < 0 ? -1 : 1) : strcmp(left, right);
}

static void print_all(const struct json *ports)
{
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = 0; i < json_count(ports); i++)
        strv_add(&names, json_key_at(ports, i));
    if (names.count)
        qsort(names.items, names.count, sizeof(*names.items), compare_ports);
    for (size_t i = 0; i < names.count; i++) {
        const struct json *bindings = json_get(ports, names.items[i]);

        for (size_t b = 0; b < json_count(bindings); b++) {
            printf("%s -> ", names.items[i]);
            print_binding(json_at(bindings, b));
        }
    }
}

static int port(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
                struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *container = NULL;

    client_path_begin(&path, "/containers");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/json");
    if (client_call(cli->client, "GET", &path, NULL, &container, err) < 0)
        return -1;
    const struct json *ports = json_get(json_get(container, "NetworkSettings"), "Ports");
    if (arguments->count == 1) {
        print_all(ports);
        return 0;
    }
    const char *wanted = arguments->items[1];
    CLEANUP(free) char *key = strchr(wanted, '/') ? xstrdup(wanted) : xasprintf("%s/tcp", wanted);
    const struct json *bindings = json_get(ports, key);
    if (!json_count(bindings))
        return error_set(err, ERROR_NOT_FOUND, "Error: No public port '%s' published for %s",
                         wanted, arguments->items[0]);
    for (size_t i = 0; i < json_count(bindings); i++)
        print_binding(json_at(bindings, i));
    return 0;
}

/* clang-format off */
const struct command command_top = {
    .name = "top", .usage = "CONTAINER [ps OPTIONS]", .summary = "Show the processes of a container", .least = 1,
    .most = MANY_ARGUMENTS, .stops_early = true, .run = top,
};
const struct command command_port = {
    .name = "port", .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]", .summary = "Show where ports are published", .least = 1, .most = 2,
    .run = port,
};
/* clang-format on */
