/* berth's own: what does not match between record, kernel and disk. */
#include <string.h>

#include "api/routes.h"
#include "engine/engine.h"

#include "base/banned.h"

/* GET /system/verify?rehash=1 → 200 {"Differences":["…"]}; the list is empty when all agree.
 * POST /system/verify?rehash=1 → {"Differences":[what is left],"Repaired":["…"]}. */
int api_verify(struct request *req, struct error *err)
{
    CLEANUP(strv_done) struct strv differences, repaired;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    bool rehash = request_query_bool(req, "rehash");
    bool repairs = strcmp(req->method, "POST") == 0;

    strv_init_empty(&differences);
    strv_init_empty(&repaired);
    if ((repairs ? engine_repair(req->engine, rehash, &repaired, &differences, err)
                 : engine_verify(req->engine, rehash, &differences, err)) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_strv(&w, "Differences", &differences);
    if (repairs)
        json_add_strv(&w, "Repaired", &repaired);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
