#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

static const struct {
    const char *text;
    int64_t ns;
} durations[] = {
    { "0", 0 },
    { "-0", 0 },
    { "1h30m", 5400 * NS_PER_S },
    { "10s", 10 * NS_PER_S },
    { "1.5s", 1500 * NS_PER_MS },
    { ".5s", 500 * NS_PER_MS },
    { "1.s", NS_PER_S },
    { "100ms", 100 * NS_PER_MS },
    { "-3us", -3000 },
    { "+3\xC2\xB5s", 3000 },
    { "3\xCE\xBCs", 3000 },
    { "1ns", 1 },
    { "0.000000001s", 1 },
    { "0.3333333333333333333h", INT64_C(1200000000000) },
    { "9007199254740993ns", INT64_C(9007199254740993) },
    { "2562047h47m16.854775807s", INT64_MAX },
};

Test(clock, reads_durations)
{
    for (size_t i = 0; i < COUNT(durations); i++) {
        struct error err = {};
        int64_t ns = -1;

        cr_assert_eq(duration_parse(durations[i].text, &ns, &err), 0, "%s", err.text);
        cr_expect_eq(ns, durations[i].ns, "%s: %lld", durations[i].text, (long long)ns);
    }
}

static const struct {
    const char *text, *error;
} no_durations[] = {
    { "", "time: invalid duration \"\"" },
    { "-", "time: invalid duration \"-\"" },
    { ".", "time: invalid duration \".\"" },
    { ".s", "time: invalid duration \".s\"" },
    { "x", "time: invalid duration \"x\"" },
    { "5", "time: missing unit in duration \"5\"" },
    { "1h5", "time: missing unit in duration \"1h5\"" },
    { "5x", "time: unknown unit \"x\" in duration \"5x\"" },
    { "1d2h", "time: unknown unit \"d\" in duration \"1d2h\"" },
    { "5 s", "time: unknown unit \" s\" in duration \"5 s\"" },
    { "2562048h", "time: invalid duration \"2562048h\"" },
    { "99999999999999999999999s", "time: invalid duration \"99999999999999999999999s\"" },
};

Test(clock, refuses_other_durations_with_the_words_of_go)
{
    for (size_t i = 0; i < COUNT(no_durations); i++) {
        struct error err = {};
        int64_t ns;

        cr_expect_eq(duration_parse(no_durations[i].text, &ns, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect_str_eq(err.text, no_durations[i].error);
    }
}

static const struct {
    const char *text;
    int64_t ns;
    const char *again; /* as time_format writes it */
} times[] = {
    { "1970-01-01T00:00:01Z", NS_PER_S, "1970-01-01T00:00:01Z" },
    { "2026-01-02T03:04:05.12Z", INT64_C(1767323045120000000), "2026-01-02T03:04:05.12Z" },
    { "2026-01-02T03:04:05.123456789Z", INT64_C(1767323045123456789),
      "2026-01-02T03:04:05.123456789Z" },
    { "2026-01-02T04:04:05+01:00", INT64_C(1767323045000000000), "2026-01-02T03:04:05Z" },
    { "2026-01-01T21:34:05.5-05:30", INT64_C(1767323045500000000), "2026-01-02T03:04:05.5Z" },
    { "1969-12-31T23:59:59.75Z", -250 * NS_PER_MS, "1969-12-31T23:59:59.75Z" },
    { "0001-01-01T00:00:00Z", 0, "0001-01-01T00:00:00Z" },
    { "2024-02-29T00:00:00Z", INT64_C(1709164800000000000), "2024-02-29T00:00:00Z" },
    { "9999-12-31T00:00:00Z", INT64_MAX, "2262-04-11T23:47:16.854775807Z" },
};

Test(clock, reads_and_writes_rfc3339)
{
    for (size_t i = 0; i < COUNT(times); i++) {
        struct error err = {};
        char text[TIME_TEXT_SIZE];
        int64_t ns = -1;

        cr_assert_eq(time_parse(times[i].text, &ns, &err), 0, "%s", err.text);
        cr_expect_eq(ns, times[i].ns, "%s: %lld", times[i].text, (long long)ns);
        time_format(ns, text);
        cr_expect_str_eq(text, times[i].again);
    }
}

static const char *const no_times[] = {
    "",
    "2026-01-02",
    "2026-01-02T03:04Z",
    "2026-01-02T03:04:05",
    "2026-13-02T03:04:05Z",
    "2026-02-30T03:04:05Z",
    "2025-02-29T03:04:05Z",
    "2026-01-02T24:04:05Z",
    "2026-01-02T03:60:05Z",
    "2026-01-02T03:04:05+0100",
    "2026-01-02T03:04:05Zx",
    "26-01-02T03:04:05Z",
};

static const struct {
    const char *text;
    int64_t ns, seconds;
    const char *again;
} dates[] = {
    { "0001-01-01T00:00:00Z", DATE_NEVER, INT64_C(-62135596800), "0001-01-01T00:00:00Z" },
    { "1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z" },
    { "1970-01-01T01:00:00+01:00", 0, 0, "1970-01-01T00:00:00Z" },
    { "1969-12-31T23:59:59.5Z", -NS_PER_S / 2, -1, "1969-12-31T23:59:59.5Z" },
    { "1980-01-01T00:00:01Z", 315532801 * NS_PER_S, 315532801, "1980-01-01T00:00:01Z" },
};

Test(clock, tells_1970_from_never_in_dates)
{
    for (size_t i = 0; i < COUNT(dates); i++) {
        char text[TIME_TEXT_SIZE];
        struct error err = {};
        int64_t ns;

        cr_assert_eq(date_parse(dates[i].text, &ns, &err), 0, "%s", err.text);
        cr_expect_eq(ns, dates[i].ns, "%s", dates[i].text);
        cr_expect_eq(date_seconds(ns), dates[i].seconds, "%s", dates[i].text);
        date_format(ns, text);
        cr_expect_str_eq(text, dates[i].again);
    }
}

Test(clock, refuses_other_times)
{
    for (size_t i = 0; i < COUNT(no_times); i++) {
        int64_t ns;

        cr_expect_eq(time_parse(no_times[i], &ns, NULL), -1, "%s", no_times[i]);
    }
}

Test(clock, writes_nine_digits_for_logs)
{
    char text[TIME_TEXT_SIZE];

    time_format_fixed(INT64_C(1767323045120000000), text);
    cr_expect_str_eq(text, "2026-01-02T03:04:05.120000000Z");
}

static const struct {
    const char *text;
    int64_t ns;
} spoken[] = {
    { "0", 0 },
    { "10s", 990 * NS_PER_S },
    { "1.5", 1500 * NS_PER_MS },
    { "1767323045", INT64_C(1767323045000000000) },
    { "2026-01-02T03:04:05Z", INT64_C(1767323045000000000) },
    { "2026-01-02T03:04:05", INT64_C(1767319445000000000) }, /* one hour east */
    { "2026-01-02T03:04", INT64_C(1767319440000000000) },
    { "2026-01-02T03", INT64_C(1767319200000000000) },
    { "2026-01-02", INT64_C(1767308400000000000) },
    { "2026-01-02Z", INT64_C(1767312000000000000) },
};

Test(clock, understands_what_people_say_for_since)
{
    setenv("TZ", "XXX-1", 1);
    tzset();
    for (size_t i = 0; i < COUNT(spoken); i++) {
        struct error err = {};
        int64_t ns = -1;

        cr_assert_eq(time_parse_human(spoken[i].text, 1000 * NS_PER_S, &ns, &err), 0, "%s: %s",
                     spoken[i].text, err.text);
        cr_expect_eq(ns, spoken[i].ns, "%s: %lld", spoken[i].text, (long long)ns);
    }
    struct error err = {};
    int64_t ns;
    cr_expect_eq(time_parse_human("yesterday", 0, &ns, &err), -1);
    cr_expect_str_eq(err.text, "failed to parse value as time or duration: \"yesterday\"");
}

Test(clock, reads_seconds_and_fraction)
{
    int64_t ns = 0;

    cr_assert_eq(time_parse_unix("1136073600.000000001", &ns, NULL), 0);
    cr_expect_eq(ns, INT64_C(1136073600000000001));
    cr_assert_eq(time_parse_unix("-1.5", &ns, NULL), 0);
    cr_expect_eq(ns, -1500 * NS_PER_MS);
    cr_expect_eq(time_parse_unix("1x", &ns, NULL), -1);
    cr_expect_eq(time_parse_unix("", &ns, NULL), -1);
    cr_expect_eq(time_parse_unix("1.5.5", &ns, NULL), -1);
    cr_assert_eq(time_parse_unix("99999999999", &ns, NULL), 0, "in the year 5138");
    cr_expect_gt(ns, INT64_C(4000000000) * NS_PER_S);
    cr_assert_eq(time_parse_unix("-9223372036854775807", &ns, NULL), 0);
    cr_expect_lt(ns, INT64_C(-4000000000) * NS_PER_S);
    cr_expect_eq(time_parse_unix("9223372036854775808", &ns, NULL), -1);
}

static const struct {
    int64_t seconds;
    const char *text;
} lengths[] = {
    { 0, "Less than a second" }, { 1, "1 second" },          { 59, "59 seconds" },
    { 60, "About a minute" },    { 119, "About a minute" },  { 120, "2 minutes" },
    { 3599, "59 minutes" },      { 3600, "About an hour" },  { 5400, "2 hours" },
    { 47 * 3600, "47 hours" },   { 48 * 3600, "2 days" },    { 13 * 86400, "13 days" },
    { 14 * 86400, "2 weeks" },   { 60 * 86400, "2 months" }, { 729 * 86400, "24 months" },
    { 730 * 86400, "2 years" },
};

Test(clock, says_how_long)
{
    for (size_t i = 0; i < COUNT(lengths); i++) {
        char text[40];

        duration_human(lengths[i].seconds * NS_PER_S, text, sizeof(text));
        cr_expect_str_eq(text, lengths[i].text, "%lld: %s", (long long)lengths[i].seconds, text);
    }
}

static const struct {
    int64_t ns;
    const char *text;
} written_durations[] = {
    { 0, "0s" },
    { 5, "5ns" },
    { 1500, "1.5\xc2\xb5s" },
    { 100 * NS_PER_MS, "100ms" },
    { 1500 * NS_PER_MS, "1.5s" },
    { 90 * NS_PER_S, "1m30s" },
    { 3600 * NS_PER_S, "1h0m0s" },
    { -61 * NS_PER_S, "-1m1s" },
};

Test(clock, writes_durations)
{
    for (size_t i = 0; i < COUNT(written_durations); i++) {
        CLEANUP(free) char *text = duration_format(written_durations[i].ns);

        cr_expect_str_eq(text, written_durations[i].text);
    }
}

Test(clock, writes_seconds_and_nanoseconds)
{
    CLEANUP(free) char *text = time_format_unix(INT64_C(1136073600000000001));
    int64_t again = 0;

    cr_expect_str_eq(text, "1136073600.000000001");
    cr_expect_eq(time_parse_unix(text, &again, NULL), 0);
    cr_expect_eq(again, INT64_C(1136073600000000001));
}
