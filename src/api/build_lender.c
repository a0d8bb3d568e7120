/* A client lends a build its secrets and agents (berth's own).
 *
 *   POST /build/lenders {"Secrets":{"id":"<base64>"},"Agents":["default"]}
 *     101, then lines: "lender <id>", which the parameter "lender" of /build names; and "agent
 * <name> <word>" whenever a step connects to an agent. Everything is forgotten when the client
 * closes. POST /build/lenders/agents/<word> 101, then what the step and the agent say to each
 * other. POST /build/lenders/<id>/caches, an archive of images as body: 200
 * {"Images":["sha256:…"]}, which /build may name as "cachefrom"; they are there as long as the
 * lender is.
 */
#include "engine/build_lender.h"

#include <sys/epoll.h>

#include "api/frame.h"
#include "api/hijack.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/build_cache.h"

#include "base/banned.h"

#define UPGRADED                                                                                   \
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: " MEDIA_TYPE_RAW_STREAM                                \
    "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

struct lent {
    struct map secrets;
    struct strv agents;
};
/* clang-format off */
static const struct json_field lent_fields[] = {
    JSON_TEXTS(struct lent, secrets, "Secrets"),
    JSON_STRV (struct lent, agents,  "Agents"),
    JSON_END,
};
/* clang-format on */

static int say(struct http_connection *connection, const struct str *line, struct error *err)
{
    return http_connection_write(connection, line->data, line->length, err);
}

static int pass_wishes(struct http_connection *connection, struct build_lender *lender,
                       struct error *err)
{
    char *agent, word[65];

    while (build_lender_next(lender, &agent, word)) {
        CLEANUP(str_done) struct str line = {};

        str_add_format(&line, "agent %s %s\n", agent, word);
        free(agent);
        if (say(connection, &line, err) < 0)
            return -1;
    }
    return 0;
}

/* Until the client goes, or the server stops. */
static void serve(struct request *req, struct http_connection *connection,
                  struct build_lender *lender, int epoll_fd)
{
    CLEANUP(str_done) struct str line = {};
    struct error ignored;
    char byte;

    str_add_format(&line, "lender %s\n", build_lender_id(lender));
    if (say(connection, &line, &ignored) < 0)
        return;
    for (;;) {
        int ready = http_connection_wait(connection, -1, epoll_fd, &ignored);
        struct epoll_event event;

        if (ready < 0 || (ready > 0 && http_connection_read(connection, &byte, 1, &ignored) <= 0) ||
            pass_wishes(connection, lender, &ignored) < 0)
            return;
        if (ready == 0 && epoll_wait(epoll_fd, &event, 1, 0) > 0 &&
            event.data.fd == http_cancel_fd(req->exchange))
            return;
    }
}

static int watch(int epoll_fd, int fd, struct error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? error_sys(err, "watch an event")
                                                              : 0;
}

static int upgrade(struct request *req, struct build_lender *lender, int epoll_fd,
                   struct http_connection **out, struct error *err)
{
    if (epoll_fd < 0)
        return error_sys(err, "make an event");
    return watch(epoll_fd, build_lender_wake_fd(lender), err) < 0 ||
                   watch(epoll_fd, http_cancel_fd(req->exchange), err) < 0
               ? -1
               : http_hijack(req->exchange, UPGRADED, out, err);
}

/* When the client sees the end of the connection, nothing of what was done for it is left. */
static int lend(struct request *req, struct build_lender *lender, struct error *err)
{
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(close) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int result = upgrade(req, lender, epoll_fd, &connection, err);

    if (result == 0)
        serve(req, connection, lender, epoll_fd);
    engine_build_lender_close(req->engine, lender);
    return result;
}

int api_build_lend(struct request *req, struct error *err)
{
    struct lent lent = {};
    struct build_lender *lender = NULL;
    int result = -1;

    if (!hijack_is_upgrade(req))
        return error_set(err, ERROR_INVALID, "lending to a build needs an upgraded connection");
    if (request_decode(req, lent_fields, &lent, err) == 0 &&
        engine_build_lender_open(req->engine, &lent.secrets, &lent.agents, &lender, err) == 0)
        result = lend(req, lender, err);
    json_fields_done(lent_fields, &lent);
    return result;
}

int api_build_lend_agent(struct request *req, struct error *err)
{
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };
    struct relay *relay;

    if (!hijack_is_upgrade(req))
        return error_set(err, ERROR_INVALID, "lending an agent needs an upgraded connection");
    if (hijack_begin(req, MEDIA_TYPE_RAW_STREAM, "", &hijack, err) < 0 ||
        hijack_relay_begin(req, &hijack, &relay, err) < 0)
        return -1;
    if (engine_build_lender_bring(req->engine, request_parameter(req, 0), hijack_take_fd(&hijack),
                                  err) < 0) /* After the upgrade there is nobody to tell. */
        log_debug("an agent's connection came too late", "error", err->text);
    hijack_relay_end(relay);
    return 0;
}

int api_build_lend_cache(struct request *req, struct error *err)
{
    CLEANUP(build_lender_unref) struct build_lender *lender = NULL;
    CLEANUP(strv_done) struct strv ids = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    strv_init_empty(&ids);
    if (engine_build_lender_find(req->engine, request_parameter(req, 0), &lender, err) < 0)
        return -1;
    int result = engine_build_cache_read(req->engine, http_body_stream(req->exchange),
                                         http_cancel_fd(req->exchange), &ids, err);
    for (size_t i = 0; i < ids.count; i++)
        build_lender_take_image(lender, ids.items[i]);
    if (result < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_strv(&w, "Images", &ids);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
