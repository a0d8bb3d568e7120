/* From a request to its handler: path, version, common headers; and errors back. */
#include "api/api.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/request.h"
#include "api/routes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

struct api {
    struct engine *engine;
    struct buildkit *buildkit;
    atomic_uint_fast64_t request_count;
};

struct api *api_new(struct engine *engine)
{
    struct api *api = NEW(struct api);

    api->engine = engine;
    api->buildkit = buildkit_new(engine);
    return api;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    buildkit_free(api->buildkit);
    free(api);
}

static void set_common_headers(struct http_exchange *exchange)
{
    http_set_header(exchange, "Server", "berth/" BERTH_VERSION " (linux)");
    http_set_header(exchange, "Api-Version", API_VERSION_TEXT);
    http_set_header(exchange, "Ostype", "linux");
}

/* Sends a path with "//", "." or ".." in it to the clean one. True if that was the answer. */
static bool redirect_to_clean_path(struct request *req, const char *path)
{
    CLEANUP(free) char *clean = path_clean(path);
    size_t length = strlen(path);
    bool ends_in_slash = length > 1 && path[length - 1] == '/' && strcmp(clean, "/") != 0;
    CLEANUP(free) char *wanted = xasprintf("%s%s", clean, ends_in_slash ? "/" : "");
    struct error ignored;

    if (strcmp(wanted, path) == 0)
        return false;

    CLEANUP(free) char *encoded = http_url_encode(wanted);
    CLEANUP(str_done) struct str location = {};
    for (const char *at = encoded; *at; at++) /* Slashes stay what they are. */
        if (strncasecmp(at, "%2F", 3) == 0) {
            str_add_char(&location, '/');
            at += 2;
        } else {
            str_add_char(&location, *at);
        }
    if (*http_raw_query(req->exchange))
        str_add_format(&location, "?%s", http_raw_query(req->exchange));
    http_set_header(req->exchange, "Location", str_text(&location));
    reply_empty(req, 301, &ignored);
    return true;
}

/* Refuses versions that berth does not speak. -1: it was answered. */
static int check_version(struct request *req, const char *text)
{
    CLEANUP(free) char *message = NULL;
    struct error ignored;

    req->version = API_VERSION_CURRENT;
    if (!*text)
        return 0;
    req->version = api_version_parse(text);
    if (req->version < API_VERSION_MINIMUM)
        message = xasprintf("client version %s is too old. Minimum supported API version is %s, "
                            "please upgrade your client to a newer version",
                            text, API_MINIMUM_VERSION_TEXT);
    else if (req->version > API_VERSION_CURRENT)
        message = xasprintf("client version %s is too new. Maximum supported API version is %s",
                            text, API_VERSION_TEXT);
    else
        return 0;

    set_common_headers(req->exchange);
    if (req->version >= API_VERSION_MINIMUM) {
        reply_message(req, 400, message, &ignored);
        return -1;
    }
    /* Such old clients expect plain text. */
    CLEANUP(free) char *line = xasprintf("%s\n", message);
    http_set_header(req->exchange, "X-Content-Type-Options", "nosniff");
    http_reply(req->exchange, 400, "text/plain; charset=utf-8", line, strlen(line), &ignored);
    return -1;
}

/* A form in the body counts as query, except where the body is an archive, whatever it is said to
 * be (curl calls everything a form). */
static int read_form(struct request *req, const struct route *route, struct error *err)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = http_header(req->exchange, "Content-Type");

    if (!route->streams_body && type && strncasecmp(type, form, sizeof(form) - 1) == 0 &&
        http_has_body(req->exchange))
        return http_read_form(req->exchange, err);
    return 0;
}

static void run(struct request *req, const struct route *route)
{
    struct error err = {};

    set_common_headers(req->exchange);
    http_set_header(req->exchange, "Docker-Experimental", "false");
    if (read_form(req, route, &err) < 0 || route->handler(req, &err) < 0)
        reply_error(req, &err);
}

static void serve(struct request *req)
{
    const char *sent = http_path(req->exchange);
    CLEANUP(free) char *path = http_url_decode(sent, strlen(sent), false);
    char version[API_VERSION_TEXT_SIZE] = "";
    struct error ignored;

    if (!path || path[0] != '/') {
        reply_message(req, 400, "invalid path", &ignored);
        return;
    }
    req->path = path;
    if (strcmp(req->method, "OPTIONS") == 0) {
        set_common_headers(req->exchange);
        http_set_header(req->exchange, "Docker-Experimental", "false");
        reply_empty(req, 200, &ignored);
        return;
    }
    if (redirect_to_clean_path(req, path))
        return;
    api_version_split(path, version, &req->path);

    const struct route *route = route_find(routes, req->method, req->path, req->parameters);
    if (!route) {
        reply_message(req, 404, "page not found", &ignored);
        return;
    }
    if (check_version(req, version) < 0)
        return;
    run(req, route);
}

void api_handle_metrics(struct http_exchange *exchange, void *data)
{
    struct api *api = data;
    struct request req = { .exchange = exchange,
                           .engine = api->engine,
                           .buildkit = api->buildkit,
                           .method = http_method(exchange),
                           .path = http_path(exchange) };
    struct error err = {};

    if (strcmp(req.path, "/metrics") != 0)
        reply_message(&req, 404, "page not found", &err);
    else if (strcmp(req.method, "GET") != 0 && strcmp(req.method, "HEAD") != 0)
        reply_message(&req, 405, "method not allowed", &err);
    else if (api_metrics(&req, &err) < 0)
        reply_error(&req, &err);
}

void api_handle(struct http_exchange *exchange, void *data)
{
    struct api *api = data;
    struct request req = { .exchange = exchange,
                           .engine = api->engine,
                           .buildkit = api->buildkit,
                           .method = http_method(exchange),
                           .path = http_path(exchange) };
    char id[24];

    snprintf(id, sizeof(id), "%llu",
             (unsigned long long)atomic_fetch_add(&api->request_count, 1) + 1);
    log_set_request(id);
    serve(&req);
    log_set_request(NULL);
    for (size_t i = 0; i < REQUEST_PARAMETER_LIMIT; i++)
        free(req.parameters[i]);
}
