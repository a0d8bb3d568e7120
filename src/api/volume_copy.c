/* berth's own: volumes renamed, copied, exported and imported. */
#include "engine/volume_copy.h"

#include <string.h>

#include "api/routes.h"
#include "api/volume_write.h"
#include "base/memory.h"

#include "base/banned.h"

static int reply_volume(struct request *req, const struct volume *volume, struct error *err)
{
    CLEANUP(str_done) struct str body = {};

    volume_write(&(struct json_writer){ .out = &body }, volume);
    return reply_json(req, 201, &body, err);
}

/* POST /volumes/{name}/rename?name=NEW → 204 */
int api_volume_rename(struct request *req, struct error *err)
{
    if (engine_volume_rename(req->engine, request_parameter(req, 0),
                             request_query(req, "name") ?: "", err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

struct copy_wish {
    char *name;
    struct map labels;
    bool is_snapshot, no_pause;
};

/* clang-format off */
static const struct json_field copy_wish_fields[] = {
    JSON_STRING(struct copy_wish, name,        "Name"),
    JSON_TEXTS (struct copy_wish, labels,      "Labels"), /* null: those of the volume */
    JSON_BOOL  (struct copy_wish, is_snapshot, "Snapshot"),
    JSON_BOOL  (struct copy_wish, no_pause,    "NoPause"),
    JSON_END,
};
/* clang-format on */

/* POST /volumes/{name}/copy {Name, Labels, Snapshot, NoPause} → 201 Volume */
int api_volume_copy(struct request *req, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    struct copy_wish wish = {};

    if (request_decode(req, copy_wish_fields, &wish, err) < 0)
        return -1;
    const struct volume_copy_wish copy = { .name = wish.name,
                                           .labels = wish.labels.entries ? &wish.labels : NULL,
                                           .is_snapshot = wish.is_snapshot,
                                           .pauses = !wish.no_pause };
    int result = engine_volume_copy(req->engine, request_parameter(req, 0), &copy, &volume, err);
    json_fields_done(copy_wish_fields, &wish);
    return result < 0 ? -1 : reply_volume(req, volume, err);
}

/* GET /volumes/{name}/export → 200 a tar */
int api_volume_export(struct request *req, struct error *err)
{
    CLEANUP(volume_export_close) struct volume_export *export = NULL;

    if (engine_volume_export_open(req->engine, request_parameter(req, 0), &export, err) < 0 ||
        reply_stream_begin(req, "application/x-tar", err) < 0)
        return -1;
    if (volume_export_write(export, http_reply_stream(req->exchange), err) == 0)
        return 0;
    http_reply_break(req->exchange);
    return -1;
}

/* POST /volumes/{name}/import?label=k=v… with a tar → 201 Volume */
int api_volume_import(struct request *req, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    CLEANUP(map_done) struct map labels = {};

    for (size_t i = 0; i < http_query_count(req->exchange, "label"); i++) {
        CLEANUP(free) char *label = xstrdup(http_query_at(req->exchange, "label", i));
        char *value = strchr(label, '=');

        if (value)
            *value++ = 0;
        map_set_text(&labels, label, value ?: "");
    }
    if (engine_volume_import(req->engine, request_parameter(req, 0), &labels,
                             http_body_stream(req->exchange), &volume, err) < 0)
        return -1;
    return reply_volume(req, volume, err);
}
