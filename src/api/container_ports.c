/* Publishing further ports of a container, or none any more: berth's own request. */
#include "api/routes.h"
#include "engine/container.h"

#include "base/banned.h"

struct ports_wish {
    struct map add; /* "80/tcp" → list of struct port_binding */
    struct strv remove;
};

/* clang-format off */
static const struct json_field ports_fields[] = {
    JSON_MAP_OF_LISTS(struct ports_wish, add,    "Add", struct port_binding, port_binding_fields),
    JSON_STRV        (struct ports_wish, remove, "Remove"),
    JSON_END,
};
/* clang-format on */

int api_container_ports(struct request *req, struct error *err)
{
    struct ports_wish wish = {};
    int result = request_decode(req, ports_fields, &wish, err);

    if (result == 0 && wish.add.count == 0 && wish.remove.count == 0)
        result = error_set(err, ERROR_INVALID, "no ports to publish, none to unpublish");
    if (result == 0)
        result = engine_container_change_ports(req->engine, request_parameter(req, 0), &wish.remove,
                                               &wish.add, err);
    json_fields_done(ports_fields, &wish);
    return result < 0 ? -1 : reply_empty(req, 204, err);
}
