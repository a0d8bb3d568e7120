/* Room for one descriptor, exactly: the kernel closes what does not fit. */
#include "base/descriptor.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/thread.h"

#include "base/banned.h"

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

ssize_t descriptor_send(int socket_fd, const void *data, size_t size, int fd, struct error *err)
{
    struct iovec piece = { (void *)data, size };
    union control control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS } };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = size > 0 };
    ssize_t count;

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    while ((count = sendmsg(socket_fd, &message, MSG_NOSIGNAL)) < 0)
        if (errno != EINTR)
            return error_sys(err, "send");
    return count;
}

ssize_t descriptor_receive(int socket_fd, void *data, size_t size, int *out_fd, struct error *err)
{
    struct iovec piece = { data, size };
    union control control;
    struct msghdr message = { .msg_iov = &piece,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = CMSG_LEN(sizeof(int)) };
    ssize_t count;

    *out_fd = -1;
    while ((count = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC)) < 0)
        if (errno != EINTR)
            return error_sys(err, "receive");
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(out_fd, CMSG_DATA(header), sizeof(*out_fd));
    return count;
}

static void *close_it(void *data)
{
    close((int)(intptr_t)data);
    return NULL;
}

void descriptor_discard(int fd)
{
    if (thread_start_detached("close", close_it, (void *)(intptr_t)fd, NULL) < 0)
        close(fd);
}

int descriptor_either(int a_fd, int b_fd, struct error *err)
{
    CLEANUP(close) int fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP };

    if (fd < 0 || (a_fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, a_fd, &event) < 0) ||
        (b_fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, b_fd, &event) < 0))
        return error_sys(err, "wait for two descriptors");
    return TAKE_FD(fd);
}
