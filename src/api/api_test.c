/* Requests over a socket pair, up to where an engine would be needed. */
#include "api/api.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

/* Sends a request that ends its connection, and gives the whole answer. */
static char *ask(const char *request)
{
    CLEANUP(api_free) struct api *api = api_new(NULL);
    struct http_server *server = http_server_new(NULL, api_handle, api);
    struct str answer = {};
    struct error err = {};
    char block[4096];
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(http_server_adopt(server, pair[0], &err), 0, "%s", err.text);
    cr_assert_eq(write(pair[1], request, strlen(request)), (ssize_t)strlen(request));
    for (ssize_t size; (size = read(pair[1], block, sizeof(block))) > 0;)
        str_add_bytes(&answer, block, (size_t)size);
    close(pair[1]);
    http_server_stop(server, 1000);
    return str_take(&answer);
}

#define HOST  " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
#define JSON_ "Content-Type: application/json\r\n"

static const struct {
    const char *request;
    const char *status, *body; /* first line, and all behind the headers */
} dialogues[] = {
    { "GET /_ping" HOST "\r\n", "HTTP/1.1 200 OK", "OK" },
    { "HEAD /_ping" HOST "\r\n", "HTTP/1.1 200 OK", "" },
    { "GET /v1.51/_ping" HOST "\r\n", "HTTP/1.1 200 OK", "OK" },
    { "POST /_ping" HOST "\r\n", "HTTP/1.1 404 Not Found", "{\"message\":\"page not found\"}\n" },
    { "GET /nope" HOST "\r\n", "HTTP/1.1 404 Not Found", "{\"message\":\"page not found\"}\n" },
    { "GET /v1.99/nope" HOST "\r\n", "HTTP/1.1 404 Not Found",
      "{\"message\":\"page not found\"}\n" },
    { "OPTIONS /nope" HOST "\r\n", "HTTP/1.1 200 OK", "" },
    { "GET /v1.52/_ping" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"client version 1.52 is too new. Maximum supported API version is 1.51\"}\n" },
    { "GET /v9/_ping" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"client version 9 is too new. Maximum supported API version is 1.51\"}\n" },
    { "GET /v1.23/_ping" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your "
      "client to a newer version\n" },
    { "GET /v1.51/nodes" HOST "\r\n", "HTTP/1.1 503 Service Unavailable",
      "{\"message\":\"This node is not a swarm manager. Use \\\"docker swarm init\\\" or "
      "\\\"docker swarm join\\\" to connect this node to swarm and try again.\"}\n" },
    { "GET /plugins/privileges" HOST "\r\n", "HTTP/1.1 501 Not Implemented",
      "{\"message\":\"GET /plugins/privileges is not supported by berth yet\"}\n" },
    { "POST /containers/create" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid JSON: got EOF while reading request body\"}\n" },
    { "POST /containers/create" HOST JSON_ "Content-Length: 1\r\n\r\n{", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid JSON: unexpected EOF\"}\n" },
    { "POST /containers/create" HOST JSON_ "Content-Length: 2\r\n\r\n{}",
      "HTTP/1.1 400 Bad Request",
      "{\"message\":\"config cannot be empty in order to create a container\"}\n" },
    { "POST /containers/create" HOST JSON_ "Content-Length: 4\r\n\r\n{} x",
      "HTTP/1.1 400 Bad Request", "{\"message\":\"unexpected content after JSON\"}\n" },
    { "POST /containers/create" HOST JSON_ "Content-Length: 2\r\n\r\n[]",
      "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid JSON: json: cannot unmarshal array into Go value of type "
      "container.CreateRequest\"}\n" },
    { "POST /containers/create" HOST JSON_ "Content-Length: 11\r\n\r\n{\"Image\":5}",
      "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid JSON: json: cannot unmarshal number into Go struct field .Image of "
      "type string\"}\n" },
    { "POST /containers/create" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 400 Bad Request",
      "{\"message\":\"unsupported Content-Type header (text/plain): must be "
      "'application/json'\"}\n" },
    { "POST /containers/create" HOST "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"malformed Content-Type header (): mime: no media type\"}\n" },
    { "POST /containers/c/wait?condition=foo" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid condition: \\\"foo\\\"\"}\n" },
    { "POST /containers/c/resize?w=1" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid resize height \\\"\\\": invalid syntax\"}\n" },
    { "POST /containers/c/resize?h=-1&w=1" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid resize height \\\"-1\\\": value out of range\"}\n" },
    { "POST /containers/c/stop?t=x" HOST "\r\n", "HTTP/1.1 500 Internal Server Error",
      "{\"message\":\"strconv.Atoi: parsing \\\"x\\\": invalid syntax\"}\n" },
    { "GET /containers/c/logs" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"Bad parameters: you must choose at least one stream\"}\n" },
    { "GET /containers/c/logs?stdout=0&stderr=no" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"Bad parameters: you must choose at least one stream\"}\n" },
    { "GET /containers/c/logs?stdout=1&since=x" HOST "\r\n", "HTTP/1.1 500 Internal Server Error",
      "{\"message\":\"strconv.ParseInt: parsing \\\"x\\\": invalid syntax\"}\n" },
    { "GET /events?since=5&until=1" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"`since` time (5) cannot be after `until` time (1)\"}\n" },
    { "GET /volumes?filters=%7B%22foo%22%3A%5B%22a%22%5D%7D" HOST "\r\n",
      "HTTP/1.1 400 Bad Request", "{\"message\":\"invalid filter 'foo'\"}\n" },
    { "GET /networks?filters=%7B%22dangling%22%3A%5B%22x%22%5D%7D" HOST "\r\n",
      "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid value for filter 'dangling', must be \\\"true\\\" (or \\\"1\\\"), or "
      "\\\"false\\\" (or \\\"0\\\")\"}\n" },
    { "POST /networks/create" HOST JSON_
      "Content-Length: 46\r\n\r\n{\"Name\":\"x\",\"ConfigOnly\":true,\"Scope\":\"local\"}",
      "HTTP/1.1 403 Forbidden",
      "{\"message\":\"configuration network can only contain network specific fields. Network "
      "operator "
      "fields like [ ingress | internal | attachable | scope ] are not supported.\"}\n" },
    { "POST /containers/c/exec" HOST JSON_ "Content-Length: 2\r\n\r\n{}",
      "HTTP/1.1 400 Bad Request", "{\"message\":\"No exec command specified\"}\n" },
    { "POST /build?version=9" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid version \\\"9\\\"\"}\n" },
    { "POST /build?buildargs=x" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"error reading build args: invalid character 'x' looking for beginning of "
      "value\"}\n" },
    { "POST /images/create?fromImage=Bad" HOST "\r\n", "HTTP/1.1 400 Bad Request",
      "{\"message\":\"invalid reference format: repository name (library/Bad) must be "
      "lowercase\"}\n" },
    { "POST /images/create?fromImage=scratch&tag=latest" HOST "\r\n", "HTTP/1.1 403 Forbidden",
      "{\"message\":\"'scratch' is a reserved name\"}\n" },
    { "GET //containers//json?all=1" HOST "\r\n", "HTTP/1.1 301 Moved Permanently", NULL },
};

Test(api, answers_as_recorded)
{
    for (size_t i = 0; i < COUNT(dialogues); i++) {
        CLEANUP(free) char *answer = ask(dialogues[i].request);
        const char *end = strstr(answer, "\r\n\r\n");
        size_t line = strcspn(answer, "\r");

        cr_assert(end, "%s: %s", dialogues[i].request, answer);
        cr_expect(line == strlen(dialogues[i].status) &&
                      strncmp(answer, dialogues[i].status, line) == 0,
                  "%s: %.*s", dialogues[i].request, (int)line, answer);
        if (dialogues[i].body)
            cr_expect_str_eq(end + 4, dialogues[i].body, "%s", dialogues[i].request);
    }
}

static const struct {
    const char *request, *header; /* "!Name" must not be there */
} headers[] = {
    { "GET /_ping" HOST "\r\n", "\r\nApi-Version: 1.51\r\n" },
    { "GET /_ping" HOST "\r\n", "\r\nOstype: linux\r\n" },
    { "GET /_ping" HOST "\r\n", "\r\nDocker-Experimental: false\r\n" },
    { "GET /_ping" HOST "\r\n", "\r\nBuilder-Version: 2\r\n" },
    { "GET /_ping" HOST "\r\n", "\r\nSwarm: inactive\r\n" },
    { "HEAD /_ping" HOST "\r\n", "\r\nContent-Length: 0\r\n" },
    { "HEAD /_ping" HOST "\r\n", "\r\nContent-Type: text/plain; charset=utf-8\r\n" },
    { "GET /nope" HOST "\r\n", "!Api-Version" },
    { "GET /v1.99/info" HOST "\r\n", "\r\nApi-Version: 1.51\r\n" },
    { "GET /v1.99/info" HOST "\r\n", "!Docker-Experimental" },
    { "GET /v1.5/info" HOST "\r\n", "\r\nX-Content-Type-Options: nosniff\r\n" },
    { "GET //containers//json?all=1" HOST "\r\n", "\r\nLocation: /containers/json?all=1\r\n" },
    { "GET /v1.51/containers/%2Fweb/json" HOST "\r\n",
      "\r\nLocation: /v1.51/containers/web/json\r\n" },
    { "GET /plugins" HOST "\r\n", "\r\nContent-Type: application/json\r\n" },
};

Test(api, sends_the_common_headers)
{
    for (size_t i = 0; i < COUNT(headers); i++) {
        CLEANUP(free) char *answer = ask(headers[i].request);
        const char *header = headers[i].header;

        if (header[0] == '!')
            cr_expect_null(strstr(answer, header + 1), "%s: %s", headers[i].request, answer);
        else
            cr_expect(strstr(answer, header), "%s lacks %s: %s", headers[i].request, header,
                      answer);
    }
}
