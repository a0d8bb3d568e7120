/* Requests that parsers differ about: each is refused, and what follows it is never answered. */
#include <stdio.h>

#include "base/buf.h"
#include "base/memory.h"
#include "http/test_support.h"

#include "base/banned.h"

static struct http_server *server;

static void echo(struct http_exchange *exchange, void *data UNUSED)
{
    CLEANUP(buf_done) struct buf body = {};
    struct error err = {};

    if (http_read_all(exchange, 1000, &body, &err) < 0)
        http_reply(exchange, 400, "text/plain", err.text, strlen(err.text), &err);
    else
        http_reply(exchange, 200, "text/plain", buf_bytes(&body), body.size, &err);
}

static void start_server(void)
{
    server = http_server_new(NULL, echo, NULL);
}

static void stop_server(void)
{
    http_server_stop(server, 5000);
}

TestSuite(http_refusal, .init = start_server, .fini = stop_server, .timeout = 60);

/* clang-format off */
static const struct { const char *what, *request; int status; } refused[] = {
    { "two Content-Length",           "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400 },
    { "two different Content-Length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400 },
    { "Content-Length list",          "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\nx", 400 },
    { "signed Content-Length",        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx", 400 },
    { "negative Content-Length",      "POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nx", 400 },
    { "empty Content-Length",         "POST /echo HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\nx", 400 },
    { "huge Content-Length",          "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\nx", 400 },
    { "hexadecimal Content-Length",   "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\nx", 400 },
    { "length and coding",            "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    { "coding and length",            "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400 },
    { "gzip, chunked",                "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400 },
    { "chunked, identity",            "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400 },
    { "chunked twice",                "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    { "identity",                     "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400 },
    { "chunked with rubbish",         "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
    { "chunked after vertical tab",   "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n", 400 },
    { "empty coding",                 "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 400 },
    { "coding in HTTP/1.0",           "POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    { "bare LF after request line",   "GET /a HTTP/1.1\n" HOST "\r\n", 400 },
    { "bare LF after header",         "GET /a HTTP/1.1\r\nHost: docker\nX: y\r\n\r\n", 400 },
    { "bare LF at the end",           "GET /a HTTP/1.1\r\n" HOST "\n", 400 },
    { "bare LFs only",                "GET /a HTTP/1.1\nHost: docker\n\n", 400 },
    { "bare CR in a header",          "GET /a HTTP/1.1\r\nHost: docker\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", 400 },
    { "blank before the colon",       "GET /a HTTP/1.1\r\nHost : docker\r\n\r\n", 400 },
    { "tab before the colon",         "POST /echo HTTP/1.1\r\n" HOST "Content-Length\t: 1\r\n\r\nx", 400 },
    { "blank before a name",          "GET /a HTTP/1.1\r\n Host: docker\r\n\r\n", 400 },
    { "folded line",                  "GET /a HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 400 },
    { "folded coding",                "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400 },
    { "no colon",                     "GET /a HTTP/1.1\r\n" HOST "Rubbish\r\n\r\n", 400 },
    { "empty name",                   "GET /a HTTP/1.1\r\n" HOST ": x\r\n\r\n", 400 },
    { "strange name",                 "GET /a HTTP/1.1\r\n" HOST "X(y): x\r\n\r\n", 400 },
    { "broken escape in the query",   "GET /a?b=%zz HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "cut escape in the query",      "GET /a?b=%4 HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "zero byte in the query",       "GET /a?b=c%00d HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "broken escape in a name",      "GET /a?%=b HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "no Host",                      "GET /a HTTP/1.1\r\n\r\n", 400 },
    { "two Hosts",                    "GET /a HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
    { "control character",            "GET /a HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", 400 },
    { "two blanks",                   "GET  /a HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "blank behind the version",     "GET /a HTTP/1.1 \r\n" HOST "\r\n", 400 },
    { "tab in the request line",      "GET\t/a HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "blank in the target",          "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "no version",                   "GET /a\r\n" HOST "\r\n", 400 },
    { "HTTP/2.0",                     "GET /a HTTP/2.0\r\n" HOST "\r\n", 400 },
    { "HTTP/0.9",                     "GET /a HTTP/0.9\r\n" HOST "\r\n", 400 },
    { "HTTP/2 preface",               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 },
    { "lower-case protocol",          "GET /a http/1.1\r\n" HOST "\r\n", 400 },
    { "CONNECT",                      "CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "unknown method",               "FETCH /a HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "no HTTP",                      "rubbish\r\n\r\n", 400 },
    { "chunk size with blank",        "POST /echo HTTP/1.1\r\n" CHUNKED " 1\r\nx\r\n0\r\n\r\n", 400 },
    { "chunk size 0x1",               "POST /echo HTTP/1.1\r\n" CHUNKED "0x1\r\nx\r\n0\r\n\r\n", 400 },
    { "negative chunk size",          "POST /echo HTTP/1.1\r\n" CHUNKED "-1\r\nx\r\n0\r\n\r\n", 400 },
    { "no chunk size",                "POST /echo HTTP/1.1\r\n" CHUNKED "\r\nx\r\n0\r\n\r\n", 400 },
    { "huge chunk size",              "POST /echo HTTP/1.1\r\n" CHUNKED "fffffffffffffffff\r\nx\r\n0\r\n\r\n", 400 },
    { "chunk line ends in LF",        "POST /echo HTTP/1.1\r\n" CHUNKED "1\nx\r\n0\r\n\r\n", 400 },
    { "chunk ends in LF",             "POST /echo HTTP/1.1\r\n" CHUNKED "1\r\nx\n0\r\n\r\n", 400 },
    { "chunk longer than said",       "POST /echo HTTP/1.1\r\n" CHUNKED "1\r\nxy\r\n0\r\n\r\n", 400 },
    { "LF in chunk extension",        "POST /echo HTTP/1.1\r\n" CHUNKED "1;a\nx\r\n0\r\n\r\n", 400 },
    { "LF in chunk extension value",  "POST /echo HTTP/1.1\r\n" CHUNKED "1;a=b\nx\r\n0\r\n\r\n", 400 },
    { "LF in quoted extension value", "POST /echo HTTP/1.1\r\n" CHUNKED "1;a=\"b\n\"\r\nx\r\n0\r\n\r\n", 400 },
    { "CR in chunk extension",        "POST /echo HTTP/1.1\r\n" CHUNKED "1;a\rb\r\nx\r\n0\r\n\r\n", 400 },
    { "last chunk ends in LF",        "POST /echo HTTP/1.1\r\n" CHUNKED "0\n\r\n", 400 },
    { "body ends in LF",              "POST /echo HTTP/1.1\r\n" CHUNKED "0\r\n\n", 400 },
    { "trailer ends in LF",           "POST /echo HTTP/1.1\r\n" CHUNKED "0\r\nX: y\n\r\n", 400 },
    { "trailer with blank name",      "POST /echo HTTP/1.1\r\n" CHUNKED "0\r\nX : y\r\n\r\n", 400 },
    { "folded trailer",               "POST /echo HTTP/1.1\r\n" CHUNKED "0\r\nX: y\r\n z\r\n\r\n", 400 },
};
/* clang-format on */

Test(http_refusal, refuses_what_parsers_differ_about)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        CLEANUP(str_done) struct str answer = {};
        CLEANUP(free)
        char *request = xasprintf("%sGET /smuggled HTTP/1.1\r\n" HOST "\r\n", refused[i].request);
        int status = 0;

        converse(server, request, &answer);
        sscanf(str_text(&answer), "HTTP/1.1 %d", &status);
        cr_expect_eq(status, refused[i].status, "%s: %s", refused[i].what, str_text(&answer));
        cr_expect_eq(count_of(str_text(&answer), "HTTP/1.1 "), 1, "%s: %s", refused[i].what,
                     str_text(&answer));
        cr_expect(strstr(str_text(&answer), "Connection: close"), "%s", refused[i].what);
    }
}

Test(http_refusal, refuses_nul_in_a_header)
{
    static const char request[] = "GET /a HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n";
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(close) int fd = visit(server);

    send(fd, request, sizeof(request) - 1, 0);
    hear_all(fd, &answer);
    cr_expect(strstr(str_text(&answer), "HTTP/1.1 400 "));
}

/* Nothing in it ends a line: whoever waited for that would keep a client of TLS waiting. */
Test(http_refusal, refuses_another_protocol_at_once)
{
    static const char hello[] = { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01 };
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(close) int fd = visit(server);

    send(fd, hello, sizeof(hello), 0);
    hear(fd, "\r\n\r\n", &answer);
    cr_expect(strstr(str_text(&answer), "HTTP/1.1 400 "));
    close(TAKE_FD(fd)); /* ends the server's lingering */
}
