/* Inside of an exchange: exchange.c reads the request, reply.c writes the answer. Not for users of
 * http/. */
#ifndef BERTH_HTTP_EXCHANGE_H
#define BERTH_HTTP_EXCHANGE_H

#include "base/map.h"
#include "base/stream.h"
#include "base/thread.h"
#include "http/head.h"
#include "http/parser.h"
#include "http/query.h"
#include "http/server_state.h"

struct http_exchange {
    struct visitor *visitor;
    struct http_connection *connection; /* NULL after a hijack */

    /* the request; read by one thread */
    struct http_head head;
    struct http_parser *parser;
    char *path;            /* without the query */
    const char *raw_query; /* into head.target */
    struct query query;
    struct stream body_stream;
    bool body_failed; /* nothing sensible follows on this connection */
    int cancel_fd;    /* an epoll over client and server, made on demand; -1 */

    /* the answer; 'lock' keeps what several threads write in whole pieces */
    struct mutex lock;
    struct map answer_headers;
    struct stream reply_stream;
    bool has_begun;
    bool is_chunked;
    bool has_length;
    uint64_t length_left; /* of an answer whose Content-Length the handler set */
    bool must_close;      /* after the answer */
    bool write_failed;
    bool must_continue; /* the client waits for "100 Continue" before it sends the body */
};

bool exchange_is_head(const struct http_exchange *exchange);

/* Ends the answer: last chunk, or an answer of its own if the handler gave none. */
void reply_finish(struct http_exchange *exchange);
/* Says "100 Continue" if the client waits for it and no answer has begun. */
int reply_continue(struct http_exchange *exchange, struct error *err);
/* The words for a status code. */
const char *reply_reason(int status);

#endif
