/* Any bytes behind a client's first words: the server ends, whatever they are, with all calls. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "buildkit/grpc.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0";

static int echo(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    int found;

    while ((found = grpc_receive(call, &message, err)) > 0)
        if (grpc_send(call, &message, err) < 0)
            return -1;
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct grpc_method methods[] = { { "/a.B/Echo", echo }, {} };
    int fds[2];

    if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    if (send(fds[0], preface, sizeof(preface), MSG_DONTWAIT) > 0 &&
        send(fds[0], data, size, MSG_DONTWAIT) >= 0)
        shutdown(fds[0], SHUT_WR);
    grpc_serve(http_connection_new(fds[1]), methods, NULL, -1, NULL);
    close(fds[0]);
    return 0;
}
