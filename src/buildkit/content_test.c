#include "buildkit/content.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

Test(content, a_block_has_an_offset_and_bytes)
{
    static const char message[] = "\x08\x80\x02\x12\x05hello";
    struct content_block block;

    cr_assert_eq(content_block_read(message, sizeof(message) - 1, &block, NULL), 0);
    cr_expect_eq(block.offset, 256);
    cr_assert_eq(block.size, 5u);
    cr_expect_eq(memcmp(block.bytes, "hello", 5), 0);
    cr_assert_eq(content_block_read("", 0, &block, NULL), 0);
    cr_expect(block.offset == 0 && block.size == 0);
}

Test(content, broken_blocks_are_refused)
{
    static const char negative[] = "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    struct content_block block;
    struct error err = {};

    cr_expect_eq(content_block_read(negative, sizeof(negative) - 1, &block, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect_eq(content_block_read("\x12\x05hell", 6, &block, &err), -1);
}
