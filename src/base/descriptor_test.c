#include "base/descriptor.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macros.h"

static int near_fd, far_fd;
static struct error err;

static void set_up(void)
{
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    near_fd = pair[0];
    far_fd = pair[1];
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    cr_assert(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

TestSuite(descriptor, .init = set_up);

Test(descriptor, arrives_with_its_bytes)
{
    CLEANUP(close) int sent_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CLEANUP(close) int got_fd = -1;
    struct stat sent, got;
    char bytes[8] = {};

    cr_assert_eq(descriptor_send(near_fd, "ab", 2, sent_fd, &err), 2, "%s", err.text);
    cr_assert_eq(descriptor_receive(far_fd, bytes, sizeof(bytes), &got_fd, &err), 2);
    cr_expect_str_eq(bytes, "ab");
    cr_assert_geq(got_fd, 0);
    cr_assert(fstat(sent_fd, &sent) == 0 && fstat(got_fd, &got) == 0);
    cr_expect_eq(sent.st_rdev, got.st_rdev);
    cr_expect(fcntl(got_fd, F_GETFD) & FD_CLOEXEC);
}

Test(descriptor, need_not_be_there)
{
    int got_fd = 7;
    char bytes[8];

    cr_assert_eq(descriptor_send(near_fd, "a", 1, -1, &err), 1);
    cr_assert_eq(descriptor_receive(far_fd, bytes, sizeof(bytes), &got_fd, &err), 1);
    cr_expect_eq(got_fd, -1);
    close(near_fd);
    cr_expect_eq(descriptor_receive(far_fd, bytes, sizeof(bytes), &got_fd, &err), 0);
    cr_expect_eq(got_fd, -1);
}

/* Somebody may send more than was asked for, to fill the table of the other one. */
Test(descriptor, is_one_and_no_more)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } control = { .header = { .cmsg_len = CMSG_LEN(8 * sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS } };
    struct iovec piece = { (char[]){ "x" }, 1 };
    struct msghdr message = { .msg_iov = &piece,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    int before = count_descriptors(), got_fd;
    char byte;

    for (int i = 0; i < 8; i++)
        memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof(int), &near_fd, sizeof(int));
    cr_assert_eq(sendmsg(near_fd, &message, 0), 1);
    cr_assert_eq(descriptor_receive(far_fd, &byte, 1, &got_fd, &err), 1);
    cr_assert_geq(got_fd, 0);
    cr_expect_eq(count_descriptors(), before + 1);
}

Test(descriptor, stands_for_either_of_two)
{
    CLEANUP(close) int either_fd = descriptor_either(near_fd, far_fd, &err);
    CLEANUP(close) int one_fd = descriptor_either(near_fd, -1, &err);

    cr_assert(either_fd >= 0 && one_fd >= 0, "%s", err.text);
    cr_expect(!fd_is_readable(either_fd) && !fd_is_readable(one_fd));
    cr_assert_eq(descriptor_send(near_fd, "a", 1, -1, &err), 1);
    cr_expect(fd_is_readable(either_fd) && !fd_is_readable(one_fd));
    shutdown(far_fd, SHUT_WR);
    cr_expect(fd_is_readable(one_fd));
}
