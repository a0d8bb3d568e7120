/* Changing where a container's names come from: berth's own request. */
#include "api/routes.h"
#include "engine/container.h"

#include "base/banned.h"

/* clang-format off */
static const struct json_field names_fields[] = {
    JSON_STRV(struct names_wish, dns,          "Dns"),
    JSON_STRV(struct names_wish, dns_search,   "DnsSearch"),
    JSON_STRV(struct names_wish, dns_options,  "DnsOptions"),
    JSON_STRV(struct names_wish, hosts_add,    "AddHosts"),
    JSON_STRV(struct names_wish, hosts_remove, "RemoveHosts"),
    JSON_END,
};
/* clang-format on */

static bool is_empty(const struct names_wish *wish)
{
    return wish->dns.count + wish->dns_search.count + wish->dns_options.count +
               wish->hosts_add.count + wish->hosts_remove.count ==
           0;
}

int api_container_names(struct request *req, struct error *err)
{
    struct names_wish wish = {};
    int result = request_decode(req, names_fields, &wish, err);

    if (result == 0 && is_empty(&wish))
        result = error_set(err, ERROR_INVALID, "no servers of names and no hosts to change");
    if (result == 0)
        result = engine_container_change_names(req->engine, request_parameter(req, 0), &wish, err);
    json_fields_done(names_fields, &wish);
    return result < 0 ? -1 : reply_empty(req, 204, err);
}
