#include <criterion/criterion.h>
#include <string.h>

#include "codec/dns.h"

/* Is id 0x1234, recursion wanted, one question: WEB.net, A. */
static const uint8_t query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                               "\x03WEB\x03net\x00\x00\x01\x00\x01";
#define QUERY_SIZE (sizeof(query) - 1)

Test(dns, reads_a_question)
{
    struct dns_question question;
    struct error err = {};

    cr_assert_eq(dns_question_read(query, QUERY_SIZE, &question, &err), 0, "%s", err.text);
    cr_expect_eq(question.id, 0x1234);
    cr_expect_str_eq(question.name, "web.net");
    cr_expect_eq(question.type, DNS_A);
    cr_expect_eq(question.size, QUERY_SIZE);
    cr_expect_eq(question.datagram_size, DNS_DATAGRAM);
}

Test(dns, reads_how_long_answers_may_be)
{
    uint8_t bytes[QUERY_SIZE + 11];
    struct dns_question question;
    struct error err = {};

    memcpy(bytes, query, QUERY_SIZE);
    memcpy(bytes + QUERY_SIZE, "\0\0\x29\x10\x00\0\0\0\0\0\0", 11);
    bytes[11] = 1;
    cr_assert_eq(dns_question_read(bytes, sizeof(bytes), &question, &err), 0, "%s", err.text);
    cr_expect_eq(question.datagram_size, 4096);
}

Test(dns, refuses_what_is_no_question)
{
    for (size_t size = 0; size < QUERY_SIZE; size++) {
        struct dns_question question;
        struct error err = {};

        cr_expect_eq(dns_question_read(query, size, &question, &err), -1, "%zu bytes", size);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
    uint8_t pointer[] = "\0\0\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1";
    struct dns_question question;
    struct error err = {};
    cr_expect_eq(dns_question_read(pointer, sizeof(pointer) - 1, &question, &err), -1);
}

Test(dns, answers_with_what_fits)
{
    struct dns_question question;
    struct dns_answer answer;
    uint8_t bytes[DNS_DATAGRAM];
    struct error err = {};

    cr_assert_eq(dns_question_read(query, QUERY_SIZE, &question, &err), 0);
    dns_answer_begin(&answer, query, &question, bytes, sizeof(bytes));
    dns_answer_add(&answer, DNS_A, 600, "\x0a\x00\x00\x01", 4);
    size_t size = dns_answer_end(&answer, DNS_OK);
    cr_expect_eq(size, QUERY_SIZE + 16);
    cr_expect_eq(memcmp(bytes + QUERY_SIZE, "\xc0\x0c\0\1\0\1\0\0\x02\x58\0\4\x0a\0\0\1", 16), 0);
    cr_expect(dns_is_answer(bytes, size, 0x1234, &question));
    cr_expect_not(dns_is_answer(bytes, size, 0x1235, &question));
    cr_expect_eq(bytes[2] & 2, 0);

    for (int i = 0; i < 100; i++)
        dns_answer_add(&answer, DNS_A, 600, "\x0a\x00\x00\x01", 4);
    size = dns_answer_end(&answer, DNS_OK);
    cr_expect_leq(size, sizeof(bytes));
    cr_expect_eq(bytes[2] & 2, 2, "the answer does not say that it is cut");
    cr_expect_eq(bytes[7], (size - QUERY_SIZE) / 16);
}

static const struct {
    const char *name;
    size_t size;
    uint8_t address[16];
} reverses[] = {
    { "4.3.2.1.in-addr.arpa", 4, { 1, 2, 3, 4 } },
    { "256.3.2.1.in-addr.arpa", 0, {} },
    { "3.2.1.in-addr.arpa", 0, {} },
    { "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
      16,
      { 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
    { "1.0.d.f.ip6.arpa", 0, {} },
    { "arpa", 0, {} },
};

Test(dns, finds_the_address_in_a_name)
{
    for (size_t i = 0; i < sizeof(reverses) / sizeof(reverses[0]); i++) {
        uint8_t address[16];
        size_t size = dns_reverse_address(reverses[i].name, address);

        cr_assert_eq(size, reverses[i].size, "%s: %zu", reverses[i].name, size);
        cr_expect_eq(memcmp(address, reverses[i].address, size), 0, "%s", reverses[i].name);
    }
}
