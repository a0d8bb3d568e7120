/* A server over a socketpair, and a client of bare bytes: what the unit tests of http/ share. */
#ifndef BERTH_HTTP_TEST_SUPPORT_H
#define BERTH_HTTP_TEST_SUPPORT_H

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/str.h"
#include "http/server.h"

#define HOST    "Host: docker\r\n"
#define CHUNKED HOST "Transfer-Encoding: chunked\r\n\r\n"

/* Long enough never to matter, short enough to end a test that hangs. */
static UNUSED void give_up_eventually(int fd)
{
    struct timeval limit = { .tv_sec = 20 };

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* The client's end of a new connection to 'server'. */
static UNUSED int visit(struct http_server *server)
{
    struct error err = {};
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(http_server_adopt(server, fds[1], &err), 0, "%s", err.text);
    give_up_eventually(fds[0]);
    return fds[0];
}

static UNUSED void say(int fd, const char *text)
{
    size_t length = strlen(text);

    cr_assert_eq(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Everything until the server closes. */
static UNUSED void hear_all(int fd, struct str *out)
{
    char block[4096];
    ssize_t count;

    while ((count = recv(fd, block, sizeof(block), 0)) > 0)
        str_add_bytes(out, block, (size_t)count);
    cr_assert_eq(count, 0, "the server neither answers nor closes");
}

/* Until 'text' has been heard (again if it was heard before). */
static UNUSED void hear(int fd, const char *text, struct str *out)
{
    size_t start = out->length;
    char c;

    while (!out->data || !strstr(out->data + start, text)) {
        cr_assert_eq(recv(fd, &c, 1, 0), 1, "waited for \"%s\", got \"%s\"", text,
                     str_text(out) + start);
        str_add_char(out, c);
    }
}

/* Sends 'request', ends the sending direction, and gives all that is answered. */
static UNUSED void converse(struct http_server *server, const char *request, struct str *out)
{
    CLEANUP(close) int fd = visit(server);

    say(fd, request);
    shutdown(fd, SHUT_WR);
    hear_all(fd, out);
}

static UNUSED size_t count_of(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *next = text; (next = strstr(next, part)); next += strlen(part))
        count++;
    return count;
}

#endif
