/* llhttp, wrapped: one parser reads one message, its whole head first, then its body piece by
 * piece. */
#ifndef BERTH_HTTP_PARSER_H
#define BERTH_HTTP_PARSER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "http/head.h"

struct http_parser;

/* Reads a whole head (as http_head_size found it) of a request. INVALID for what is to be refused;
 * UNSUPPORTED if it has more than 'header_limit' headers. 'out_head' is filled on success only. */
int http_parser_request(const void *head, size_t size, size_t header_limit,
                        struct http_parser **out, struct http_head *out_head, struct error *err);

/* The same for an answer. 'no_body': it answers a HEAD request. */
int http_parser_answer(const void *head, size_t size, size_t header_limit, bool no_body,
                       struct http_parser **out, struct http_head *out_head, struct error *err);

/* Reads on in the body: decodes 'data' in place, leaving *out_size bytes of body at its start.
 * Returns how many of the bytes belonged to the message: fewer than 'size' only when it ended. */
ssize_t http_parser_body(struct http_parser *parser, void *data, size_t size, size_t *out_size,
                         struct error *err);

/* True when the message has been read to its end. */
bool http_parser_is_complete(const struct http_parser *parser);

/* Tells that the peer ended the connection: completes a body of unknown size, INVALID in others. */
int http_parser_end(struct http_parser *parser, struct error *err);

void http_parser_free(struct http_parser *parser);
CLEANUP_POINTER(http_parser_free, struct http_parser)

#endif
