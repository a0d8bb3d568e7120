/* One llhttp parser per message. It is paused where the message ends, so bytes behind it are never
 * looked at as if they were HTTP. */
#include "http/parser.h"

#include <llhttp.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

enum { OVERHEAD_LIMIT = 16 * 1024 }; /* chunk lines and trailers between two bytes of a body */

struct http_parser {
    llhttp_t llhttp;
    struct http_head *head; /* while it is being read */
    size_t header_limit;
    struct str name, value;
    bool has_host, has_length; /* seen once */
    bool no_body;
    bool is_complete;
    bool head_ended;
    bool in_trailer;
    struct str trailer; /* its line that is being read */
    char *body;         /* where the next body byte goes, while a body is being read */
    size_t body_size;
    size_t overhead; /* bytes since the last one of the body */
    struct error failure;
};

static struct http_parser *parser_of(llhttp_t *llhttp)
{
    return CONTAINER_OF(llhttp, struct http_parser, llhttp);
}

static int refuse(struct http_parser *parser, enum error_kind kind, const char *text)
{
    error_set(&parser->failure, kind, "%s", text);
    return HPE_USER;
}

static int add_target(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_head *head = parser_of(llhttp)->head;
    CLEANUP(free) char *before = TAKE(head->target);

    head->target = xasprintf("%s%.*s", before ?: "", (int)length, at);
    return 0;
}

static int add_name(llhttp_t *llhttp, const char *at, size_t length)
{
    str_add_bytes(&parser_of(llhttp)->name, at, length);
    return 0;
}

static int add_value(llhttp_t *llhttp, const char *at, size_t length)
{
    str_add_bytes(&parser_of(llhttp)->value, at, length);
    return 0;
}

static int refuse_second(struct http_parser *parser, const char *name, bool *seen)
{
    if (strcasecmp(str_text(&parser->name), name) != 0)
        return 0;
    if (*seen)
        return refuse(parser, ERROR_INVALID, "header given twice");
    *seen = true;
    return 0;
}

static int end_header(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);
    struct str *value = &parser->value;

    if (parser->head->header_count >= parser->header_limit)
        return refuse(parser, ERROR_UNSUPPORTED, "too many headers");
    if (refuse_second(parser, "Host", &parser->has_host) ||
        refuse_second(parser, "Content-Length", &parser->has_length))
        return HPE_USER;
    while (value->length > 0 && strchr(" \t", value->data[value->length - 1]))
        str_cut(value, value->length - 1);
    http_head_add(parser->head, str_text(&parser->name), str_text(value));
    str_clear(&parser->name);
    str_clear(value);
    return 0;
}

static int end_head(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);
    struct http_head *head = parser->head;

    head->minor = llhttp_get_http_minor(llhttp);
    head->keep_alive = llhttp_should_keep_alive(llhttp);
    head->is_upgrade = (llhttp->flags & F_UPGRADE) && (llhttp->flags & F_CONNECTION_UPGRADE);
    head->is_chunked = llhttp->flags & F_CHUNKED;
    head->has_length = llhttp->flags & F_CONTENT_LENGTH;
    head->content_length = head->has_length ? llhttp->content_length : 0;
    if (llhttp_get_type(llhttp) == HTTP_REQUEST)
        head->method = xstrdup(llhttp_method_name((llhttp_method_t)llhttp_get_method(llhttp)));
    else
        head->status = llhttp_get_status_code(llhttp);
    parser->head = NULL;
    parser->head_ended = true;
    /* Answers that never have a body may still tell its length. */
    bool no_body = parser->no_body || head->status == 204 || head->status == 304;
    return no_body ? 1 : 0;
}

static int add_body(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = parser_of(llhttp);

    if (!parser->body) /* cannot be: a head is given without anything behind it */
        return refuse(parser, ERROR_INTERNAL, "body inside a head");
    memmove(parser->body + parser->body_size, at, length);
    parser->body_size += length;
    parser->overhead = 0;
    return 0;
}

/* llhttp looks at chunk extensions less sharply than at the rest. */
static int check_extension(llhttp_t *llhttp, const char *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)at[i] < ' ' && at[i] != '\t')
            return refuse(parser_of(llhttp), ERROR_INVALID, "control character in a chunk's line");
    return 0;
}

/* Behind the last chunk come trailers. There llhttp takes folded lines and bare LFs: stop it. */
static int begin_chunk(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);

    parser->in_trailer = llhttp->content_length == 0;
    return parser->in_trailer ? HPE_PAUSED : 0;
}

static int end_message(llhttp_t *llhttp)
{
    parser_of(llhttp)->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = add_target,
    .on_header_field = add_name,
    .on_header_value = add_value,
    .on_header_value_complete = end_header,
    .on_headers_complete = end_head,
    .on_chunk_extension_name = check_extension,
    .on_chunk_extension_value = check_extension,
    .on_chunk_header = begin_chunk,
    .on_body = add_body,
    .on_message_complete = end_message,
};

static int fail(struct http_parser *parser, struct error *err)
{
    if (parser->failure.kind != ERROR_NONE)
        return error_set(err, parser->failure.kind, "%s", parser->failure.text);
    return error_set(err, ERROR_INVALID, "malformed HTTP: %s",
                     llhttp_get_error_reason(&parser->llhttp) ?: "unknown reason");
}

/* How many of the bytes were used; -1 for a refusal. Pausing at the end is no failure. */
static ssize_t execute(struct http_parser *parser, const char *data, size_t size, struct error *err)
{
    llhttp_errno_t result = llhttp_execute(&parser->llhttp, data, size);

    if (result == HPE_OK)
        return (ssize_t)size;
    if ((result == HPE_PAUSED || result == HPE_PAUSED_UPGRADE) &&
        (parser->is_complete || parser->in_trailer))
        return llhttp_get_error_pos(&parser->llhttp) - data;
    return fail(parser, err);
}

static int read_head(struct http_parser *parser, const char *data, size_t size,
                     struct http_head *head, struct error *err)
{
    bool is_request = llhttp_get_type(&parser->llhttp) == HTTP_REQUEST;

    if (http_head_check(data, size, is_request ? LINE_REQUEST : LINE_STATUS, err) < 0)
        return -1;
    parser->head = head;
    ssize_t used = execute(parser, data, size, err);
    parser->head = NULL;
    str_done(&parser->name);
    str_done(&parser->value);
    if (used < 0)
        return -1;
    /* Both of us must see the head end at the same byte. */
    if (!parser->head_ended || (size_t)used != size)
        return error_set(err, ERROR_INVALID, "malformed head");
    if (llhttp_get_http_major(&parser->llhttp) != 1 || head->minor > 1)
        return error_set(err, ERROR_INVALID, "unsupported HTTP version");
    return 0;
}

static struct http_parser *parser_new(llhttp_type_t type, size_t header_limit, bool no_body)
{
    struct http_parser *parser = NEW(struct http_parser);

    llhttp_init(&parser->llhttp, type, &settings);
    parser->header_limit = header_limit;
    parser->no_body = no_body;
    return parser;
}

int http_parser_request(const void *data, size_t size, size_t header_limit,
                        struct http_parser **out, struct http_head *out_head, struct error *err)
{
    CLEANUP(http_parser_free)
    struct http_parser *parser = parser_new(HTTP_REQUEST, header_limit, false);
    CLEANUP(http_head_done) struct http_head head = {};

    if (read_head(parser, data, size, &head, err) < 0 || http_head_check_request(&head, err) < 0)
        return -1;
    if (strcmp(head.method, "CONNECT") == 0)
        return error_set(err, ERROR_INVALID, "unsupported method");
    *out = TAKE(parser);
    *out_head = head;
    head = (struct http_head){};
    return 0;
}

int http_parser_answer(const void *data, size_t size, size_t header_limit, bool no_body,
                       struct http_parser **out, struct http_head *out_head, struct error *err)
{
    CLEANUP(http_parser_free)
    struct http_parser *parser = parser_new(HTTP_RESPONSE, header_limit, no_body);
    CLEANUP(http_head_done) struct http_head head = {};

    if (read_head(parser, data, size, &head, err) < 0)
        return -1;
    *out = TAKE(parser);
    *out_head = head;
    head = (struct http_head){};
    return 0;
}

/* Reads over trailers up to the empty line; what they say is nobody's concern. */
static ssize_t read_trailer(struct http_parser *parser, const char *data, size_t size,
                            struct error *err)
{
    struct str *line = &parser->trailer;

    for (size_t i = 0; i < size; i++) {
        str_add_char(line, data[i]);
        if (line->length > OVERHEAD_LIMIT)
            return error_set(err, ERROR_INVALID, "trailer too long");
        if (data[i] != '\n')
            continue;
        if (http_head_check(line->data, line->length, LINE_HEADER, err) < 0)
            return -1;
        if (line->length == 2) {
            parser->is_complete = true;
            return (ssize_t)i + 1;
        }
        str_clear(line);
    }
    return (ssize_t)size;
}

ssize_t http_parser_body(struct http_parser *parser, void *data, size_t size, size_t *out_size,
                         struct error *err)
{
    if (parser->is_complete) {
        *out_size = 0;
        return 0;
    }
    parser->body = data;
    parser->body_size = 0;
    parser->overhead += size;
    ssize_t used = parser->in_trailer ? 0 : execute(parser, data, size, err);
    parser->body = NULL;
    if (used < 0)
        return -1;
    if (parser->in_trailer) {
        ssize_t more = read_trailer(parser, (char *)data + used, size - (size_t)used, err);

        if (more < 0)
            return -1;
        used += more;
    }
    if (parser->overhead > size + OVERHEAD_LIMIT)
        return error_set(err, ERROR_INVALID, "chunk lines too long");
    *out_size = parser->body_size;
    return used;
}

bool http_parser_is_complete(const struct http_parser *parser)
{
    return parser->is_complete;
}

int http_parser_end(struct http_parser *parser, struct error *err)
{
    if (parser->is_complete)
        return 0;
    if (parser->in_trailer)
        return error_set(err, ERROR_INVALID, "connection ended inside a message");
    llhttp_errno_t result = llhttp_finish(&parser->llhttp);
    if (parser->is_complete && (result == HPE_OK || result == HPE_PAUSED))
        return 0;
    return error_set(err, ERROR_INVALID, "connection ended inside a message");
}

void http_parser_free(struct http_parser *parser)
{
    if (!parser)
        return;
    str_done(&parser->name);
    str_done(&parser->value);
    str_done(&parser->trailer);
    free(parser);
}
