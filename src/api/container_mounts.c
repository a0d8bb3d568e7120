/* Mounts of a container that is there already: berth's own request. */
#include "api/routes.h"
#include "engine/container.h"

#include "base/banned.h"

struct mounts_wish {
    struct json_list add; /* struct mount_request */
    struct strv remove;   /* targets */
};

/* clang-format off */
static const struct json_field mounts_fields[] = {
    JSON_OBJECTS(struct mounts_wish, add,    "Add", struct mount_request, mount_request_fields),
    JSON_STRV   (struct mounts_wish, remove, "Remove"),
    JSON_END,
};
/* clang-format on */

/* POST /containers/{id}/mounts {Add, Remove} → 204 */
int api_container_mounts(struct request *req, struct error *err)
{
    struct mounts_wish wish = {};
    int result = request_decode(req, mounts_fields, &wish, err);

    if (result == 0 && wish.add.count == 0 && wish.remove.count == 0)
        result = error_set(err, ERROR_INVALID, "no mounts to add, none to remove");
    if (result == 0)
        result = engine_container_change_mounts(req->engine, request_parameter(req, 0),
                                                &wish.remove, &wish.add, err);
    json_fields_done(mounts_fields, &wish);
    return result < 0 ? -1 : reply_empty(req, 204, err);
}
