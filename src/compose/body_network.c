/* Networks of a container: all are named at creation, the one with the highest priority first. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/body.h"

#include "base/banned.h"

static const char *network_name(const struct project *project, const char *key)
{
    const char *name = yaml_text(yaml_get(yaml_get_path(project->model, "networks", key), "name"));

    return name ? name : key;
}

/* Index of the network that comes first: by priority, then by name. */
static size_t first_network(const struct yaml *networks)
{
    size_t first = 0;

    for (size_t i = 1; i < networks->count; i++) {
        int64_t ours = body_to_int64(yaml_get(networks->items[i], "priority")),
                best = body_to_int64(yaml_get(networks->items[first], "priority"));

        if (ours > best || (ours == best && strcmp(networks->keys[i], networks->keys[first]) < 0))
            first = i;
    }
    return first;
}

int body_network_mode(const struct body_wish *wish, char **out, struct error *err)
{
    const char *mode = yaml_text(yaml_get(wish->service, "network_mode"));
    const struct yaml *networks = yaml_get(wish->service, "networks");

    if (mode)
        return body_mode(wish, mode, out, err);
    if (!yaml_count(networks))
        *out = xstrdup("none");
    else
        *out = xstrdup(network_name(wish->project, networks->keys[first_network(networks)]));
    return 0;
}

/* "service[:alias]": its containers by that name, and each by its own. They are said by name, so
 * that a link stays good when they are made anew. */
static void add_link(struct json_writer *w, const struct project *project, const char *service,
                     const char *alias)
{
    int scale = project_scale(project_any_service(project, service));

    for (int number = 1; number <= MAX(scale, 1); number++) {
        CLEANUP(free) char *name = project_container_name(project, service, number);

        json_add_text_format(w, NULL, "%s:%s", name, alias);
        json_add_text_format(w, NULL, "%s:%s-%d", name, service, number);
        json_add_text_format(w, NULL, "%s:%s-%s-%d", name, project->name, service, number);
    }
}

static int add_links(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    const struct yaml *links = yaml_get(wish->service, "links"),
                      *others = yaml_get(wish->service, "external_links");

    json_begin_list(w, "Links");
    for (size_t i = 0; i < yaml_count(links); i++) {
        const char *text = links->items[i]->text;
        size_t length = strcspn(text, ":");
        CLEANUP(free) char *service = xstrndup(text, length);
        CLEANUP(free) char *id = wish->container_of(wish->data, service);

        if (!id)
            return error_set(err, ERROR_NOT_FOUND, "service %s has no container for %s to link to",
                             service, wish->service_name);
        add_link(w, wish->project, service, text[length] ? text + length + 1 : service);
    }
    for (size_t i = 0; i < yaml_count(others); i++)
        json_add_text(w, NULL, others->items[i]->text);
    json_end_list(w);
    return 0;
}

static void add_aliases(struct json_writer *w, const struct body_wish *wish,
                        const struct yaml *endpoint)
{
    const struct yaml *aliases = yaml_get(endpoint, "aliases");

    json_begin_list(w, "Aliases");
    json_add_text(w, NULL, wish->container_name);
    if (wish->uses_aliases) {
        json_add_text(w, NULL, wish->service_name);
        for (size_t i = 0; i < yaml_count(aliases); i++)
            json_add_text(w, NULL, aliases->items[i]->text);
    }
    json_end_list(w);
}

static void add_addresses(struct json_writer *w, const struct yaml *endpoint)
{
    json_begin_dict(w, "IPAMConfig");
    body_text(w, "IPv4Address", yaml_get(endpoint, "ipv4_address"));
    body_text(w, "IPv6Address", yaml_get(endpoint, "ipv6_address"));
    body_raw(w, "LinkLocalIPs", yaml_get(endpoint, "link_local_ips"));
    json_end_dict(w);
}

/* The name of the interface is one of the driver's options. */
static void add_driver_options(struct json_writer *w, const struct yaml *endpoint)
{
    const struct yaml *options = yaml_get(endpoint, "driver_opts");
    const char *interface = yaml_text(yaml_get(endpoint, "interface_name"));

    if (!yaml_count(options) && !interface)
        return;
    json_begin_dict(w, "DriverOpts");
    for (size_t i = 0; i < yaml_count(options); i++)
        json_add_text(w, options->keys[i], yaml_text(options->items[i]));
    if (interface)
        json_add_text(w, "com.docker.network.endpoint.ifname", interface);
    json_end_dict(w);
}

int body_add_networks(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    const struct yaml *networks = yaml_get(wish->service, "networks");

    if (!yaml_count(networks))
        return 0;
    json_begin_dict(w, "NetworkingConfig");
    json_begin_dict(w, "EndpointsConfig");
    for (size_t i = 0; i < networks->count; i++) {
        const struct yaml *endpoint = networks->items[i];

        json_begin_dict(w, network_name(wish->project, networks->keys[i]));
        add_aliases(w, wish, endpoint);
        add_addresses(w, endpoint);
        add_driver_options(w, endpoint);
        body_text(w, "MacAddress", yaml_get(endpoint, "mac_address"));
        body_integer(w, "GwPriority", yaml_get(endpoint, "gw_priority"));
        if (add_links(w, wish, err) < 0)
            return -1;
        json_end_dict(w);
    }
    json_end_dict(w);
    json_end_dict(w);
    return 0;
}
