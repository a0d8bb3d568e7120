#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stream.h"
#include "base/thread.h"

#include "base/banned.h"

enum { START = 3, SIZE = 700 * 1000 };

static int make_source(char **out_bytes)
{
    int fd = memfd_create("source", MFD_CLOEXEC);
    char *bytes = xmalloc(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 + i / 1000);
    cr_assert_eq(fd_write_all(fd, bytes, SIZE, NULL), 0);
    cr_assert_eq(lseek(fd, START, SEEK_SET), START);
    *out_bytes = bytes;
    return fd;
}

/* Empties a pipe into memory. */
struct drain {
    int fd;
    char bytes[SIZE];
    ssize_t size;
};

static void *drain(void *data)
{
    struct drain *drain = data;

    drain->size = fd_read_full(drain->fd, drain->bytes, SIZE, NULL);
    return NULL;
}

Test(stream, a_pipe_gets_a_file)
{
    CLEANUP(free) char *bytes = NULL;
    CLEANUP(close) int source_fd = make_source(&bytes);
    CLEANUP(free) struct drain *drained = NEW(struct drain);
    pthread_t thread;
    int fds[2];
    struct error err = {};

    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    drained->fd = fds[0];
    cr_assert_eq(thread_start("drain", drain, drained, &thread, NULL), 0);
    struct stream *pipe = stream_from_fd(fds[1], 1);
    cr_expect_eq(stream_write_file(pipe, source_fd, SIZE - START, &err), 0, "%s", err.text);
    cr_expect_eq(lseek(source_fd, 0, SEEK_CUR), SIZE, "the offset moves");
    cr_expect_eq(stream_write_file(pipe, source_fd, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    stream_close(pipe);
    pthread_join(thread, NULL);
    close(fds[0]);
    cr_assert_eq(drained->size, SIZE - START);
    cr_expect_eq(memcmp(drained->bytes, bytes + START, SIZE - START), 0);
}

Test(stream, another_file_gets_a_file)
{
    CLEANUP(free) char *bytes = NULL, *copied = xmalloc(SIZE);
    CLEANUP(close) int source_fd = make_source(&bytes);
    CLEANUP(close) int target_fd = memfd_create("target", MFD_CLOEXEC);
    CLEANUP(stream_close) struct stream *target = stream_from_fd(target_fd, 0);
    struct error err = {};

    cr_expect_eq(stream_write_file(target, source_fd, SIZE - START, &err), 0, "%s", err.text);
    cr_expect_eq(stream_write_file(target, source_fd, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    cr_assert_eq(pread(target_fd, copied, SIZE, 0), SIZE - START);
    cr_expect_eq(memcmp(copied, bytes + START, SIZE - START), 0);
}

Test(stream, a_reader_that_is_gone_is_an_error)
{
    CLEANUP(free) char *bytes = NULL;
    CLEANUP(close) int source_fd = make_source(&bytes);
    int fds[2];
    struct error err = {};

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    CLEANUP(stream_close) struct stream *pipe = stream_from_fd(fds[1], 1);
    cr_expect_eq(stream_write_file(pipe, source_fd, SIZE - START, &err), -1);
    cr_expect_eq(err.sys, EPIPE, "%s", err.text);
}
