/* Messages are structs: both ends are the same program. */
#include "runtime/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

int channel_send(int fd, enum channel_message_type type, int32_t number, const struct error *error,
                 int passed_fd, struct error *err)
{
    struct channel_message message = { .type = type, .number = number };
    struct iovec piece = { &message, sizeof(message) };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {};
    struct msghdr packet = { .msg_iov = &piece, .msg_iovlen = 1 };

    if (error)
        message.error = *error;
    else
        piece.iov_len = offsetof(struct channel_message, error);
    if (passed_fd >= 0) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                                           .cmsg_level = SOL_SOCKET,
                                           .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
    }
    while (sendmsg(fd, &packet, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return error_sys(err, "send to container");
    return 0;
}

int channel_receive(int fd, struct channel_message *out, int *out_fd, struct error *err)
{
    struct iovec piece = { out, sizeof(*out) };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr packet = { .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control) };
    CLEANUP(close) int passed_fd = -1;
    ssize_t size;

    memset(out, 0, sizeof(*out));
    while ((size = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC)) < 0)
        if (errno == ECONNRESET)
            return 0;
        else if (errno != EINTR)
            return error_sys(err, "receive from container");
    struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&passed_fd, CMSG_DATA(header), sizeof(int));
    if (size == 0)
        return 0;
    if ((size_t)size < offsetof(struct channel_message, error))
        return error_set(err, ERROR_INTERNAL, "receive from container: short message");
    out->error.text[sizeof(out->error.text) - 1] = 0;
    if (out_fd)
        *out_fd = TAKE_FD(passed_fd);
    return 1;
}
