/* berth's own: what does not match between record, kernel and disk. */
#include "api/routes.h"
#include "engine/engine.h"

#include "base/banned.h"

/* GET /system/verify → 200 {"Differences":["…"]}; the list is empty when all agree. */
int api_verify(struct request *req, struct error *err)
{
    CLEANUP(strv_done) struct strv differences;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    strv_init_empty(&differences);
    if (engine_verify(req->engine, &differences, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_strv(&w, "Differences", &differences);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
