/* Control/Session: a session within a call, its bytes in messages. Clients that share one session
 * between builds open it so. */
#include <sys/socket.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"

#include "base/banned.h"

#define BLOCK_SIZE ((size_t)32 << 10)

struct tunnel {
    struct grpc_call *call;
    int fd; /* our end of a socket pair; the session has the other one */
};

static void *from_session(void *data)
{
    struct tunnel *tunnel = data;
    uint8_t *block = xmalloc(BLOCK_SIZE);
    ssize_t size;

    while ((size = read(tunnel->fd, block, BLOCK_SIZE)) > 0) {
        CLEANUP(buf_done) struct buf message = {};

        protobuf_add_bytes(&message, 1, block, (size_t)size);
        if (grpc_send(tunnel->call, &message, NULL) < 0)
            break;
    }
    shutdown(tunnel->fd, SHUT_RDWR);
    free(block);
    return NULL;
}

static void *to_session(void *data)
{
    struct tunnel *tunnel = data;
    CLEANUP(buf_done) struct buf message = {};
    bool goes_on = true;

    while (goes_on && grpc_receive(tunnel->call, &message, NULL) > 0) {
        struct protobuf_reader reader = protobuf_read(buf_bytes(&message), message.size);
        struct protobuf_field field;

        while (goes_on && protobuf_next(&reader, &field, NULL) > 0)
            if (field.number == 1 && field.type == PROTOBUF_BYTES)
                goes_on = fd_write_all(tunnel->fd, field.bytes, field.size, NULL) == 0;
    }
    shutdown(tunnel->fd, SHUT_RDWR);
    return NULL;
}

static int run(struct buildkit *buildkit, struct grpc_call *call, struct tunnel *tunnel,
               int session_fd, struct error *err)
{
    CLEANUP(strv_done) struct strv methods = {};
    pthread_t threads[2];

    grpc_metadata_list(call, "x-docker-expose-session-grpc-method", &methods);
    if (thread_start("session-in", to_session, tunnel, &threads[0], err) < 0) {
        close(session_fd);
        return -1;
    }
    int result = thread_start("session-out", from_session, tunnel, &threads[1], err);
    bool has_both = result == 0;
    if (has_both)
        result = peers_run(&buildkit->sessions, http_connection_new(session_fd),
                           grpc_metadata(call, "x-docker-expose-session-uuid"),
                           grpc_metadata(call, "x-docker-expose-session-name"),
                           grpc_metadata(call, "x-docker-expose-session-sharedkey"), &methods,
                           grpc_cancel_fd(call), err);
    else
        close(session_fd);
    /* Whoever is still carrying bytes has nobody to carry them to. */
    shutdown(tunnel->fd, SHUT_RDWR);
    if (has_both)
        pthread_join(threads[1], NULL);
    grpc_set_cancel(call, tunnel->fd); /* readable from now on */
    pthread_join(threads[0], NULL);
    return result;
}

int control_session(struct grpc_call *call, void *buildkit, struct error *err)
{
    struct tunnel tunnel = { .call = call };
    int pair[2];

    if (text_is_empty(grpc_metadata(call, "x-docker-expose-session-uuid")))
        return error_set(err, ERROR_INVALID, "no session id in the call");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_sys(err, "make a socket pair");
    tunnel.fd = pair[0];
    int result = run(buildkit, call, &tunnel, pair[1], err);
    close(tunnel.fd);
    return result;
}
