/* What llhttp leaves open about message heads: where one ends, which bytes are fit for one, and
 * which headers may stand together. */
#include "http/head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"

#include "base/banned.h"

enum { NAME_SIZE = 256 }; /* no header that we look for has a longer name */

bool http_is_token(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

const char *http_head_get(const struct http_head *head, const char *name)
{
    char key[NAME_SIZE];
    size_t length = strlen(name);

    if (length >= sizeof(key))
        return NULL;
    memcpy(key, name, length + 1);
    lower(key);
    return map_get(&head->headers, key);
}

void http_head_add(struct http_head *head, const char *name, const char *value)
{
    CLEANUP(free) char *key = xstrdup(name);

    lower(key);
    const char *earlier = map_get(&head->headers, key);
    if (earlier) {
        CLEANUP(free) char *joined = xasprintf("%s, %s", earlier, value);

        map_set_text(&head->headers, key, joined);
    } else {
        map_set_text(&head->headers, key, value);
    }
    head->header_count++;
}

void http_head_done(struct http_head *head)
{
    free(head->method);
    free(head->target);
    map_done(&head->headers);
    *head = (struct http_head){};
}

size_t http_head_size(const void *data, size_t size, size_t *scanned)
{
    const char *text = data;
    size_t start = *scanned;

    while (start < size) {
        const char *newline = memchr(text + start, '\n', size - start);

        if (!newline)
            break;
        size_t next = (size_t)(newline - text) + 1;
        if (next < size && text[next] == '\n')
            return next + 1;
        if (next + 1 < size && text[next] == '\r' && text[next + 1] == '\n')
            return next + 2;
        if (next + 1 >= size) { /* What follows this newline decides: look at it again. */
            *scanned = next - 1;
            return 0;
        }
        start = next;
    }
    *scanned = size;
    return 0;
}

static bool has_control_character(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
            return true;
    return false;
}

/* "METHOD target HTTP/1.x": exactly two blanks. */
static int check_request_line(const char *line, size_t length, struct error *err)
{
    size_t blanks = 0;

    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\t')
            return error_set(err, ERROR_INVALID, "malformed request line");
        if (line[i] == ' ' && (++blanks > 2 || i == 0 || line[i - 1] == ' ' || i + 1 == length))
            return error_set(err, ERROR_INVALID, "malformed request line");
    }
    return blanks == 2 ? 0 : error_set(err, ERROR_INVALID, "malformed request line");
}

static int check_header_line(const char *line, size_t length, struct error *err)
{
    size_t i = 0;

    if (line[0] == ' ' || line[0] == '\t')
        return error_set(err, ERROR_INVALID, "folded header line");
    while (i < length && http_is_token(line[i]))
        i++;
    if (i == 0 || i == length || line[i] != ':')
        return error_set(err, ERROR_INVALID, "malformed header name");
    return 0;
}

int http_head_check(const void *data, size_t size, enum http_first_line first, struct error *err)
{
    const char *line = data, *end = line + size;
    enum http_first_line kind = first;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));

        if (!newline || newline == line || newline[-1] != '\r')
            return error_set(err, ERROR_INVALID, "line does not end in CRLF");
        size_t length = (size_t)(newline - line) - 1;
        if (has_control_character(line, length))
            return error_set(err, ERROR_INVALID, "control character in head");
        if (kind == LINE_REQUEST && check_request_line(line, length, err) < 0)
            return -1;
        if (kind == LINE_HEADER && length > 0 && check_header_line(line, length, err) < 0)
            return -1;
        kind = LINE_HEADER;
        line = newline + 1;
    }
    return 0;
}

int http_head_check_request(const struct http_head *head, struct error *err)
{
    const char *coding = http_head_get(head, "Transfer-Encoding");

    if (coding && strcasecmp(coding, "chunked") != 0)
        return error_set(err, ERROR_INVALID, "unsupported transfer encoding");
    if (coding && head->minor == 0)
        return error_set(err, ERROR_INVALID, "transfer encoding in HTTP/1.0");
    if (coding && http_head_get(head, "Content-Length"))
        return error_set(err, ERROR_INVALID, "Content-Length besides Transfer-Encoding");
    if (head->minor > 0 && !http_head_get(head, "Host"))
        return error_set(err, ERROR_INVALID, "missing required Host header");
    return 0;
}
