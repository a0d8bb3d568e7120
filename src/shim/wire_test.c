#include "shim/wire.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/memory.h"

#include "base/banned.h"

static void send_over_pair(const struct wire_message *message, struct wire_message *out)
{
    int pair[2];
    struct error err = {};

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(wire_send(pair[0], message, &err), 0, "%s", err.text);
    cr_assert_eq(wire_receive(pair[1], out, &err), 1, "%s", err.text);
    close(pair[0]);
    close(pair[1]);
}

Test(wire, carries_every_kind_of_field)
{
    CLEANUP(wire_done) struct wire_message sent = {}, got = {};
    size_t size = 0;

    wire_init(&sent, WIRE_ATTACH, 77);
    wire_put_int(&sent, WIRE_FIELD_HEIGHT, INT64_MIN);
    wire_put_text(&sent, WIRE_FIELD_EXEC_ID, "e1");
    wire_put_text(&sent, WIRE_FIELD_INIT_PATH, NULL);
    wire_put_bytes(&sent, WIRE_FIELD_DETACH_KEYS, "\x10\x00\x11", 3);
    send_over_pair(&sent, &got);

    cr_expect_eq(got.type, WIRE_ATTACH);
    cr_expect_eq(got.number, 77);
    cr_expect_eq(wire_get_int(&got, WIRE_FIELD_HEIGHT, 5), INT64_MIN);
    cr_expect_eq(wire_get_int(&got, WIRE_FIELD_WIDTH, 5), 5);
    cr_expect_str_eq(wire_get_text(&got, WIRE_FIELD_EXEC_ID), "e1");
    cr_expect_null(wire_get_text(&got, WIRE_FIELD_INIT_PATH));
    cr_expect_null(wire_get_text(&got, WIRE_FIELD_DETACH_KEYS), "bytes are no text");
    cr_expect(wire_get_bytes(&got, WIRE_FIELD_DETACH_KEYS, &size));
    cr_expect_eq(size, 3);
}

Test(wire, passes_descriptors_that_are_closed_unless_taken)
{
    CLEANUP(wire_done) struct wire_message sent = {};
    struct wire_message got = {};
    struct stat before, after;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), left;

    wire_init(&sent, WIRE_CREATE, 1);
    wire_put_fd(&sent, WIRE_FIELD_ROOTFS_FD, fd);
    wire_put_fd(&sent, WIRE_FIELD_NETWORK_FD, -1);
    wire_put_fd(&sent, WIRE_FIELD_SECCOMP_FD, fd);
    send_over_pair(&sent, &got);

    CLEANUP(close) int taken = wire_take_fd(&got, WIRE_FIELD_SECCOMP_FD);
    cr_assert_geq(taken, 0);
    cr_expect_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
    cr_expect_eq(wire_take_fd(&got, WIRE_FIELD_SECCOMP_FD), -1, "taken once only");
    cr_expect_eq(wire_take_fd(&got, WIRE_FIELD_NETWORK_FD), -1);
    left = got.fds[0];
    wire_done(&got);
    cr_expect_eq(fcntl(left, F_GETFD), -1, "closed with the message");
    cr_expect_eq(fstat(fd, &before), 0, "the sender keeps his");
    cr_expect_eq(fstat(taken, &after), 0);
    cr_expect_eq(before.st_rdev, after.st_rdev);
    close(fd);
}

static const size_t blob_sizes[] = { 0, 1, WIRE_INLINE_LIMIT, WIRE_INLINE_LIMIT + 1, 1000000 };

Test(wire, carries_blobs_of_any_size)
{
    for (size_t i = 0; i < COUNT(blob_sizes); i++) {
        CLEANUP(wire_done) struct wire_message sent = {}, got = {};
        CLEANUP(buf_done) struct buf blob = {};
        CLEANUP(free) char *bytes = xmalloc(blob_sizes[i] + 1);
        struct error err = {};

        memset(bytes, 'b', blob_sizes[i]);
        wire_init(&sent, WIRE_EXEC, 1);
        cr_assert_eq(wire_put_blob(&sent, WIRE_FIELD_PROCESS, bytes, blob_sizes[i], &err), 0);
        cr_assert_eq(wire_put_blob(&sent, WIRE_FIELD_PENDING, "tail", 4, &err), 0);
        send_over_pair(&sent, &got);
        cr_assert_eq(wire_get_blob(&got, WIRE_FIELD_PROCESS, &blob, &err), 0, "%s", err.text);
        cr_assert_eq(blob.size, blob_sizes[i]);
        cr_expect(blob.size == 0 || memcmp(buf_bytes(&blob), bytes, blob.size) == 0);
        buf_clear(&blob);
        cr_assert_eq(wire_get_blob(&got, WIRE_FIELD_PENDING, &blob, &err), 0, "%s", err.text);
        cr_expect_eq(blob.size, 4);
    }
}

Test(wire, refuses_a_blob_beyond_the_limit)
{
    CLEANUP(wire_done) struct wire_message sent = {};
    CLEANUP(free) char *bytes = xcalloc(1, WIRE_BLOB_LIMIT + 1);
    struct error err = {};

    wire_init(&sent, WIRE_EXEC, 1);
    cr_expect_eq(wire_put_blob(&sent, WIRE_FIELD_PROCESS, bytes, WIRE_BLOB_LIMIT + 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}

Test(wire, gives_errors_back_as_they_were)
{
    CLEANUP(wire_done) struct wire_message sent = {}, got = {};
    struct error told = {}, heard = {};

    error_set(&told, ERROR_NOT_FOUND, "exec: \"x\": executable file not found in $PATH");
    told.sys = ENOENT;
    wire_init(&sent, WIRE_REPLY, 9);
    wire_put_error(&sent, &told);
    send_over_pair(&sent, &got);
    cr_expect_eq(wire_get_error(&got, &heard), -1);
    cr_expect_eq(heard.kind, ERROR_NOT_FOUND);
    cr_expect_eq(heard.sys, ENOENT);
    cr_expect_str_eq(heard.text, told.text);
}

Test(wire, ignores_fields_of_a_newer_peer)
{
    CLEANUP(wire_done) struct wire_message sent = {}, got = {};

    wire_init(&sent, (enum wire_type)999, 3);
    wire_put_bytes(&sent, (enum wire_field)60000, "whatever", 8);
    wire_put_int(&sent, WIRE_FIELD_PID, 12);
    send_over_pair(&sent, &got);
    cr_expect_eq(got.type, 999);
    cr_expect_str_eq(wire_type_name(got.type), "?");
    cr_expect_eq(wire_get_int(&got, WIRE_FIELD_PID, 0), 12);
    cr_expect_eq(wire_get_error(&got, NULL), 0);
}

/* clang-format off */
static const struct { const char *bytes; size_t size; bool accepted; } raw[] = {
    { "",                                                                       0,  false },
    { "\x01\0\0\0\x01\0\0",                                                     7,  false },
    { "\x01\0\0\0\x01\0\0\0",                                                   8,  true  },
    { "\x01\0\0\0\x01\0\0\0" "\x01\0\0\0\x01\0\0",                              15, false },
    { "\x01\0\0\0\x01\0\0\0" "\x01\0\0\0\x01\0\0\0",                            16, false },
    { "\x01\0\0\0\x01\0\0\0" "\x01\0\0\0\x01\0\0\0x",                           17, true  },
    { "\x01\0\0\0\x01\0\0\0" "\x01\0\0\0\xff\xff\xff\xffx",                     17, false },
    { "\x01\0\0\0\x01\0\0\0" "\x01\0\0\0\0\0\0\0" "\x02\0\0\0\x01\0\0\0",       24, false },
};
/* clang-format on */

Test(wire, refuses_malformed_bytes)
{
    for (size_t i = 0; i < COUNT(raw); i++) {
        CLEANUP(wire_done) struct wire_message message = {};
        struct error err = {};
        int result = wire_decode(raw[i].bytes, raw[i].size, &message, &err);

        cr_expect_eq(result == 0, raw[i].accepted, "row %zu: %s", i, err.text);
        if (result < 0)
            cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

Test(wire, tells_nothing_there_from_the_end)
{
    CLEANUP(wire_done) struct wire_message message = {};
    struct error err = {};
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    cr_expect_eq(wire_receive(pair[1], &message, &err), -1);
    cr_expect_eq(err.sys, EAGAIN);
    close(pair[0]);
    cr_expect_eq(wire_receive(pair[1], &message, &err), 0);
    close(pair[1]);
}

Test(wire, gives_what_a_peer_sent_before_it_closed_unread)
{
    CLEANUP(wire_done) struct wire_message ours = {}, theirs = {}, got = {};
    struct error err = {};
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    wire_init(&ours, WIRE_STATUS, 1);
    wire_init(&theirs, WIRE_REPLACED, 0);
    cr_assert_eq(wire_send(pair[0], &ours, &err), 0);
    cr_assert_eq(wire_send(pair[1], &theirs, &err), 0);
    close(pair[1]); /* with our message unread: the connection is reset */
    cr_assert_eq(wire_receive(pair[0], &got, &err), 1, "%s", err.text);
    cr_expect_eq(got.type, WIRE_REPLACED);
    cr_expect_eq(wire_receive(pair[0], &got, &err), 0);
    close(pair[0]);
}
