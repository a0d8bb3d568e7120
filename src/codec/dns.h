/* Messages of the Domain Name System (RFC 1035), as far as they are needed to answer for a few
 * names and to hand all other questions on: one question is read, answers are written. Bytes come
 * from containers and from the network; nothing here trusts them. */
#ifndef BERTH_CODEC_DNS_H
#define BERTH_CODEC_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41, DNS_ANY = 255 };
enum { DNS_OK = 0, DNS_FORMAT_ERROR = 1, DNS_SERVER_FAILURE = 2, DNS_NOT_IMPLEMENTED = 4 };

#define DNS_HEADER_SIZE  12
#define DNS_NAME_SIZE    256 /* of a name as text, with its NUL */
#define DNS_DATAGRAM     512 /* longer answers only to who says that he takes them */
#define DNS_MESSAGE_SIZE 65535

struct dns_question {
    uint16_t id, type, class;
    char
        name[DNS_NAME_SIZE]; /* lower case, no dot at the end; what no host can be called has '?' */
    size_t size;             /* of header and question: what an answer begins with */
    size_t datagram_size;    /* the longest answer that the asker takes by UDP */
};

/* Reads a query of one question. INVALID if it is none (too short, an answer, several questions,
 * compressed or endless names), UNSUPPORTED for other operations than queries; 'out->id' is set as
 * long as there is a header. */
int dns_question_read(const void *bytes, size_t size, struct dns_question *out, struct error *err);

/* Is this message, with that id, an answer to that question? */
bool dns_is_answer(const void *bytes, size_t size, uint16_t id,
                   const struct dns_question *question);
int dns_answer_code(const void *answer); /* DNS_OK… of a message with a header */
void dns_set_id(void *message, uint16_t id);

/* An answer that is being written to 'bytes'. What does not fit into 'limit' is left out, and the
 * answer says so (TC). */
struct dns_answer {
    uint8_t *bytes;
    size_t size, limit;
    uint16_t count;
    bool is_cut;
};
/* 'query' are the bytes that 'question' was read from. 'limit' is DNS_DATAGRAM at least. */
void dns_answer_begin(struct dns_answer *answer, const void *query,
                      const struct dns_question *question, uint8_t *bytes, size_t limit);
void dns_answer_add(struct dns_answer *answer, uint16_t type, uint32_t ttl_s, const void *data,
                    size_t size);
/* A name as data (of PTR); names that cannot be written are left out. */
void dns_answer_add_name(struct dns_answer *answer, uint16_t type, uint32_t ttl_s,
                         const char *name);
size_t dns_answer_end(struct dns_answer *answer, int code); /* its size */

/* The answer to something of which only the header can be trusted: header and code. */
size_t dns_refuse(const void *query, int code, uint8_t bytes[DNS_HEADER_SIZE]);

/* The address that a name below in-addr.arpa or ip6.arpa speaks of: its size (4, 16), 0 if none. */
size_t dns_reverse_address(const char *name, uint8_t out[16]);

#endif
