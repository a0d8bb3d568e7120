/* One request on its way through a handler: what was asked, decoded by the API's rules, and the
 * ways to answer. */
#ifndef BERTH_API_REQUEST_H
#define BERTH_API_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "api/version.h"
#include "base/error.h"
#include "base/str.h"
#include "buildkit/buildkit.h"
#include "codec/json.h"
#include "engine/engine.h"
#include "http/server.h"

/* Largest JSON body that is read. */
#define REQUEST_BODY_LIMIT ((size_t)8 << 20)

enum { REQUEST_PARAMETER_LIMIT = 2 };

struct request {
    struct http_exchange *exchange;
    struct engine *engine;
    struct buildkit *buildkit;
    int version; /* of the API, as API_VERSION() makes it */
    const char *method;
    const char *path; /* decoded, without the version */
    char *parameters[REQUEST_PARAMETER_LIMIT];
};

/* Text that stood in place of the pattern's n-th {…}. */
const char *request_parameter(const struct request *req, size_t index);

/* ---- query ---- */
const char *request_query(const struct request *req, const char *name); /* NULL if absent */
bool request_query_bool(const struct request *req, const char *name);
/* Absent or empty leaves 'fallback'. INTERNAL with Go's text otherwise, as the engine has it. */
int request_query_int(const struct request *req, const char *name, int64_t fallback, int64_t *out,
                      struct error *err);
/* seconds[.nanoseconds]; absent, empty: 0. */
int request_query_time(const struct request *req, const char *name, int64_t *out_ns,
                       struct error *err);
/* "h" and "w" of a resize: INVALID "invalid resize height "x": invalid syntax". */
int request_query_size(const struct request *req, int *out_height, int *out_width,
                       struct error *err);

/* ---- body ---- */
/* The JSON body; *out stays NULL when there is none. INVALID for other content types. */
int request_json(struct request *req, struct json **out, struct error *err);
/* The same into a zeroed struct, which stays zeroed when there is no body. */
int request_decode(struct request *req, const struct json_field *fields, void *out,
                   struct error *err);

/* ---- answers ---- */
/* Whole answers. The text gets the final newline of the engine's JSON. */
int reply_json(struct request *req, int status, struct str *json, struct error *err);
int reply_empty(struct request *req, int status, struct error *err);
int reply_message(struct request *req, int status, const char *message, struct error *err);
/* Starts a streamed answer: status and headers go out at once. */
int reply_stream_begin(struct request *req, const char *content_type, struct error *err);

/* Status, and {"message":…}, for an error. */
void reply_error(struct request *req, const struct error *failure);

#endif
