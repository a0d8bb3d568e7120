/* Networks. */
#include "engine/network.h"

#include <string.h>

#include "api/filters.h"
#include "api/network_write.h"
#include "api/routes.h"
#include "base/text.h"

#include "base/banned.h"

/* ---- list ---- */

static int check_types(const struct filters *filters, struct error *err)
{
    const struct strv *given = filters_values(filters, "type");

    for (size_t i = 0; i < given->count; i++)
        if (!text_equal(given->items[i], "builtin") && !text_equal(given->items[i], "custom"))
            return error_set(err, ERROR_INTERNAL, "invalid filter: 'type'='%s'", given->items[i]);
    return 0;
}

static bool is_dangling(struct engine *engine, const struct network *network)
{
    struct endpoint *endpoints = NULL;
    size_t count = 0;
    struct error ignored;

    if (network_is_predefined(network) ||
        engine_network_endpoints(engine, network->id, &endpoints, &count, &ignored) < 0)
        return false;
    endpoint_list_free(endpoints, count);
    return count == 0;
}

static bool network_matches(struct engine *engine, const struct filters *filters, bool dangling,
                            const struct network *network)
{
    const char *type = network_is_predefined(network) ? "builtin" : "custom";

    return filters_match_pattern(filters, "name", network->name) &&
           filters_match_pattern(filters, "id", network->id) &&
           filters_match_exactly(filters, "driver", network->driver) &&
           filters_match_exactly(filters, "scope", network->scope ?: "local") &&
           filters_match_exactly(filters, "type", type) &&
           filters_match_labels(filters, &network->labels) &&
           (!filters_has(filters, "dangling") || dangling == is_dangling(engine, network));
}

int api_network_list(struct request *req, struct error *err)
{
    static const char *const accepted[] = { "dangling", "driver", "id",   "label",
                                            "name",     "scope",  "type", NULL };
    CLEANUP(filters_done) struct filters filters = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct network **list;
    size_t count;
    bool dangling;

    if (filters_parse(request_query(req, "filters"), accepted, &filters, err) < 0 ||
        check_types(&filters, err) < 0)
        return -1;
    if (filters_bool(&filters, "dangling", false, &dangling, NULL) < 0)
        return error_set(err, ERROR_INVALID,
                         "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or "
                         "\"false\" (or \"0\")");
    if (engine_network_list(req->engine, &list, &count, err) < 0)
        return -1;
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < count; i++)
        if (network_matches(req->engine, &filters, dangling, list[i]))
            network_write(&w, NULL, list[i]);
    json_end_list(&w);
    network_list_free(list, count);
    return reply_json(req, 200, &body, err);
}

/* ---- create ---- */

struct network_wish_ipam {
    char *driver;
    struct json_list config;
    struct map options;
};

struct network_wish_config {
    char *network;
};

struct network_wish {
    char *name, *driver, *scope;
    bool internal, attachable, ingress, config_only, enable_ipv6;
    struct optional_bool enable_ipv4;
    struct network_wish_ipam ipam;
    struct map options, labels;
    struct network_wish_config config_from;
};

/* clang-format off */
static const struct json_field ipam_fields[] = {
    JSON_STRING (struct network_wish_ipam, driver,  "Driver"),
    JSON_OBJECTS(struct network_wish_ipam, config,  "Config", struct network_pool, network_pool_fields),
    JSON_TEXTS  (struct network_wish_ipam, options, "Options"),
    JSON_END,
};

static const struct json_field config_fields[] = {
    JSON_STRING(struct network_wish_config, network, "Network"),
    JSON_END,
};

static const struct json_field network_wish_fields[] = {
    JSON_STRING       (struct network_wish, name,             "Name"),
    JSON_STRING       (struct network_wish, driver,           "Driver"),
    JSON_STRING       (struct network_wish, scope,            "Scope"),
    JSON_BOOL         (struct network_wish, internal,         "Internal"),
    JSON_BOOL         (struct network_wish, attachable,       "Attachable"),
    JSON_BOOL         (struct network_wish, ingress,          "Ingress"),
    JSON_BOOL         (struct network_wish, config_only,      "ConfigOnly"),
    JSON_OBJECT       (struct network_wish, config_from,      "ConfigFrom", struct network_wish_config, config_fields),
    JSON_OPTIONAL_BOOL(struct network_wish, enable_ipv4,      "EnableIPv4"),
    JSON_BOOL         (struct network_wish, enable_ipv6,      "EnableIPv6"),
    JSON_OBJECT       (struct network_wish, ipam,             "IPAM", struct network_wish_ipam, ipam_fields),
    JSON_TEXTS        (struct network_wish, options,          "Options"),
    JSON_TEXTS        (struct network_wish, labels,           "Labels"),
    JSON_END,
};
/* clang-format on */

/* What the networks below have no words for. */
static int check_wish(struct request *req, const struct network_wish *wish, struct error *err)
{
    if (wish->config_only &&
        (wish->ingress || wish->internal || wish->attachable || !text_is_empty(wish->scope)))
        return error_set(err, ERROR_FORBIDDEN,
                         "configuration network can only contain network specific fields. Network "
                         "operator fields like [ ingress | internal | attachable | scope ] are not "
                         "supported.");
    if (text_equal(wish->driver, "overlay")) {
        api_no_swarm(req, err);
        err->kind = ERROR_FORBIDDEN;
        return -1;
    }
    if (text_equal(wish->scope, "swarm"))
        return error_set(err, ERROR_FORBIDDEN,
                         "cannot create a swarm scoped network when swarm is not active");
    if (wish->ingress)
        return error_set(err, ERROR_UNSUPPORTED, "Ingress is not supported by berth yet");
    if (!text_is_empty(wish->ipam.driver) && !text_equal(wish->ipam.driver, "default"))
        return error_set(err, ERROR_NOT_FOUND, "plugin \"%s\" not found", wish->ipam.driver);
    return 0;
}

static int create(struct request *req, const struct network_wish *wish, struct network **out,
                  struct error *err)
{
    const struct network_create create = {
        .name = wish->name ?: "",
        .driver = text_is_empty(wish->driver) ? "bridge" : wish->driver,
        .internal = wish->internal,
        .attachable = wish->attachable,
        .disable_ipv4 = req->version >= API_VERSION(48) && wish->enable_ipv4.is_set &&
                        !wish->enable_ipv4.value,
        .enable_ipv6 = wish->enable_ipv6,
        .is_config_only = wish->config_only,
        .config_from = wish->config_from.network,
        .pools = &wish->ipam.config,
        .options = &wish->options,
        .labels = &wish->labels,
    };

    if (check_wish(req, wish, err) < 0)
        return -1;
    return engine_network_create(req->engine, &create, out, err);
}

int api_network_create(struct request *req, struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct network_wish wish = {};

    if (request_decode(req, network_wish_fields, &wish, err) < 0)
        return -1;

    int result = create(req, &wish, &network, err);
    json_fields_done(network_wish_fields, &wish);
    if (result < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_text(&w, "Id", network->id);
    json_add_text(&w, "Warning", "");
    json_end_dict(&w);
    return reply_json(req, 201, &body, err);
}

/* ---- one network ---- */

int api_network_inspect(struct request *req, struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(str_done) struct str body = {};
    const char *scope = request_query(req, "scope");

    if (engine_network_get(req->engine, request_parameter(req, 0), &network, err) < 0)
        return -1;
    if (!text_is_empty(scope) && !text_equal(scope, network->scope ?: "local"))
        return error_set(err, ERROR_NOT_FOUND, "network %s not found", request_parameter(req, 0));
    network_write(&(struct json_writer){ .out = &body }, req->engine, network);
    return reply_json(req, 200, &body, err);
}

/* ---- joining and leaving ---- */

struct connect_wish {
    char *container;
    struct endpoint_settings *settings;
    bool force;
};

/* clang-format off */
static const struct json_field connect_fields[] = {
    JSON_STRING        (struct connect_wish, container, "Container"),
    JSON_OBJECT_POINTER(struct connect_wish, settings,  "EndpointConfig", struct endpoint_settings, endpoint_settings_fields),
    JSON_BOOL          (struct connect_wish, force,     "Force"),
    JSON_END,
};
/* clang-format on */

int api_network_connect(struct request *req, struct error *err)
{
    struct connect_wish wish = {};
    int result = request_decode(req, connect_fields, &wish, err);

    if (result == 0)
        result = engine_network_connect(req->engine, request_parameter(req, 0), wish.container,
                                        wish.settings, err);
    json_fields_done(connect_fields, &wish);
    return result < 0 ? -1 : reply_empty(req, 200, err);
}

int api_network_disconnect(struct request *req, struct error *err)
{
    struct connect_wish wish = {};
    int result = request_decode(req, connect_fields, &wish, err);

    if (result == 0)
        result = engine_network_disconnect(req->engine, request_parameter(req, 0), wish.container,
                                           wish.force, err);
    json_fields_done(connect_fields, &wish);
    return result < 0 ? -1 : reply_empty(req, 200, err);
}

int api_network_remove(struct request *req, struct error *err)
{
    if (engine_network_remove(req->engine, request_parameter(req, 0), err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}
