/* Attaching to a container: checks first, then the client's connection is handed to the container's
 * supervisor. */
#include "api/detach_keys.h"
#include "api/frame.h"
#include "api/hijack.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/container.h"

#include "base/banned.h"

/* Detach keys are read from terminals only. */
static int read_keys(struct request *req, const struct container_info *info,
                     struct attach_options *options, char keys[DETACH_KEYS_LIMIT],
                     struct error *err)
{
    const char *text = request_query(req, "detachKeys");
    size_t size;

    if (detach_keys_parse(text, keys, &size, NULL) < 0)
        return error_set(err, ERROR_INVALID, "Invalid detach keys (%s) provided", text);
    if (info->config.tty && options->streams.stdin_wanted) {
        options->streams.detach_keys = keys;
        options->streams.detach_keys_size = size;
    }
    return 0;
}

static void read_streams(struct request *req, const struct container_info *info,
                         struct attach_options *out)
{
    out->logs = request_query_bool(req, "logs");
    out->stream = request_query_bool(req, "stream");
    out->streams.stdin_wanted = request_query_bool(req, "stdin") && info->config.open_stdin;
    out->streams.stdout_wanted = request_query_bool(req, "stdout");
    out->streams.stderr_wanted = request_query_bool(req, "stderr");
    out->streams.framed = !info->config.tty;
    /* Whoever asks for none of them has nothing to stay for. */
    out->stream = out->stream && (request_query_bool(req, "stdin") || out->streams.stdout_wanted ||
                                  out->streams.stderr_wanted);
}

static int hand_over(struct request *req, const struct container_info *info, struct hijack *hijack,
                     const struct attach_options *options, struct error *err)
{
    struct relay *relay;

    if (hijack_relay_begin(req, hijack, &relay, err) < 0)
        return -1;
    int result = engine_container_attach(req->engine, info->id, hijack_take_fd(hijack), options,
                                         err);
    hijack_relay_end(relay);
    return result;
}

static int attach(struct request *req, const struct container_info *info,
                  struct attach_options *options, struct error *err)
{
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };
    bool multiplexed = hijack_is_upgrade(req) && options->streams.framed &&
                       req->version >= API_VERSION(42);

    if (hijack_begin(req, multiplexed ? MEDIA_TYPE_MULTIPLEXED_STREAM : MEDIA_TYPE_RAW_STREAM, "",
                     &hijack, err) < 0)
        return -1;
    options->streams.pending = hijack.pending;
    options->streams.pending_size = hijack.pending_size;
    return hand_over(req, info, &hijack, options, err);
}

int api_container_attach(struct request *req, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = NULL;
    struct attach_options options = {};
    char keys[DETACH_KEYS_LIMIT];

    if (engine_container_get(req->engine, request_parameter(req, 0), &info, err) < 0)
        goto refuse;
    read_streams(req, info, &options);
    if (read_keys(req, info, &options, keys, err) < 0 ||
        engine_container_attach_check(req->engine, request_parameter(req, 0), err) < 0)
        goto refuse;
    if (attach(req, info, &options, err) < 0) /* After the upgrade there is nobody to tell. */
        log_warn("cannot attach", "container", info->id, "error", err->text);
    return 0;
refuse:
    hijack_refuse(req, err);
    return 0;
}

/* The output of a websocket is raw: its messages are frames enough. Until the handshake errors are
 * told as anywhere else. */
int api_container_attach_websocket(struct request *req, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = NULL;
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };
    struct attach_options options = {};
    char keys[DETACH_KEYS_LIMIT];

    if (engine_container_get(req->engine, request_parameter(req, 0), &info, err) < 0)
        return -1;
    read_streams(req, info, &options);
    options.streams.framed = false;
    if (read_keys(req, info, &options, keys, err) < 0 ||
        engine_container_attach_check(req->engine, info->id, err) < 0 ||
        hijack_begin_websocket(req, &hijack, err) < 0)
        return -1;
    if (hand_over(req, info, &hijack, &options, err) < 0)
        log_warn("cannot attach", "container", info->id, "error", err->text);
    return 0;
}
