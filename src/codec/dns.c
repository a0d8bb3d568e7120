/* Offsets and bits are those of RFC 1035, section 4. */
#include "codec/dns.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

#include "base/banned.h"

enum {
    FLAG_RESPONSE = 0x80, /* of the third byte */
    FLAG_OPERATION = 0x78,
    FLAG_CUT = 0x02,
    FLAG_RECURSION_WANTED = 0x01,
    FLAG_RECURSION_THERE = 0x80, /* of the fourth */
    CODE_MASK = 0x0f,
    LABEL_LIMIT = 63,
    POINTER_TO_QUESTION = 0xc000 | DNS_HEADER_SIZE,
    RECORD_HEAD = 12, /* pointer, type, class, TTL, size */
    CLASS_INTERNET = 1,
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put16(uint8_t *bytes, unsigned value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

/* ---- reading ---- */

/* The name at '*offset', which is moved behind it. */
static bool read_name(const uint8_t *bytes, size_t size, size_t *offset, char out[DNS_NAME_SIZE])
{
    size_t at = *offset, length = 0;

    for (;;) {
        size_t label = at < size ? bytes[at] : LABEL_LIMIT + 1;

        if (label > LABEL_LIMIT || at + 1 + label > size || length + label + 2 > DNS_NAME_SIZE)
            return false;
        at++;
        if (label == 0)
            break;
        if (length > 0)
            out[length++] = '.';
        for (size_t i = 0; i < label; i++, at++)
            out[length++] = bytes[at] > ' ' && bytes[at] < 0x7f && bytes[at] != '.'
                                ? (char)tolower(bytes[at])
                                : '?';
    }
    out[length] = '\0';
    *offset = at;
    return true;
}

/* The size of datagrams that an OPT record right behind the question tells (RFC 6891). */
static size_t read_datagram_size(const uint8_t *bytes, size_t size, size_t offset)
{
    bool is_next = get16(bytes + 6) == 0 && get16(bytes + 8) == 0 && get16(bytes + 10) > 0;

    if (!is_next || offset + 5 > size || bytes[offset] != 0 || get16(bytes + offset + 1) != DNS_OPT)
        return DNS_DATAGRAM;
    return MAX(get16(bytes + offset + 3), (size_t)DNS_DATAGRAM);
}

int dns_question_read(const void *data, size_t size, struct dns_question *out, struct error *err)
{
    const uint8_t *bytes = data;
    size_t offset = DNS_HEADER_SIZE;

    if (size < DNS_HEADER_SIZE)
        return error_set(err, ERROR_INVALID, "DNS message is too short");
    out->id = get16(bytes);
    if (bytes[2] & FLAG_RESPONSE)
        return error_set(err, ERROR_INVALID, "DNS message is no query");
    if (bytes[2] & FLAG_OPERATION)
        return error_set(err, ERROR_UNSUPPORTED, "DNS operation is not a query");
    if (get16(bytes + 4) != 1 || !read_name(bytes, size, &offset, out->name) || offset + 4 > size)
        return error_set(err, ERROR_INVALID, "DNS query without a proper question");
    out->type = get16(bytes + offset);
    out->class = get16(bytes + offset + 2);
    out->size = offset + 4;
    out->datagram_size = read_datagram_size(bytes, size, out->size);
    return 0;
}

bool dns_is_answer(const void *data, size_t size, uint16_t id, const struct dns_question *question)
{
    const uint8_t *bytes = data;
    size_t offset = DNS_HEADER_SIZE;
    char name[DNS_NAME_SIZE];

    return size >= DNS_HEADER_SIZE && get16(bytes) == id && (bytes[2] & FLAG_RESPONSE) &&
           get16(bytes + 4) == 1 && read_name(bytes, size, &offset, name) && offset + 4 <= size &&
           strcmp(name, question->name) == 0 && get16(bytes + offset) == question->type &&
           get16(bytes + offset + 2) == question->class;
}

int dns_answer_code(const void *answer)
{
    return ((const uint8_t *)answer)[3] & CODE_MASK;
}

void dns_set_id(void *message, uint16_t id)
{
    put16(message, id);
}

/* ---- writing ---- */

void dns_answer_begin(struct dns_answer *answer, const void *query,
                      const struct dns_question *question, uint8_t *bytes, size_t limit)
{
    *answer = (struct dns_answer){ .bytes = bytes, .size = question->size, .limit = limit };
    memcpy(bytes, query, question->size);
    bytes[2] = (uint8_t)(FLAG_RESPONSE | (bytes[2] & FLAG_RECURSION_WANTED));
    bytes[3] = FLAG_RECURSION_THERE;
    memset(bytes + 6, 0, DNS_HEADER_SIZE - 6);
}

void dns_answer_add(struct dns_answer *answer, uint16_t type, uint32_t ttl_s, const void *data,
                    size_t size)
{
    uint8_t *at = answer->bytes + answer->size;

    if (answer->is_cut || answer->size + RECORD_HEAD + size > answer->limit) {
        answer->is_cut = true;
        return;
    }
    put16(at, POINTER_TO_QUESTION);
    put16(at + 2, type);
    put16(at + 4, CLASS_INTERNET);
    put16(at + 6, ttl_s >> 16);
    put16(at + 8, ttl_s);
    put16(at + 10, (unsigned)size);
    memcpy(at + RECORD_HEAD, data, size);
    answer->size += RECORD_HEAD + size;
    answer->count++;
}

void dns_answer_add_name(struct dns_answer *answer, uint16_t type, uint32_t ttl_s, const char *name)
{
    uint8_t data[DNS_NAME_SIZE + 1];
    size_t size = 0;

    while (*name) {
        size_t label = strcspn(name, ".");

        if (label == 0 || label > LABEL_LIMIT || size + label + 2 > DNS_NAME_SIZE)
            return;
        data[size++] = (uint8_t)label;
        memcpy(data + size, name, label);
        size += label;
        name += label + (name[label] == '.');
    }
    data[size++] = 0;
    dns_answer_add(answer, type, ttl_s, data, size);
}

size_t dns_answer_end(struct dns_answer *answer, int code)
{
    if (answer->is_cut)
        answer->bytes[2] |= FLAG_CUT;
    answer->bytes[3] |= (uint8_t)(code & CODE_MASK);
    put16(answer->bytes + 6, answer->count);
    return answer->size;
}

size_t dns_refuse(const void *query, int code, uint8_t bytes[DNS_HEADER_SIZE])
{
    const uint8_t *asked = query;

    memset(bytes, 0, DNS_HEADER_SIZE);
    memcpy(bytes, asked, 2);
    bytes[2] = (uint8_t)(FLAG_RESPONSE | (asked[2] & (FLAG_OPERATION | FLAG_RECURSION_WANTED)));
    bytes[3] = (uint8_t)(FLAG_RECURSION_THERE | (code & CODE_MASK));
    return DNS_HEADER_SIZE;
}

/* ---- addresses as names ---- */

/* "4.3.2.1", last octet first. */
static bool read_octets(const char *text, size_t length, uint8_t out[4])
{
    for (int i = 3; i >= 0; i--) {
        unsigned value = 0;
        size_t digits = 0;

        for (; digits < length && isdigit((unsigned char)text[digits]) && digits < 3; digits++)
            value = value * 10 + (unsigned)(text[digits] - '0');
        if (digits == 0 || value > 255)
            return false;
        out[i] = (uint8_t)value;
        text += digits;
        length -= digits;
        if (i > 0 && (length == 0 || *text != '.'))
            return false;
        text += i > 0;
        length -= i > 0;
    }
    return length == 0;
}

/* "b.a.9.8…", last half octet first. */
static bool read_halves(const char *text, size_t length, uint8_t out[16])
{
    if (length != 63)
        return false;
    memset(out, 0, 16);
    for (int i = 31; i >= 0; i--, text += 2) {
        int digit = isxdigit((unsigned char)*text) ? (*text <= '9' ? *text - '0' : *text - 'a' + 10)
                                                   : -1;

        if (digit < 0 || (i > 0 && text[1] != '.'))
            return false;
        out[i / 2] |= (uint8_t)(i % 2 ? digit : digit << 4);
    }
    return true;
}

size_t dns_reverse_address(const char *name, uint8_t out[16])
{
    static const char ipv4[] = ".in-addr.arpa", ipv6[] = ".ip6.arpa";
    size_t length = strlen(name);

    if (length > sizeof(ipv4) - 1 && strcmp(name + length - (sizeof(ipv4) - 1), ipv4) == 0)
        return read_octets(name, length - (sizeof(ipv4) - 1), out) ? 4 : 0;
    if (length > sizeof(ipv6) - 1 && strcmp(name + length - (sizeof(ipv6) - 1), ipv6) == 0)
        return read_halves(name, length - (sizeof(ipv6) - 1), out) ? 16 : 0;
    return 0;
}
