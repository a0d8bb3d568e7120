/* What servers may answer: the input's first byte chooses the request, the rest is the answer. */
#include <stdint.h>
#include <sys/socket.h>

#include "base/str.h"
#include "http/client_state.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IS_HEAD = 1, IS_UPGRADE = 2, IS_STREAM = 4, TAKES = 8 };

static void use(struct http_response *response, uint8_t flags)
{
    CLEANUP(str_done) struct str body = {};
    char block[256];

    http_response_header(response, "Content-Type");
    http_response_has_pending(response);
    struct http_connection *connection = flags & TAKES ? http_response_take_connection(response)
                                                       : NULL;
    if (connection)
        while (http_connection_read(connection, block, sizeof(block), NULL) > 0)
            ;
    http_connection_close(connection);
    http_response_read_all(response, 64 * 1024, &body, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_client *client;
    struct http_response *response = NULL;
    int fds[2];

    if (size < 1 || size > 64 * 1024)
        return 0;
    if (!client)
        http_client_new("unix:///nowhere", NULL, &client, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    send(fds[1], data + 1, size - 1, MSG_NOSIGNAL);
    shutdown(fds[1], SHUT_WR);

    struct stream *body = data[0] & IS_STREAM ? stream_from_memory("some body", 9) : NULL;
    struct http_request request = { .method = data[0] & IS_HEAD ? "HEAD" : "POST",
                                    .target = "/",
                                    .body_stream = body,
                                    .upgrade = data[0] & IS_UPGRADE };
    if (response_receive(client, http_connection_new(fds[0]), &request, &response, NULL) == 0)
        use(response, data[0]);
    http_response_free(response);
    stream_close(body);
    close(fds[1]);
    return 0;
}
