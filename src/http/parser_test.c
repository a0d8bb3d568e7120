#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "http/parser.h"
#include "http/query.h"
#include "http/server.h"

#include "base/banned.h"

static const char post[] = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char body[] =
    "3;a=b\r\nabc\r\n00a;c=\"d\"\r\n0123456789\r\n0;e\r\nF: g\r\nH:\r\n\r\nNEXT";

/* Reads 'body' in pieces that end at each of the two cuts. */
static void read_in_pieces(size_t first, size_t second)
{
    size_t cuts[] = { 0, first, second, sizeof(body) - 1 };
    CLEANUP(http_parser_free) struct http_parser *parser = NULL;
    CLEANUP(http_head_done) struct http_head head = {};
    CLEANUP(str_done) struct str decoded = {};
    struct error err = {};
    size_t total = 0;

    cr_assert_eq(http_parser_request(post, sizeof(post) - 1, 10, &parser, &head, &err), 0, "%s",
                 err.text);
    for (size_t i = 0; i + 1 < COUNT(cuts); i++) {
        char piece[sizeof(body)];
        size_t size = cuts[i + 1] - cuts[i], count = 0;

        memcpy(piece, body + cuts[i], size);
        ssize_t used = http_parser_body(parser, piece, size, &count, &err);
        cr_assert_geq(used, 0, "%zu %zu: %s", first, second, err.text);
        cr_assert(http_parser_is_complete(parser) || (size_t)used == size);
        str_add_bytes(&decoded, piece, count);
        total += (size_t)used;
    }
    cr_expect(http_parser_is_complete(parser));
    cr_expect_eq(total, sizeof(body) - 1 - strlen("NEXT"), "%zu %zu: %zu", first, second, total);
    cr_expect_str_eq(str_text(&decoded), "abc0123456789");
}

Test(http_parser, decodes_chunks_however_they_come)
{
    for (size_t first = 0; first < sizeof(body); first++)
        for (size_t second = first; second < sizeof(body); second++)
            read_in_pieces(first, second);
}

/* clang-format off */
static const struct { const char *text; size_t size; } heads[] = {
    { "GET / HTTP/1.1\r\nA: b\r\n\r\nrest", 24 },
    { "GET / HTTP/1.1\nA: b\n\nrest",       21 },
    { "GET / HTTP/1.1\r\n\r\n",             18 },
    { "GET / HTTP/1.1\r\nA: b\r\n\r",       0  },
    { "GET / HTTP/1.1\r\nA: b\r\n",         0  },
    { "",                                   0  },
};
/* clang-format on */

Test(http_head, finds_its_end_however_it_comes)
{
    for (size_t i = 0; i < COUNT(heads); i++) {
        size_t scanned = 0, found = 0, length = strlen(heads[i].text);

        cr_expect_eq(http_head_size(heads[i].text, length, &scanned), heads[i].size, "%s",
                     heads[i].text);
        scanned = 0;
        for (size_t size = 0; size <= length && !found; size++)
            found = http_head_size(heads[i].text, size, &scanned);
        cr_expect_eq(found, heads[i].size, "%s", heads[i].text);
    }
}

/* clang-format off */
static const struct { const char *text; bool is_form; const char *decoded; } codes[] = {
    { "",           false, "" },
    { "a%20b+c",    false, "a b+c" },
    { "a%20b+c",    true,  "a b c" },
    { "%C3%bc%2F",  false, "\xc3\xbc/" },
    { "%",          false, NULL },
    { "%4",         false, NULL },
    { "%4g",        false, NULL },
    { "a%00b",      false, NULL },
};
/* clang-format on */

Test(http_url, decodes)
{
    for (size_t i = 0; i < COUNT(codes); i++) {
        CLEANUP(free)
        char *decoded = http_url_decode(codes[i].text, strlen(codes[i].text), codes[i].is_form);

        cr_expect(codes[i].decoded ? decoded && !strcmp(decoded, codes[i].decoded) : !decoded, "%s",
                  codes[i].text);
    }
}

Test(http_url, encodes_all_but_unreserved_characters)
{
    CLEANUP(free) char *encoded = http_url_encode("aZ09-._~ /+%\xc3\xbc&=");

    cr_expect_str_eq(encoded, "aZ09-._~%20%2F%2B%25%C3%BC%26%3D");
}

Test(http_query, has_a_limit)
{
    CLEANUP(query_done) struct query query = {};
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    for (int i = 0; i < QUERY_PAIR_LIMIT; i++)
        str_add(&text, "a&");
    cr_expect_eq(query_add(&query, text.data, text.length, &err), 0);
    cr_expect_eq(query_count(&query, "a"), QUERY_PAIR_LIMIT);
    cr_expect_eq(query_add(&query, "a", 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}

Test(http_query, says_what_is_no_escape)
{
    static const char *const rows[][2] = { { "a=%zz", "%zz" },
                                           { "a=%41%4", "%4" },
                                           { "a=%", "%" },
                                           { "a=b%00", "%00" },
                                           { "%x=a", "%x=" } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(query_done) struct query query = {};
        struct error err = {};
        char said[40];

        snprintf(said, sizeof(said), "invalid URL escape \"%s\"", rows[i][1]);
        cr_expect_eq(query_add(&query, rows[i][0], strlen(rows[i][0]), &err), -1);
        cr_expect_str_eq(err.text, said);
    }
}
