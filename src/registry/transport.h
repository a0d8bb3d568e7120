/* One HTTP request and its answer, by libcurl. Redirects of GET and HEAD are followed here, so that
 * each hop is judged: another origin gets no credentials, and plain HTTP only goes where a rule
 * allows it. Safe to use from several threads; connections are kept for the next request. */
#ifndef BERTH_REGISTRY_TRANSPORT_H
#define BERTH_REGISTRY_TRANSPORT_H

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"
#include "base/stream.h"
#include "base/strv.h"
#include "registry/registry.h"

struct transport;
struct transport *transport_new(const struct registry_options *options);
void transport_free(struct transport *transport);
/* The transport's own copy of the options, valid as long as it. */
const struct registry_options *transport_options(const struct transport *transport);

struct call {
    const char *method, *url;
    const struct strv *headers; /* "Name: value"; may be NULL */
    const char *authorization;  /* sent to the URL's own origin only; NULL: none */
    const char *content_type;   /* of what is sent */
    const void *body;           /* sent: bytes, */
    size_t body_size;
    int body_fd; /* or a file from 'body_offset' on, if body_length > 0 */
    int64_t body_offset, body_length;
    /* or a stream whose size only its end tells, opened anew whenever it is sent; NULL: none */
    int (*open_body)(void *data, struct stream **out, struct error *err);
    void (*sent)(void *data, int64_t size); /* told of a file's or stream's progress; may be NULL */
    /* Takes the body of an answer with status 200 or 206; NULL: kept in the answer. */
    int (*sink)(void *data, int status, const void *bytes, size_t size, struct error *err);
    bool (*is_cancelled)(void *data); /* may be NULL */
    void *data;
    size_t answer_limit; /* of a body that is kept; 0: 64 KiB */
};

struct answer {
    int status;
    char *url;          /* that answered */
    struct map headers; /* texts by lower-case name; repeated ones joined with ", " */
    struct str body;    /* cut at the limit if the status is no success */
};
/* 0 whatever the status is. UNAVAILABLE if nobody answers (then its 'sys' is ECONNREFUSED: trying
 * again is no use) or the connection breaks; its text is Docker's ("Get \"URL\": dial tcp: lookup
 * x: no such host"), INVALID for answers beyond limits and for refused redirects, CANCELLED. */
int transport_call(struct transport *transport, const struct call *call, struct answer *out,
                   struct error *err);
const char *answer_header(const struct answer *answer, const char *name); /* NULL if absent */
void answer_done(struct answer *answer);
CLEANUP_VALUE(answer_done, struct answer)

#endif
