/* A question that is read can be answered within its limit, and the answer is one to it. */
#include <assert.h>
#include <stdlib.h>

#include "codec/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t address[16] = { 1, 2, 3, 4 };
    struct dns_question question = {};
    struct dns_answer answer;
    struct error err = {};
    uint8_t bytes[DNS_DATAGRAM], reverse[16];

    if (dns_question_read(data, size, &question, &err) < 0) {
        if (size >= DNS_HEADER_SIZE && dns_refuse(data, DNS_FORMAT_ERROR, bytes) != DNS_HEADER_SIZE)
            abort();
        return 0;
    }
    dns_reverse_address(question.name, reverse);
    dns_answer_begin(&answer, data, &question, bytes, sizeof(bytes));
    for (int i = 0; i < 40; i++)
        dns_answer_add(&answer, DNS_A, 1, address, 4);
    dns_answer_add_name(&answer, DNS_PTR, 1, question.name);
    size_t end = dns_answer_end(&answer, DNS_OK);
    if (end > sizeof(bytes) || !dns_is_answer(bytes, end, question.id, &question))
        abort();
    return 0;
}
