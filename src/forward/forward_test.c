#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "forward/journal.h"
#include "forward/syslog.h"

#include "base/banned.h"

#define NOW INT64_C(1767323045123456789) /* 2026-01-02T03:04:05.123456789Z */

static void set_up(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
}

TestSuite(forward, .init = set_up);

/* ---- addresses */

static const struct {
    const char *text;
    enum syslog_transport transport;
    const char *host, *port, *path;
} addresses[] = {
    { "", SYSLOG_LOCAL, NULL, NULL, NULL },
    { "udp://1.2.3.4:1111", SYSLOG_UDP, "1.2.3.4", "1111", NULL },
    { "tcp://example.org", SYSLOG_TCP, "example.org", "514", NULL },
    { "tcp+tls://[::1]:6514", SYSLOG_TLS, "::1", "6514", NULL },
    { "unix:///run/log", SYSLOG_UNIX, NULL, NULL, "/run/log" },
    { "unixgram:///dev/log", SYSLOG_UNIXGRAM, NULL, NULL, "/dev/log" },
};

static void expect_text(const char *got, const char *wanted)
{
    cr_expect_eq(got == NULL, wanted == NULL);
    if (got && wanted)
        cr_expect_str_eq(got, wanted);
}

Test(forward, reads_addresses)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        CLEANUP(syslog_address_done) struct syslog_address address = {};
        struct error err = {};

        cr_assert_eq(syslog_address_parse(addresses[i].text, &address, &err), 0, "%s", err.text);
        cr_expect_eq(address.transport, addresses[i].transport);
        expect_text(address.host, addresses[i].host);
        expect_text(address.port, addresses[i].port);
        expect_text(address.path, addresses[i].path);
    }
}

Test(forward, refuses_addresses_of_other_kinds)
{
    static const char *const texts[] = { "http://x", "x", "tcp://a:b:c", "tcp://[::1", "udp" };

    for (size_t i = 0; i < COUNT(texts); i++) {
        CLEANUP(syslog_address_done) struct syslog_address address = {};
        struct error err = {};

        cr_expect_eq(syslog_address_parse(texts[i], &address, &err), -1, "%s", texts[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

Test(forward, knows_facilities_by_name_and_number)
{
    cr_expect_eq(syslog_facility_parse(""), 3);
    cr_expect_eq(syslog_facility_parse("local7"), 23);
    cr_expect_eq(syslog_facility_parse("10"), 10);
    cr_expect_eq(syslog_facility_parse("24"), -1);
    cr_expect_eq(syslog_facility_parse("nope"), -1);
}

/* ---- messages */

static const struct {
    const char *format;
    enum syslog_transport transport;
    const char *wanted;
} messages[] = {
    { "", SYSLOG_UDP, "<30>Jan  2 03:04:05 tag[7]: hello\n" },
    { "rfc3164", SYSLOG_TCP, "<30>Jan  2 03:04:05 host tag[7]: hello\n" },
    { "rfc5424", SYSLOG_TCP, "<30>1 2026-01-02T03:04:05Z host tag 7 tag - hello\n" },
    { "rfc5424micro", SYSLOG_UDP, "<30>1 2026-01-02T03:04:05.123456Z host tag 7 tag - hello\n" },
    { "rfc5424", SYSLOG_TLS, "50 <30>1 2026-01-02T03:04:05Z host tag 7 tag - hello\n" },
};

Test(forward, writes_each_format)
{
    struct forward_entry entry = { .size = 5, .wall_ns = NOW };

    for (size_t i = 0; i < COUNT(messages); i++) {
        struct forward_settings settings = { .tag = (char *)"tag",
                                             .format = (char *)messages[i].format,
                                             .facility = 3 };
        CLEANUP(str_done) struct str out = {};

        syslog_format(&settings, messages[i].transport, "host", 7, &entry, "hello", &out);
        cr_expect_str_eq(str_text(&out), messages[i].wanted);
    }
}

Test(forward, tells_stderr_as_an_error)
{
    struct forward_entry entry = { .size = 1, .is_stderr = 1, .wall_ns = NOW };
    struct forward_settings settings = { .tag = (char *)"t", .facility = 16 };
    CLEANUP(str_done) struct str out = {};

    syslog_format(&settings, SYSLOG_UNIX, "host", 7, &entry, "x", &out);
    cr_expect(strncmp(str_text(&out), "<131>", 5) == 0, "%s", str_text(&out));
}

/* ---- the journal */

Test(forward, names_fields_as_the_journal_wants_them)
{
    CLEANUP(free) char *name = journal_field_name("_com.example-Key9");

    cr_expect_str_eq(name, "COM_EXAMPLE_KEY9");
}

Test(forward, writes_values_with_newlines_with_their_size)
{
    struct forward_entry entry = { .size = 3, .is_partial = 1, .wall_ns = 5000 };
    struct forward_settings settings = {};
    CLEANUP(buf_done) struct buf out = {};
    static const char wanted[] = "A=b\nCONTAINER_PARTIAL_MESSAGE=true\nSYSLOG_TIMESTAMP=5\n"
                                 "PRIORITY=6\nMESSAGE\n\3\0\0\0\0\0\0\0x\ny\n";

    map_set_text(&settings.fields, "A", "b");
    journal_format(&settings, &entry, "x\ny", &out);
    cr_assert_eq(out.size, sizeof(wanted) - 1);
    cr_expect_arr_eq(buf_bytes(&out), wanted, out.size);
    map_done(&settings.fields);
}
