#include "distribution/range.h"

#include <criterion/criterion.h>

#include "base/macros.h"

#include "base/banned.h"

/* of ten bytes */
static const struct {
    const char *text;
    enum range_kind kind;
    int first, last;
} ranges[] = {
    { NULL, RANGE_WHOLE, 0, 0 },
    { "bytes=0-", RANGE_PART, 0, 9 },
    { "bytes=3-5", RANGE_PART, 3, 5 },
    { "Bytes=3-500", RANGE_PART, 3, 9 },
    { "bytes=-4", RANGE_PART, 6, 9 },
    { "bytes=-40", RANGE_PART, 0, 9 },
    { "bytes=9-9", RANGE_PART, 9, 9 },
    { "bytes=10-", RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=-0", RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=5-3", RANGE_WHOLE, 0, 0 },
    { "bytes=0-1,3-4", RANGE_WHOLE, 0, 0 },
    { "lines=0-1", RANGE_WHOLE, 0, 0 },
    { "bytes=", RANGE_WHOLE, 0, 0 },
    { "bytes=x", RANGE_WHOLE, 0, 0 },
    { "bytes=99999999999999999999-", RANGE_WHOLE, 0, 0 },
};

Test(range, reads_what_is_wanted)
{
    for (size_t i = 0; i < COUNT(ranges); i++) {
        int64_t first = 0, last = 0;

        cr_expect_eq(range_parse(ranges[i].text, 10, &first, &last), ranges[i].kind, "%s",
                     ranges[i].text);
        cr_expect_eq(first, ranges[i].first, "%s", ranges[i].text);
        cr_expect_eq(last, ranges[i].last, "%s", ranges[i].text);
    }
}

Test(range, finds_nothing_in_an_empty_blob)
{
    int64_t first, last;

    cr_expect_eq(range_parse("bytes=0-", 0, &first, &last), RANGE_UNSATISFIABLE);
    cr_expect_eq(range_parse("bytes=-1", 0, &first, &last), RANGE_UNSATISFIABLE);
}

static const struct {
    const char *text;
    bool is_range;
    int first, last;
} pieces[] = {
    { "0-99", true, 0, 99 },      { "5-5", true, 5, 5 },    { "bytes 0-9/10", true, 0, 9 },
    { "0-9/*", true, 0, 9 },      { "9-0", false, 0, 0 },   { "0-", false, 0, 0 },
    { "-9", false, 0, 0 },        { "0-9/9", false, 0, 0 }, { "0-9 ", false, 0, 0 },
    { "bytes=0-9", false, 0, 0 }, { "", false, 0, 0 },      { "+0-9", false, 0, 0 },
};

Test(range, reads_which_part_comes)
{
    int64_t first, last;

    for (size_t i = 0; i < COUNT(pieces); i++) {
        first = last = 0;
        cr_expect_eq(content_range_parse(pieces[i].text, &first, &last), pieces[i].is_range, "%s",
                     pieces[i].text);
        cr_expect_eq(first, pieces[i].first, "%s", pieces[i].text);
        cr_expect_eq(last, pieces[i].last, "%s", pieces[i].text);
    }
    cr_expect_not(content_range_parse(NULL, &first, &last));
}
