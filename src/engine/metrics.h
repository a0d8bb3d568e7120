/* What the engine counts of itself, in Prometheus' text format. Names are dockerd's where it has
 * them, so that dashboards fit; what only berth counts begins with "berth_". */
#ifndef BERTH_ENGINE_METRICS_H
#define BERTH_ENGINE_METRICS_H

#include <stdint.h>

#include "base/str.h"
#include "engine/engine.h"

#define METRIC_ACTIONS(X)                                                                          \
    X(CREATE, "create")                                                                            \
    X(DELETE, "delete")                                                                            \
    X(PAUSE, "pause")                                                                              \
    X(RESTART, "restart")                                                                          \
    X(START, "start")                                                                              \
    X(STOP, "stop")                                                                                \
    X(UPDATE, "update")

enum metric_action {
#define X(name, text) METRIC_##name,
    METRIC_ACTIONS(X)
#undef X
        METRIC_COUNT
};

/* The media type of the text. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void engine_metrics_write(struct engine *engine, struct str *out);

#endif
