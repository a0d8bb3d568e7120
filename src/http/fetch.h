/* Downloading a file (libcurl): http and https only, redirects followed. Proxies come from this
 * process' environment. */
#ifndef BERTH_HTTP_FETCH_H
#define BERTH_HTTP_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define FETCH_REDIRECT_LIMIT 10
#define FETCH_SIZE_LIMIT     (INT64_C(16) << 30)

struct fetch {
    const char *url;
    const char *etag, *last_modified; /* what is known already: not sent again if it is still so */
    int64_t size_limit;               /* 0: FETCH_SIZE_LIMIT */
    int target_fd;                    /* written from where it stands */
    int cancel_fd;                    /* -1: none */
};

struct fetch_answer {
    bool is_unchanged;          /* 304: nothing was written */
    char *etag, *last_modified; /* as sent, NULL if absent */
    int64_t modified_s;         /* seconds since 1970, -1: not said */
};

/* CANCELLED when 'cancel_fd' becomes readable; UNAVAILABLE when nobody answers; NOT_FOUND for 404;
 * INVALID for other kinds of URLs and for what is too large. */
int fetch_url(const struct fetch *fetch, struct fetch_answer *out, struct error *err);
void fetch_answer_done(struct fetch_answer *answer);
CLEANUP_VALUE(fetch_answer_done, struct fetch_answer)

#endif
