/* The head of an HTTP/1 message: request or status line and headers. Whole heads only: they are
 * collected first, found to end somewhere, and then read in one go. */
#ifndef BERTH_HTTP_HEAD_H
#define BERTH_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/map.h"

struct http_head {
    char *method; /* of a request */
    char *target; /* of a request, as sent */
    int status;   /* of an answer */
    int minor;    /* HTTP/1.minor */
    bool keep_alive;
    bool is_upgrade; /* Connection: upgrade together with Upgrade */
    bool is_chunked;
    bool has_length;
    uint64_t content_length;
    size_t header_count; /* lines */
    struct map headers;  /* lower-case name → text; repeated ones joined with ", " */
};

/* Any case; NULL if absent (borrowed). */
const char *http_head_get(const struct http_head *head, const char *name);
void http_head_add(struct http_head *head, const char *name, const char *value);
void http_head_done(struct http_head *head);
CLEANUP_VALUE(http_head_done, struct http_head)

/* The size of the head at the start of 'data', empty line included; 0 if it is not whole yet. Lines
 * may end in a bare LF here, so that a wrong head is refused at once instead of waited for.
 * '*scanned' (0 at first) remembers how far earlier calls got. */
size_t http_head_size(const void *data, size_t size, size_t *scanned);

/* Refuses what parsers differ about, and request smuggling lives on: lines that do not end in CRLF,
 * control characters, folded lines, blanks before a header's colon or around the request line's
 * words. INVALID. */
enum http_first_line { LINE_REQUEST, LINE_STATUS, LINE_HEADER };
int http_head_check(const void *data, size_t size, enum http_first_line first, struct error *err);

/* Refuses headers that contradict each other or that we do not speak: other transfer codings than
 * "chunked", a length besides it, a missing Host. Expects the headers that 'count' of the lines
 * named. INVALID. */
int http_head_check_request(const struct http_head *head, struct error *err);

/* True for characters of which methods and header names are made (RFC 9110 "tchar"). */
bool http_is_token(char c);

#endif
