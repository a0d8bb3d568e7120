#include "base/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    const char *text;
    int64_t bytes; /* -1: refused */
} sizes[] = {
    { "7", 7 },
    { "512b", 512 },
    { "1k", 1024 },
    { "1K", 1024 },
    { "1kb", 1024 },
    { "1KiB", 1024 },
    { "64m", 64 << 20 },
    { "1.5g", INT64_C(1610612736) },
    { "10GiB", INT64_C(10737418240) },
    { "10 GiB", INT64_C(10737418240) },
    { "1t", INT64_C(1) << 40 },
    { "1p", INT64_C(1) << 50 },
    { "0", 0 },
    { "", -1 },
    { "-1", -1 },
    { "k", -1 },
    { "1x", -1 },
    { "1ki", -1 },
    { "1bb", -1 },
    { "1mbx", -1 },
    { "0x10", -1 },
    { "1  k", -1 },
    { "9999999999g", -1 },
    { "1.5.5", -1 },
};

Test(text, reads_sizes)
{
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct error err = {};
        int64_t bytes = -1;
        int result = parse_size(sizes[i].text, &bytes, &err);

        cr_expect_eq(result, sizes[i].bytes < 0 ? -1 : 0, "%s: %s", sizes[i].text, err.text);
        cr_expect_eq(bytes, sizes[i].bytes, "%s: %lld", sizes[i].text, (long long)bytes);
    }
}

static const struct {
    int64_t bytes;
    const char *decimal, *binary;
} readable[] = {
    { 0, "0B", "0B" },
    { 532, "532B", "532B" },
    { 999, "999B", "999B" },
    { 1000, "1kB", "1000B" },
    { 1024, "1.02kB", "1KiB" },
    { 1980000, "1.98MB", "1.888MiB" },
    { 12345678901, "12.3GB", "11.5GiB" },
    { INT64_MAX, "9.22EB", "8EiB" },
};

Test(text, writes_sizes)
{
    for (size_t i = 0; i < COUNT(readable); i++) {
        CLEANUP(free) char *decimal = text_human_size(readable[i].bytes);
        CLEANUP(free) char *binary = text_human_size_binary(readable[i].bytes);

        cr_expect_str_eq(decimal, readable[i].decimal);
        cr_expect_str_eq(binary, readable[i].binary);
    }
}

static const struct {
    const char *text;
    int64_t low, high, value;
    bool is_valid;
} numbers[] = {
    { "0", 0, 10, 0, true },
    { "-5", -10, 0, -5, true },
    { "+5", 0, 10, 5, true },
    { "11", 0, 10, 0, false },
    { "", 0, 10, 0, false },
    { " 1", 0, 10, 0, false },
    { "1 ", 0, 10, 0, false },
    { "-", -10, 10, 0, false },
    { "0x1", 0, 10, 0, false },
    { "1.0", 0, 10, 0, false },
    { NULL, 0, 10, 0, false },
    { "9223372036854775807", 0, INT64_MAX, INT64_MAX, true },
    { "9223372036854775808", 0, INT64_MAX, 0, false },
};

Test(text, reads_whole_numbers_only)
{
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct error err = {};
        int64_t value = 0;

        cr_expect_eq(parse_int64(numbers[i].text, numbers[i].low, numbers[i].high, &value, &err),
                     numbers[i].is_valid ? 0 : -1, "%zu", i);
        cr_expect_eq(value, numbers[i].value);
    }
}

Test(text, knows_on_from_off)
{
    static const char *const on[] = { "1", "true", "yes", "x", " 1 ", "False?" };
    static const char *const off[] = { "", "0", "no", "NO", "false", "False", "none", " 0 " };

    for (size_t i = 0; i < COUNT(on); i++)
        cr_expect(text_is_true(on[i]), "%s", on[i]);
    for (size_t i = 0; i < COUNT(off); i++)
        cr_expect_not(text_is_true(off[i]), "%s", off[i]);
    cr_expect_not(text_is_true(NULL));
}

Test(text, asks_simple_things)
{
    cr_expect(text_is_empty(NULL) && text_is_empty("") && !text_is_empty("x"));
    cr_expect(text_equal(NULL, NULL) && !text_equal(NULL, "") && text_equal("a", "a"));
    cr_expect(text_starts("abc", "ab") && !text_starts("a", "ab"));
    cr_expect(text_ends("abc", "bc") && !text_ends("c", "bc") && text_ends("c", ""));
    cr_expect(text_is_hex("0af9", 4) && !text_is_hex("0AF9", 4) && !text_is_hex("0af9", 3));
}

Test(text, becomes_lower_case)
{
    char text[] = "AZ@[az`{09 \xc3\x84";

    text_lower(text);
    cr_expect_str_eq(text, "az@[az`{09 \xc3\x84");
}

Test(text, makes_ids)
{
    char id[ID_LENGTH + 1], other[ID_LENGTH + 1];

    id_generate(id);
    id_generate(other);
    cr_expect(text_is_hex(id, ID_LENGTH));
    cr_expect_str_neq(id, other);
    hex_encode("\x00\xff\x1a", 3, id);
    cr_expect_str_eq(id, "00ff1a");
}

Test(text, compares_names_as_people_count)
{
    static const char *const sorted[] = { "",   "0", "00",   "1",     "01",    "2",        "08a4",
                                          "10", "a", "a9",   "a09",   "a10b",  "a10c",     "a-",
                                          "ab", "b", "b1e9", "b1e10", "b01e1", "c\xc3\xa9" };
    for (size_t i = 0; i < sizeof(sorted) / sizeof(*sorted); i++)
        for (size_t j = 0; j < sizeof(sorted) / sizeof(*sorted); j++) {
            int order = text_compare_natural(sorted[i], sorted[j]);

            cr_expect((order > 0) - (order < 0) == (i > j) - (i < j), "'%s' '%s': %d", sorted[i],
                      sorted[j], order);
        }
}
