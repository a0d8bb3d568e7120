/* An event in JSON, and whether filters want it (spec/api.md section 9). */
#ifndef BERTH_API_EVENT_WRITE_H
#define BERTH_API_EVENT_WRITE_H

#include "api/filters.h"
#include "codec/json.h"
#include "engine/events.h"

void event_write(struct json_writer *w, const struct event *event);
bool event_matches(const struct event *event, const struct filters *filters);

#endif
