/* berth's own: the engine's counters, as Prometheus reads them. */
#include "engine/metrics.h"

#include "api/routes.h"

#include "base/banned.h"

int api_metrics(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    engine_metrics_write(req->engine, &text);
    return http_reply(req->exchange, 200, METRICS_CONTENT_TYPE, text.data, text.length, err);
}
