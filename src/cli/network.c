/* network connect, disconnect. (ls and rm are in objects.c, prune in prune.c, inspect serves all
 * kinds.) */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/filter_query.h"

#include "base/banned.h"

/* ---- connect ---- */

struct connect_options {
    struct strv aliases, driver_options, links, link_local_addresses;
    const char *ip, *ip6;
    struct optional_int64 gateway_priority;
};

/* clang-format off */
static const struct option_row connect_rows[] = {
    { 0, "alias",         OPTION_LIST,    offsetof(struct connect_options, aliases),              "A further name for it on that network" },
    { 0, "driver-opt",    OPTION_LIST,    offsetof(struct connect_options, driver_options),       "Option of the driver for its endpoint" },
    { 0, "gw-priority",   OPTION_INTEGER, offsetof(struct connect_options, gateway_priority),     "The default route goes where this is highest" },
    { 0, "ip",            OPTION_TEXT,    offsetof(struct connect_options, ip),                   "IPv4 address" },
    { 0, "ip6",           OPTION_TEXT,    offsetof(struct connect_options, ip6),                  "IPv6 address" },
    { 0, "link",          OPTION_LIST,    offsetof(struct connect_options, links),                "What it calls another container: name:alias" },
    { 0, "link-local-ip", OPTION_LIST,    offsetof(struct connect_options, link_local_addresses), "Link-local address" },
    {},
};
/* clang-format on */

static void add_list(struct json_writer *w, const char *key, const struct strv *list)
{
    if (list->count)
        json_add_strv(w, key, list);
}

static void add_settings(struct json_writer *w, const struct connect_options *options)
{
    json_begin_dict(w, "EndpointConfig");
    json_begin_dict(w, "IPAMConfig");
    if (options->ip)
        json_add_text(w, "IPv4Address", options->ip);
    if (options->ip6)
        json_add_text(w, "IPv6Address", options->ip6);
    add_list(w, "LinkLocalIPs", &options->link_local_addresses);
    json_end_dict(w);
    add_list(w, "Aliases", &options->aliases);
    add_list(w, "Links", &options->links);
    json_begin_dict(w, "DriverOpts");
    for (size_t i = 0; i < options->driver_options.count; i++) {
        CLEANUP(free) char *name = xstrdup(options->driver_options.items[i]);
        char *value = strchr(name, '=');

        if (value)
            *value++ = '\0';
        json_add_text(w, name, value ? value : "");
    }
    json_end_dict(w);
    json_add_int64(w, "GwPriority", options->gateway_priority.value);
    json_end_dict(w);
}

static int network_connect(struct cli *cli, const void *parsed, const struct strv *arguments,
                           struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Container", arguments->items[1]);
    add_settings(&w, parsed);
    json_end_dict(&w);
    client_path_begin(&path, "/networks");
    client_path_segment(&path, arguments->items[0]);
    client_path_segment(&path, "connect");
    return client_call(cli->client, "POST", &path, str_text(&body), NULL, err);
}

/* ---- disconnect ---- */

struct disconnect_options {
    bool force;
};

static const struct option_row disconnect_rows[] = {
    { 'f', "force", OPTION_BOOL, offsetof(struct disconnect_options, force),
      "Also one that the engine does not know" },
    {},
};

static int network_disconnect(struct cli *cli, const void *parsed, const struct strv *arguments,
                              struct error *err)
{
    const struct disconnect_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Container", arguments->items[1]);
    json_add_bool(&w, "Force", options->force);
    json_end_dict(&w);
    client_path_begin(&path, "/networks");
    client_path_segment(&path, arguments->items[0]);
    client_path_segment(&path, "disconnect");
    return client_call(cli->client, "POST", &path, str_text(&body), NULL, err);
}

/* clang-format off */
const struct command command_network_connect = {
    .name = "connect", .usage = "[OPTIONS] NETWORK CONTAINER", .summary = "Connect a container to a network", .least = 2, .most = 2,
    .options = connect_rows, .options_size = sizeof(struct connect_options), .run = network_connect,
};
const struct command command_network_disconnect = {
    .name = "disconnect", .usage = "[OPTIONS] NETWORK CONTAINER", .summary = "Disconnect a container from a network", .least = 2, .most = 2,
    .options = disconnect_rows, .options_size = sizeof(struct disconnect_options), .run = network_disconnect,
};
/* clang-format on */
