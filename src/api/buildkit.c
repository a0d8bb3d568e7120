/* Two requests that become HTTP/2 connections of BuildKit's protocol. */
#include "buildkit/buildkit.h"

#include <string.h>

#include "api/routes.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define HEAD "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

static int check_upgrade(struct request *req, enum error_kind kind, struct error *err)
{
    const char *protocol = http_header(req->exchange, "Upgrade");

    if (!protocol)
        return error_set(err, kind, "no upgrade proto in request");
    if (strcmp(protocol, "h2c") != 0)
        return error_set(err, kind, "protocol %s not supported", protocol);
    return 0;
}

/* The connection answers for itself by now. */
static int settle(const char *what, int result, const struct error *failure)
{
    if (result < 0)
        log_warn("a connection of BuildKit's protocol ended", "path", what, "error", failure->text);
    return 0;
}

int api_grpc(struct request *req, struct error *err)
{
    struct http_connection *connection;
    struct error failure = {};

    if (check_upgrade(req, ERROR_INTERNAL, err) < 0 ||
        http_hijack(req->exchange, HEAD, &connection, err) < 0)
        return -1;
    return settle(
        "/grpc", buildkit_serve(req->buildkit, connection, http_cancel_fd(req->exchange), &failure),
        &failure);
}

int api_session(struct request *req, struct error *err)
{
    const char *methods = http_header(req->exchange, "X-Docker-Expose-Session-Grpc-Method");
    CLEANUP(strv_done) struct strv given = {}, trimmed = {};
    const struct buildkit_session offer = {
        .id = http_header(req->exchange, "X-Docker-Expose-Session-Uuid"),
        .name = http_header(req->exchange, "X-Docker-Expose-Session-Name"),
        .shared_key = http_header(req->exchange, "X-Docker-Expose-Session-Sharedkey"),
        .methods = &trimmed,
    };
    struct http_connection *connection;
    struct error failure = {};

    if (check_upgrade(req, ERROR_INVALID, err) < 0)
        return -1;
    if (text_is_empty(offer.id))
        return error_set(err, ERROR_INVALID, "no session id in request");
    strv_split(&given, methods ? methods : "", ','); /* repeated headers are joined */
    for (size_t i = 0; i < given.count; i++)
        strv_add(&trimmed, given.items[i] + strspn(given.items[i], " "));
    if (http_hijack(req->exchange, HEAD, &connection, err) < 0)
        return -1;
    return settle("/session",
                  buildkit_serve_session(req->buildkit, connection, &offer,
                                         http_cancel_fd(req->exchange), &failure),
                  &failure);
}
