/* The stream of events. */
#include "engine/events.h"

#include <string.h>

#include "api/event_write.h"
#include "api/filters.h"
#include "api/routes.h"
#include "base/clock.h"

#include "base/banned.h"

static int read_times(struct request *req, int64_t *out_since_ns, int64_t *out_until_ns,
                      struct error *err)
{
    if (request_query_time(req, "since", out_since_ns, err) < 0 ||
        request_query_time(req, "until", out_until_ns, err) < 0)
        return -1;
    if (*out_until_ns != 0 && *out_since_ns > *out_until_ns)
        return error_set(err, ERROR_INVALID, "`since` time (%s) cannot be after `until` time (%s)",
                         request_query(req, "since"), request_query(req, "until"));
    return 0;
}

static int send_events(struct request *req, struct event_subscription *subscription,
                       const struct filters *filters, struct error *err)
{
    CLEANUP(str_done) struct str line = {};
    int more;

    for (;;) {
        CLEANUP(event_unref) struct event *event = NULL;

        more = event_subscription_next(subscription, http_cancel_fd(req->exchange), &event, err);
        if (more < 0) /* An end like any other would hide that some are missing. */
            http_reply_break(req->exchange);
        if (more <= 0)
            return more;
        if (!event_matches(event, filters))
            continue;
        str_clear(&line);
        event_write(&(struct json_writer){ .out = &line }, event);
        str_add_char(&line, '\n');
        if (http_reply_write(req->exchange, line.data, line.length, err) < 0)
            return -1;
    }
}

int api_events(struct request *req, struct error *err)
{
    CLEANUP(event_subscription_free) struct event_subscription *subscription = NULL;
    CLEANUP(filters_done) struct filters filters = {};
    int64_t since_ns, until_ns;

    if (read_times(req, &since_ns, &until_ns, err) < 0 ||
        filters_parse(request_query(req, "filters"), NULL, &filters, err) < 0 ||
        engine_events_subscribe(req->engine, since_ns, until_ns, &subscription, err) < 0 ||
        reply_stream_begin(req, "application/json", err) < 0)
        return -1;
    return send_events(req, subscription, &filters, err);
}
