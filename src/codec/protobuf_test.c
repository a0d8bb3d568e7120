#include "codec/protobuf.h"

#include <criterion/criterion.h>
#include <string.h>

Test(protobuf, writes_what_the_format_says)
{
    CLEANUP(buf_done) struct buf out = {}, inside = {};
    static const uint8_t wanted[] = { 0x08, 0x96, 0x01,               /* 1: 150 */
                                      0x12, 0x02, 'h',  'i',          /* 2: "hi" */
                                      0x1a, 0x03, 0x08, 0xac, 0x02 }; /* 3: { 1: 300 } */

    protobuf_add_number(&out, 1, 150);
    protobuf_add_number(&out, 9, 0);
    protobuf_add_text(&out, 2, "hi");
    protobuf_add_text(&out, 8, NULL);
    protobuf_add_number(&inside, 1, 300);
    protobuf_add_message(&out, 3, &inside);
    cr_assert_eq(out.size, sizeof(wanted));
    cr_expect_arr_eq(buf_bytes(&out), wanted, sizeof(wanted));
    cr_expect_eq(inside.size, 0);
}

Test(protobuf, reads_every_kind_of_field)
{
    static const uint8_t bytes[] = { 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0x01, 0x11, 1,    0,    0,    0,    0,    0,    0,    0x80,
                                     0x1d, 2,    0,    0,    0,    0x22, 0x01, 'x' };
    struct protobuf_reader reader = protobuf_read(bytes, sizeof(bytes));
    struct protobuf_field field;

    cr_assert_eq(protobuf_next(&reader, &field, NULL), 1);
    cr_expect_eq(field.value, UINT64_MAX);
    cr_assert_eq(protobuf_next(&reader, &field, NULL), 1);
    cr_expect_eq(field.value, UINT64_C(0x8000000000000001));
    cr_assert_eq(protobuf_next(&reader, &field, NULL), 1);
    cr_expect_eq(field.value, 2);
    cr_expect_eq(field.type, PROTOBUF_FIXED32);
    cr_assert_eq(protobuf_next(&reader, &field, NULL), 1);
    CLEANUP(free) char *text = protobuf_text(&field);
    cr_expect_str_eq(text, "x");
    cr_expect_eq(protobuf_next(&reader, &field, NULL), 0);
}

Test(protobuf, keeps_entries_of_maps)
{
    CLEANUP(buf_done) struct buf out = {};
    CLEANUP(map_done) struct map map = {};
    struct protobuf_field field;
    struct error err = {};

    map_init_empty(&map, free);
    protobuf_add_entry(&out, 7, "a", "1");
    protobuf_add_entry(&out, 7, "b", "");
    protobuf_add_entry(&out, 7, "c", "3");
    struct protobuf_reader reader = protobuf_read(buf_bytes(&out), out.size);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(protobuf_next(&reader, &field, &err), 1);
        cr_assert_eq(protobuf_map_entry(&field, &map, 2, &err), 0, "%s", err.text);
    }
    cr_expect_str_eq(map_get(&map, "a"), "1");
    cr_expect_str_eq(map_get(&map, "b"), "");
    cr_assert_eq(protobuf_next(&reader, &field, &err), 1);
    cr_expect_lt(protobuf_map_entry(&field, &map, 2, &err), 0, "a third entry has no room");
}

static const struct {
    const char *bytes;
    size_t size;
} broken[] = {
    { "\x08", 1 },                                              /* no value */
    { "\x08\x80", 2 },                                          /* cut in a number */
    { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, /* more than 64 bits */
    { "\x12\x05hi", 4 },                                        /* longer than the rest */
    { "\x00\x01", 2 },                                          /* field 0 */
    { "\x0b\x0c", 2 },                                          /* a group */
    { "\x0d\x01\x02", 3 },                                      /* cut in a fixed number */
};

Test(protobuf, refuses_what_is_broken)
{
    for (size_t i = 0; i < COUNT(broken); i++) {
        struct protobuf_reader reader = protobuf_read(broken[i].bytes, broken[i].size);
        struct protobuf_field field;
        struct error err = {};

        cr_expect_lt(protobuf_next(&reader, &field, &err), 0, "case %zu", i);
        cr_expect_eq(err.kind, ERROR_INVALID, "case %zu", i);
    }
}
