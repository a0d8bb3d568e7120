/* Writing answers. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "http/exchange.h"

#include "base/banned.h"

enum { CHUNK_LINE_SIZE = 20, FILE_PIECE_SIZE = 1024 * 1024 };

/* clang-format off */
static const struct { int status; const char *reason; } reasons[] = {
    { 101, "Switching Protocols" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 206, "Partial Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 412, "Precondition Failed" },
    { 413, "Request Entity Too Large" },
    { 415, "Unsupported Media Type" },
    { 416, "Requested Range Not Satisfiable" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 499, "Client Closed Request" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 507, "Insufficient Storage" },
};
/* clang-format on */

const char *reply_reason(int status)
{
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

static struct map_entry *find_header(struct http_exchange *exchange, const char *name)
{
    MAP_EACH (&exchange->answer_headers, entry)
        if (strcasecmp(entry->key, name) == 0)
            return entry;
    return NULL;
}

static void set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    CLEANUP(free) char *clean = xstrdup(value);
    struct map_entry *earlier = find_header(exchange, name);

    for (char *c = clean; *c; c++) /* a line break would begin a header of somebody else's */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    map_set_text(&exchange->answer_headers, earlier ? earlier->key : name, clean);
}

void http_set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    set_header(exchange, name, value);
}

bool exchange_is_head(const struct http_exchange *exchange)
{
    return strcmp(exchange->head.method, "HEAD") == 0;
}

static bool has_body(const struct http_exchange *exchange, int status)
{
    return !exchange_is_head(exchange) && status != 204 && status != 304 && status / 100 != 1;
}

static void add_date(struct str *out)
{
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    str_add_format(out, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
}

/* What the connection becomes after this answer. */
static void decide_closing(struct http_exchange *exchange)
{
    const struct http_head *head = &exchange->head;

    if (!head->keep_alive || exchange->body_failed)
        exchange->must_close = true;
    if (!http_parser_is_complete(exchange->parser) &&
        (exchange->must_continue ||
         head->content_length > exchange->visitor->server->limits.drain_size))
        exchange->must_close = true; /* an unread body that is not worth reading away */
}

static void add_head(struct http_exchange *exchange, int status, struct str *out)
{
    str_add_format(out, "HTTP/1.1 %d %s\r\n", status, reply_reason(status));
    MAP_EACH (&exchange->answer_headers, entry)
        str_add_format(out, "%s: %s\r\n", entry->key, (const char *)entry->value);
    if (!find_header(exchange, "Date"))
        add_date(out);
    if (exchange->must_close)
        str_add(out, "Connection: close\r\n");
    else if (exchange->head.minor == 0)
        str_add(out, "Connection: keep-alive\r\n");
}

/* A body that stalled is the client's doing, whatever the handler made of it. */
static int real_status(const struct http_exchange *exchange, int status)
{
    return status >= 500 && exchange->connection->read_timed_out ? 408 : status;
}

static int begin(struct http_exchange *exchange, int status, const char *content_type,
                 struct error *err)
{
    if (!exchange->connection)
        return error_set(err, ERROR_INTERNAL, "the connection was taken over");
    if (exchange->has_begun)
        return error_set(err, ERROR_INTERNAL, "an answer has begun already");
    exchange->has_begun = true;
    if (content_type && status != 204 && status != 304)
        set_header(exchange, "Content-Type", content_type);
    decide_closing(exchange);
    return 0;
}

static int write_parts(struct http_exchange *exchange, struct iovec *parts, size_t count,
                       struct error *err)
{
    if (http_connection_write_parts(exchange->connection, parts, count, err) == 0)
        return 0;
    exchange->write_failed = true;
    return -1;
}

static int reply_locked(struct http_exchange *exchange, int status, const char *content_type,
                        const void *body, size_t size, struct error *err) REQUIRES(exchange->lock)
{
    CLEANUP(str_done) struct str head = {};

    if (begin(exchange, status, content_type, err) < 0)
        return -1;
    add_head(exchange, real_status(exchange, status), &head);
    if (status != 204 && status != 304 && !find_header(exchange, "Content-Length"))
        str_add_format(&head, "Content-Length: %zu\r\n", size);
    str_add(&head, "\r\n");
    struct iovec parts[] = { { head.data, head.length },
                             { (void *)body, has_body(exchange, status) ? size : 0 } };
    return write_parts(exchange, parts, COUNT(parts), err);
}

int http_reply(struct http_exchange *exchange, int status, const char *content_type,
               const void *body, size_t size, struct error *err)
{
    mutex_lock(&exchange->lock);
    int result = reply_locked(exchange, status, content_type, body, size, err);
    mutex_unlock(&exchange->lock);
    return result;
}

/* How the body will be told from what follows: by the length that the handler set, by chunks, or by
 * closing. */
static int choose_framing(struct http_exchange *exchange, int status, struct str *head,
                          struct error *err)
{
    const struct map_entry *length = find_header(exchange, "Content-Length");
    int64_t size;

    if (status == 204 || status == 304) {
        exchange->has_length = true;
    } else if (length) {
        if (parse_int64(length->value, 0, INT64_MAX, &size, err) < 0)
            return error_context(err, "Content-Length");
        exchange->has_length = true;
        exchange->length_left = exchange_is_head(exchange) ? 0 : (uint64_t)size;
    } else if (exchange->head.minor > 0) {
        exchange->is_chunked = true;
        str_add(head, "Transfer-Encoding: chunked\r\n");
    }
    return 0;
}

static int reply_begin_locked(struct http_exchange *exchange, int status, const char *content_type,
                              struct error *err) REQUIRES(exchange->lock)
{
    CLEANUP(str_done) struct str head = {}, framing = {};

    if (begin(exchange, status, content_type, err) < 0 ||
        choose_framing(exchange, status, &framing, err) < 0)
        return -1;
    if (!exchange->has_length && !exchange->is_chunked)
        exchange->must_close = true;
    add_head(exchange, real_status(exchange, status), &head);
    str_add(&head, str_text(&framing));
    str_add(&head, "\r\n");
    struct iovec part = { head.data, head.length };
    return write_parts(exchange, &part, 1, err);
}

int http_reply_begin(struct http_exchange *exchange, int status, const char *content_type,
                     struct error *err)
{
    mutex_lock(&exchange->lock);
    int result = reply_begin_locked(exchange, status, content_type, err);
    mutex_unlock(&exchange->lock);
    return result;
}

static int write_sized_locked(struct http_exchange *exchange, const void *data, size_t size,
                              struct error *err) REQUIRES(exchange->lock)
{
    struct iovec part = { (void *)data, size };

    if (size > exchange->length_left)
        return error_set(err, ERROR_INTERNAL, "answer is longer than its Content-Length");
    exchange->length_left -= size;
    return write_parts(exchange, &part, 1, err);
}

static int write_locked(struct http_exchange *exchange, const void *data, size_t size,
                        struct error *err) REQUIRES(exchange->lock)
{
    char line[CHUNK_LINE_SIZE];

    if (!exchange->has_begun)
        return error_set(err, ERROR_INTERNAL, "no answer has begun");
    if (exchange->write_failed)
        return error_set(err, ERROR_UNAVAILABLE, "the client has gone");
    if (size == 0 || exchange_is_head(exchange))
        return 0;
    if (exchange->has_length)
        return write_sized_locked(exchange, data, size, err);
    if (!exchange->is_chunked)
        return write_parts(exchange, &(struct iovec){ (void *)data, size }, 1, err);
    struct iovec parts[] = { { line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", size) },
                             { (void *)data, size },
                             { (void *)"\r\n", 2 } };
    return write_parts(exchange, parts, COUNT(parts), err);
}

int http_reply_write(struct http_exchange *exchange, const void *data, size_t size,
                     struct error *err)
{
    mutex_lock(&exchange->lock);
    int result = write_locked(exchange, data, size, err);
    mutex_unlock(&exchange->lock);
    return result;
}

static int write_chunk_line(struct http_exchange *exchange, uint64_t size, struct error *err)
    REQUIRES(exchange->lock)
{
    char line[CHUNK_LINE_SIZE];
    int length = snprintf(line, sizeof(line), "%llx\r\n", (unsigned long long)size);

    return write_parts(exchange, &(struct iovec){ line, (size_t)length }, 1, err);
}

static int file_locked(struct http_exchange *exchange, int fd, int64_t offset, uint64_t size,
                       struct error *err) REQUIRES(exchange->lock)
{
    if (!exchange->has_begun)
        return error_set(err, ERROR_INTERNAL, "no answer has begun");
    if (exchange->write_failed)
        return error_set(err, ERROR_UNAVAILABLE, "the client has gone");
    if (exchange_is_head(exchange) || size == 0)
        return 0;
    if (exchange->is_chunked && write_chunk_line(exchange, size, err) < 0)
        return -1;
    if (exchange->has_length && size > exchange->length_left)
        return error_set(err, ERROR_INTERNAL, "answer is longer than its Content-Length");
    if (http_connection_write_file(exchange->connection, fd, offset, size, err) < 0) {
        exchange->write_failed = true;
        return -1;
    }
    if (exchange->has_length)
        exchange->length_left -= size;
    return exchange->is_chunked
               ? write_parts(exchange, &(struct iovec){ (void *)"\r\n", 2 }, 1, err)
               : 0;
}

int http_reply_file(struct http_exchange *exchange, int fd, int64_t offset, uint64_t size,
                    struct error *err)
{
    mutex_lock(&exchange->lock);
    int result = file_locked(exchange, fd, offset, size, err);
    mutex_unlock(&exchange->lock);
    return result;
}

bool http_reply_has_begun(const struct http_exchange *exchange)
{
    struct http_exchange *self = (struct http_exchange *)exchange;

    mutex_lock(&self->lock);
    bool has_begun = self->has_begun;
    mutex_unlock(&self->lock);
    return has_begun;
}

static int stream_write_reply(struct stream *stream, const void *data, size_t size,
                              struct error *err)
{
    return http_reply_write(CONTAINER_OF(stream, struct http_exchange, reply_stream), data, size,
                            err);
}

/* In pieces, so that who has gone is noticed. */
static int stream_reply_file(struct stream *stream, int fd, size_t size, struct error *err)
{
    struct http_exchange *exchange = CONTAINER_OF(stream, struct http_exchange, reply_stream);
    off_t offset = lseek(fd, 0, SEEK_CUR);

    if (offset < 0)
        return error_sys(err, "where a file is read");
    while (size > 0) {
        size_t piece = MIN(size, FILE_PIECE_SIZE);

        if (http_reply_file(exchange, fd, offset, piece, err) < 0)
            return -1;
        offset += (off_t)piece;
        size -= piece;
    }
    return lseek(fd, offset, SEEK_SET) < 0 ? error_sys(err, "move in a file") : 0;
}

static void keep_open(struct stream *stream UNUSED)
{
}

struct stream *http_reply_stream(struct http_exchange *exchange)
{
    exchange->reply_stream = (struct stream){ NULL, stream_write_reply, keep_open,
                                              stream_reply_file };
    return &exchange->reply_stream;
}

static int continue_locked(struct http_exchange *exchange, struct error *err)
    REQUIRES(exchange->lock)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!exchange->must_continue || exchange->has_begun)
        return 0;
    exchange->must_continue = false;
    return write_parts(exchange, &(struct iovec){ (void *)text, sizeof(text) - 1 }, 1, err);
}

int reply_continue(struct http_exchange *exchange, struct error *err)
{
    mutex_lock(&exchange->lock);
    int result = continue_locked(exchange, err);
    mutex_unlock(&exchange->lock);
    return result;
}

static void finish_locked(struct http_exchange *exchange) REQUIRES(exchange->lock)
{
    static const char last_chunk[] = "0\r\n\r\n";

    if (exchange->write_failed || exchange->length_left > 0)
        exchange->must_close = true;
    else if (exchange->is_chunked && !exchange_is_head(exchange))
        write_parts(exchange, &(struct iovec){ (void *)last_chunk, sizeof(last_chunk) - 1 }, 1,
                    NULL);
}

void http_reply_break(struct http_exchange *exchange)
{
    mutex_lock(&exchange->lock);
    exchange->write_failed = true;
    mutex_unlock(&exchange->lock);
}

void reply_finish(struct http_exchange *exchange)
{
    if (!http_reply_has_begun(exchange))
        http_reply(exchange, 500, NULL, NULL, 0, NULL);
    mutex_lock(&exchange->lock);
    finish_locked(exchange);
    if (exchange->write_failed)
        exchange->must_close = true;
    mutex_unlock(&exchange->lock);
}
