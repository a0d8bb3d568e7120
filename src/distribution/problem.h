/* What the distribution protocol says when something is wrong: a code of its list, a status, a
 * message and a detail. Lives on the caller's stack like struct error. */
#ifndef BERTH_DISTRIBUTION_PROBLEM_H
#define BERTH_DISTRIBUTION_PROBLEM_H

#include "base/error.h"
#include "base/str.h"

/* code, status, message */
#define PROBLEMS(X)                                                                                \
    X(NONE, 200, "")                                                                               \
    X(BLOB_UNKNOWN, 404, "blob unknown to registry")                                               \
    X(BLOB_UPLOAD_INVALID, 400, "blob upload invalid")                                             \
    X(BLOB_UPLOAD_UNKNOWN, 404, "blob upload unknown to registry")                                 \
    X(DENIED, 403, "requested access to the resource is denied")                                   \
    X(DIGEST_INVALID, 400, "provided digest did not match uploaded content")                       \
    X(MANIFEST_BLOB_UNKNOWN, 404, "manifest references a blob or manifest unknown to registry")    \
    X(MANIFEST_INVALID, 400, "manifest invalid")                                                   \
    X(MANIFEST_UNKNOWN, 404, "manifest unknown")                                                   \
    X(NAME_INVALID, 400, "invalid repository name")                                                \
    X(NAME_UNKNOWN, 404, "repository name not known to registry")                                  \
    X(PAGINATION_NUMBER_INVALID, 400, "invalid number of results requested")                       \
    X(RANGE_INVALID, 416, "invalid content range")                                                 \
    X(SIZE_INVALID, 400, "provided length did not match content length")                           \
    X(TAG_INVALID, 400, "manifest tag did not match URI")                                          \
    X(TOOMANYREQUESTS, 429, "too many requests")                                                   \
    X(UNAUTHORIZED, 401, "authentication required")                                                \
    X(UNAVAILABLE, 503, "service unavailable")                                                     \
    X(UNKNOWN, 500, "unknown error")                                                               \
    X(UNSUPPORTED, 405, "The operation is unsupported.")

enum problem_code {
#define X(name, status, message) PROBLEM_##name,
    PROBLEMS(X)
#undef X
};

struct problem {
    enum problem_code code;
    int status;
    char message[ERROR_TEXT_SIZE];
    const char *detail_key; /* a literal: the detail is an object with that member; NULL: a text */
    char detail[512];       /* "" if there is none */
};

/* Fills 'problem' and returns -1. 'format' NULL: the usual message. 'detail' may be NULL. */
int problem_set(struct problem *problem, enum problem_code code, const char *detail,
                const char *format, ...) PRINTF(4, 5);
/* Changes what problem_set filled in. Both return -1. */
int problem_set_status(struct problem *problem, int status);
int problem_set_detail_key(struct problem *problem, const char *key);
/* An error of the lower floors: UNAVAILABLE, UNKNOWN and so on by its kind. */
int problem_from_error(struct problem *problem, const struct error *err, const char *what);

const char *problem_code_name(enum problem_code code);
/* {"errors":[{"code":…,"message":…,"detail":…}]} */
void problem_write(const struct problem *problem, struct str *out);

#endif
