/* Changing what a container may use. */
#include "api/routes.h"
#include "engine/container.h"

#include "base/banned.h"

int api_container_update(struct request *req, struct error *err)
{
    CLEANUP(strv_done) struct strv warnings = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct host_config wish = {};

    if (request_decode(req, host_config_fields, &wish, err) < 0)
        return -1;
    int result = engine_container_update(req->engine, request_parameter(req, 0), &wish, &warnings,
                                         err);
    json_fields_done(host_config_fields, &wish);
    if (result < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_strv(&w, "Warnings", &warnings);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
