#include "buildkit/packet.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "codec/protobuf.h"

static int read_again(const struct buf *message, struct packet *out, struct error *err)
{
    return packet_read(buf_bytes(message), message->size, out, err);
}

Test(packet, carries_what_stat_says)
{
    static const mode_t modes[] = { S_IFREG | 04755, S_IFDIR | 01777, S_IFLNK | 0777,
                                    S_IFIFO | 0600,  S_IFCHR | 0666,  S_IFBLK | 0660 };

    for (size_t i = 0; i < COUNT(modes); i++) {
        CLEANUP(buf_done) struct buf message = {};
        const struct packet_stat stat = { .path = (char[]){ "d/f" },
                                          .linkname = (char[]){ "" },
                                          .mode = modes[i],
                                          .uid = 7,
                                          .gid = 8,
                                          .size = 1 << 30,
                                          .mtime_ns = -1500000000 };
        struct packet packet;
        struct error err = {};

        packet_write_stat(&message, &stat);
        cr_assert_eq(read_again(&message, &packet, &err), 0, "%s", err.text);
        cr_expect_eq(packet.type, PACKET_STAT);
        cr_expect(packet.has_stat);
        cr_expect_str_eq(packet.stat.path, "d/f");
        cr_expect_eq(packet.stat.mode, modes[i], "%o became %o", modes[i], packet.stat.mode);
        cr_expect_eq(packet.stat.uid, 7);
        cr_expect_eq(packet.stat.size, 1 << 30);
        cr_expect_eq(packet.stat.mtime_ns, -1500000000);
        packet_stat_done(&packet.stat);
    }
}

Test(packet, ends_a_list_with_the_empty_message)
{
    CLEANUP(buf_done) struct buf message = {};
    struct packet packet;

    packet_write_stat(&message, NULL);
    cr_expect_eq(message.size, 0);
    cr_assert_eq(read_again(&message, &packet, NULL), 0);
    cr_expect_eq(packet.type, PACKET_STAT);
    cr_expect_not(packet.has_stat);
}

Test(packet, brings_content)
{
    CLEANUP(buf_done) struct buf message = {};
    struct packet packet;

    packet_write(&message, PACKET_DATA, 300, "abc", 3);
    cr_assert_eq(read_again(&message, &packet, NULL), 0);
    cr_expect_eq(packet.type, PACKET_DATA);
    cr_expect_eq(packet.id, 300);
    cr_expect_eq(packet.size, 3);
    cr_expect(memcmp(packet.data, "abc", 3) == 0);
}

static const char *const bad_paths[] = {
    "", "/etc/passwd", "..", "../x", "a/../b", "a/./b", "a//b", "a/", ".",
};

Test(packet, refuses_paths_that_lead_out)
{
    for (size_t i = 0; i < COUNT(bad_paths); i++) {
        CLEANUP(buf_done) struct buf message = {}, inside = {};
        struct packet packet;
        struct error err = {};

        protobuf_add_text(&inside, 1, bad_paths[i]);
        protobuf_add_number(&inside, 2, 0644);
        protobuf_add_message(&message, 2, &inside);
        cr_expect_lt(read_again(&message, &packet, &err), 0, "%s", bad_paths[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

/* A regular file that is another one once more: the other one must not be outside either. */
Test(packet, refuses_hard_links_that_lead_out)
{
    CLEANUP(buf_done) struct buf message = {};
    const struct packet_stat stat = { .path = (char[]){ "f" },
                                      .linkname = (char[]){ "../../etc/shadow" },
                                      .mode = S_IFREG | 0644 };
    struct packet packet;

    packet_write_stat(&message, &stat);
    cr_expect_lt(read_again(&message, &packet, NULL), 0);
}

Test(packet, refuses_unknown_kinds)
{
    CLEANUP(buf_done) struct buf message = {}, inside = {};
    struct packet packet;

    protobuf_add_text(&inside, 1, "x");
    protobuf_add_number(&inside, 2, UINT32_C(1) << 19 | 0644); /* "irregular" */
    protobuf_add_message(&message, 2, &inside);
    cr_expect_lt(read_again(&message, &packet, NULL), 0);
    buf_clear(&message);
    protobuf_add_number(&message, 1, 99);
    cr_expect_lt(read_again(&message, &packet, NULL), 0);
}
