/* One request to a server elsewhere and its answer (libcurl): http and https, redirects followed as
 * far as they are asked for; an Authorization header goes to the host that was named only. */
#ifndef BERTH_HTTP_ASK_H
#define BERTH_HTTP_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"
#include "base/strv.h"

#define ASK_BODY_LIMIT (8 * 1024 * 1024) /* of an answer that is kept in memory */

struct ask {
    const char *method, *url;
    const struct strv *headers; /* "Name: value"; may be NULL */
    const void *body;           /* may be NULL */
    size_t body_size;
    bool follows;     /* redirects */
    int timeout_s;    /* in all; 0: only standing still is limited (60 s) */
    const char *user; /* "name:password" for Basic; may be NULL */
    /* Told of the headers of an answer of status 200 before its first byte; -1 ends it. May be
     * NULL.
     */
    int (*begin)(void *data, const struct map *headers, struct error *err);
    /* Takes the body of an answer of status 200 instead of keeping it; -1 ends it. May be NULL. */
    int (*take)(void *data, const void *bytes, size_t size, struct error *err);
    void *data;
};

struct ask_answer {
    int status;
    struct map headers; /* lower-case name → text, of the last answer; of equal names the last */
    struct str body;
};

/* UNAVAILABLE if nobody answers or the answer breaks off; what 'take' says. Any status is fine. */
int ask(const struct ask *ask, struct ask_answer *out, struct error *err);
void ask_answer_done(struct ask_answer *answer);
CLEANUP_VALUE(ask_answer_done, struct ask_answer)

#endif
