/* Networks in JSON. */
#include "api/network_write.h"

#include "base/text.h"
#include "engine/container.h"

#include "base/banned.h"

bool network_is_predefined(const struct network *network)
{
    return text_equal(network->name, "bridge") || text_equal(network->name, "host") ||
           text_equal(network->name, "none");
}

static void write_addresses(struct json_writer *w, const struct network *network)
{
    const struct network_pool *pools = JSON_ITEMS(&network->pools, struct network_pool);

    json_begin_dict(w, "IPAM");
    json_add_text(w, "Driver", "default");
    json_add_null(w, "Options");
    if (network->pools.count == 0) {
        json_add_null(w, "Config");
    } else {
        json_begin_list(w, "Config");
        for (size_t i = 0; i < network->pools.count; i++)
            json_add_object(w, NULL, network_pool_fields, &pools[i]);
        json_end_list(w);
    }
    json_end_dict(w);
}

static void write_endpoint(struct json_writer *w, struct engine *engine,
                           const struct endpoint *endpoint)
{
    CLEANUP(container_info_unref) struct container_info *info = NULL;
    struct error ignored;

    if (engine_container_get(engine, endpoint->container_id, &info, &ignored) < 0)
        return; /* Went away meanwhile. */
    json_begin_dict(w, endpoint->container_id);
    json_add_text(w, "Name", info->name);
    json_add_text(w, "EndpointID", endpoint->id);
    json_add_text(w, "MacAddress", endpoint->mac_address ?: "");
    if (text_is_empty(endpoint->address))
        json_add_text(w, "IPv4Address", "");
    else
        json_add_text_format(w, "IPv4Address", "%s/%d", endpoint->address, endpoint->prefix_length);
    if (text_is_empty(endpoint->address6))
        json_add_text(w, "IPv6Address", "");
    else
        json_add_text_format(w, "IPv6Address", "%s/%d", endpoint->address6,
                             endpoint->prefix_length6);
    json_end_dict(w);
}

static void write_containers(struct json_writer *w, struct engine *engine,
                             const struct network *network)
{
    struct endpoint *endpoints = NULL;
    size_t count = 0;
    struct error ignored;

    json_begin_dict(w, "Containers");
    if (engine &&
        engine_network_endpoints(engine, network->id, &endpoints, &count, &ignored) == 0) {
        for (size_t i = 0; i < count; i++)
            write_endpoint(w, engine, &endpoints[i]);
        endpoint_list_free(endpoints, count);
    }
    json_end_dict(w);
}

static void write_texts_or_empty(struct json_writer *w, const char *key, const struct map *texts)
{
    if (texts->count > 0)
        json_add_texts(w, key, texts);
    else
        json_add_raw(w, key, "{}");
}

void network_write(struct json_writer *w, struct engine *engine, const struct network *network)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Name", network->name);
    json_add_text(w, "Id", network->id);
    json_add_time(w, "Created", network->created_ns);
    json_add_text(w, "Scope", network->scope ?: "local");
    json_add_text(w, "Driver", network->driver);
    json_add_bool(w, "EnableIPv4", network->enable_ipv4);
    json_add_bool(w, "EnableIPv6", network->enable_ipv6);
    write_addresses(w, network);
    json_add_bool(w, "Internal", network->internal);
    json_add_bool(w, "Attachable", network->attachable);
    json_add_bool(w, "Ingress", false);
    json_begin_dict(w, "ConfigFrom");
    json_add_text(w, "Network", network->config_from ?: "");
    json_end_dict(w);
    json_add_bool(w, "ConfigOnly", network->is_config_only);
    write_containers(w, engine, network);
    write_texts_or_empty(w, "Options", &network->options);
    write_texts_or_empty(w, "Labels", &network->labels);
    json_end_dict(w);
}
