/* network create: what belongs to one subnet is found by which of them contains it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"

#include "base/banned.h"

struct network_create_options {
    bool internal, attachable, ipv4, ipv6, config_only, ingress;
    const char *driver, *ipam_driver, *scope, *config_from;
    struct strv labels, options, ipam_options, subnets, gateways, ranges, auxiliaries;
};

/* clang-format off */
static const struct option_row rows[] = {
    { 0,   "attachable",  OPTION_BOOL, offsetof(struct network_create_options, attachable),   "Containers may join by hand" },
    { 0,   "aux-address", OPTION_LIST, offsetof(struct network_create_options, auxiliaries),  "Address that is kept free (name=address)" },
    { 0,   "config-from", OPTION_TEXT, offsetof(struct network_create_options, config_from),  "Network that the configuration is taken from" },
    { 0,   "config-only", OPTION_BOOL, offsetof(struct network_create_options, config_only),  "A configuration for other networks only" },
    { 'd', "driver",      OPTION_TEXT, offsetof(struct network_create_options, driver),       "Driver" },
    { 0,   "gateway",     OPTION_LIST, offsetof(struct network_create_options, gateways),     "Gateway of a subnet" },
    { 0,   "ingress",     OPTION_BOOL, offsetof(struct network_create_options, ingress),      "The network of a cluster's published ports" },
    { 0,   "internal",    OPTION_BOOL, offsetof(struct network_create_options, internal),     "No way outside" },
    { 0,   "ip-range",    OPTION_LIST, offsetof(struct network_create_options, ranges),       "Part of a subnet to take addresses from" },
    { 0,   "ipam-driver", OPTION_TEXT, offsetof(struct network_create_options, ipam_driver),  "Driver that gives out addresses" },
    { 0,   "ipam-opt",    OPTION_LIST, offsetof(struct network_create_options, ipam_options), "Option of that driver" },
    { 0,   "ipv4",        OPTION_BOOL, offsetof(struct network_create_options, ipv4),         "With IPv4", .initially_true = true },
    { 0,   "ipv6",        OPTION_BOOL, offsetof(struct network_create_options, ipv6),         "With IPv6" },
    { 0,   "label",       OPTION_LIST, offsetof(struct network_create_options, labels),       "Set a label" },
    { 'o', "opt",         OPTION_LIST, offsetof(struct network_create_options, options),      "Option of the driver" },
    { 0,   "scope",       OPTION_TEXT, offsetof(struct network_create_options, scope),        "How far the network reaches" },
    { 0,   "subnet",      OPTION_LIST, offsetof(struct network_create_options, subnets),      "Subnet (10.1.0.0/16)" },
    {},
};
/* clang-format on */

static void add_pairs(struct json_writer *w, const char *key, const struct strv *pairs)
{
    json_begin_dict(w, key);
    for (size_t i = 0; i < pairs->count; i++) {
        CLEANUP(free) char *name = xstrdup(pairs->items[i]);
        char *value = strchr(name, '=');

        if (value)
            *value++ = '\0';
        json_add_text(w, name, value ? value : "");
    }
    json_end_dict(w);
}

/* ---- which subnet? ---- */

/* The octets of "10.1.0.0/16" or of an address; gives their count, 0 for nonsense. */
static size_t read_octets(const char *text, uint8_t out[16], int *out_prefix)
{
    size_t length = strcspn(text, "/");
    CLEANUP(free) char *address = xstrndup(text, length);
    size_t count = inet_pton(AF_INET, address, out) == 1    ? 4
                   : inet_pton(AF_INET6, address, out) == 1 ? 16
                                                            : 0;
    int64_t prefix = (int64_t)count * 8;

    if (text[length] && parse_int64(text + length + 1, 0, prefix, &prefix, NULL) < 0)
        return 0;
    *out_prefix = (int)prefix;
    return count;
}

static bool contains(const char *subnet, const char *address)
{
    uint8_t net[16], host[16];
    int prefix, ignored;
    size_t count = read_octets(subnet, net, &prefix);

    if (count == 0 || read_octets(address, host, &ignored) != count)
        return false;
    for (int bit = 0; bit < prefix; bit++)
        if ((net[bit / 8] ^ host[bit / 8]) & (0x80 >> bit % 8))
            return false;
    return true;
}

static int check_placed(const struct strv *subnets, const struct strv *addresses, const char *what,
                        struct error *err)
{
    for (size_t i = 0; i < addresses->count; i++) {
        const char *equals = strchr(addresses->items[i], '=');
        const char *address = equals ? equals + 1 : addresses->items[i];
        bool is_placed = false;

        for (size_t s = 0; s < subnets->count; s++)
            is_placed |= contains(subnets->items[s], address);
        if (!is_placed)
            return error_set(err, ERROR_INVALID, "no matching subnet for %s %s", what, address);
    }
    return 0;
}

static void add_first(struct json_writer *w, const char *key, const char *subnet,
                      const struct strv *addresses)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (contains(subnet, addresses->items[i])) {
            json_add_text(w, key, addresses->items[i]);
            return;
        }
}

static void add_subnet(struct json_writer *w, const char *subnet,
                       const struct network_create_options *options)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Subnet", subnet);
    add_first(w, "IPRange", subnet, &options->ranges);
    add_first(w, "Gateway", subnet, &options->gateways);
    json_begin_dict(w, "AuxiliaryAddresses");
    for (size_t i = 0; i < options->auxiliaries.count; i++) {
        CLEANUP(free) char *name = xstrdup(options->auxiliaries.items[i]);
        char *address = strchr(name, '=');

        if (address && contains(subnet, address + 1)) {
            *address++ = '\0';
            json_add_text(w, name, address);
        }
    }
    json_end_dict(w);
    json_end_dict(w);
}

/* ---- the call ---- */

static void write_body(const struct network_create_options *options, const char *name,
                       struct json_writer *w)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Name", name);
    json_add_text(w, "Driver", options->driver ? options->driver : "bridge");
    if (options->scope)
        json_add_text(w, "Scope", options->scope);
    json_add_bool(w, "Internal", options->internal);
    json_add_bool(w, "Attachable", options->attachable);
    json_add_bool(w, "Ingress", options->ingress);
    json_add_bool(w, "ConfigOnly", options->config_only);
    if (options->config_from) {
        json_begin_dict(w, "ConfigFrom");
        json_add_text(w, "Network", options->config_from);
        json_end_dict(w);
    }
    json_add_bool(w, "EnableIPv4", options->ipv4);
    json_add_bool(w, "EnableIPv6", options->ipv6);
    json_begin_dict(w, "IPAM");
    json_add_text(w, "Driver", options->ipam_driver ? options->ipam_driver : "default");
    add_pairs(w, "Options", &options->ipam_options);
    json_begin_list(w, "Config");
    for (size_t i = 0; i < options->subnets.count; i++)
        add_subnet(w, options->subnets.items[i], options);
    json_end_list(w);
    json_end_dict(w);
    add_pairs(w, "Options", &options->options);
    add_pairs(w, "Labels", &options->labels);
    json_end_dict(w);
}

static int network_create(struct cli *cli, const void *parsed, const struct strv *arguments,
                          struct error *err)
{
    const struct network_create_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct json_writer w = { .out = &body };

    if (check_placed(&options->subnets, &options->ranges, "ip-range", err) < 0 ||
        check_placed(&options->subnets, &options->gateways, "gateway", err) < 0 ||
        check_placed(&options->subnets, &options->auxiliaries, "aux-address", err) < 0)
        return -1;
    write_body(options, arguments->items[0], &w);
    client_path_begin(&path, "/networks/create");
    if (client_call(cli->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    puts(json_text(json_get(answer, "Id")));
    return 0;
}

/* clang-format off */
const struct command command_network_create = {
    .name = "create", .usage = "[OPTIONS] NETWORK", .summary = "Create a network", .least = 1, .most = 1,
    .options = rows, .options_size = sizeof(struct network_create_options), .run = network_create,
};
/* clang-format on */
