#include "shim/detach.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

/* clang-format off */
static const struct { const char *keys, *typed, *passed; bool detached; } rows[] = {
    { "",    "anything",    "anything",  false },
    { "pq",  "abc",         "abc",       false },
    { "pq",  "pq",          "",          true  },
    { "pq",  "abpqcd",      "ab",        true  },
    { "pq",  "p",           "",          false },
    { "pq",  "px",          "px",        false },
    { "pq",  "ppq",         "p",         true  },
    { "pq",  "qp",          "q",         false },
    { "aab", "aaab",        "a",         true  },
    { "aab", "aacaab",      "aac",       true  },
    { "abac", "ababac",     "ab",        true  },
    { "x",   "hellox",      "hello",     true  },
};
/* clang-format on */

Test(detach, finds_the_sequence_in_any_pieces)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step <= strlen(rows[i].typed); step++) {
            struct detach_keys keys = { .size = strlen(rows[i].keys) };
            CLEANUP(buf_done) struct buf out = {};
            bool detached = false;

            memcpy(keys.bytes, rows[i].keys, keys.size);
            for (size_t at = 0; !detached && at < strlen(rows[i].typed); at += step)
                detached = detach_filter(&keys, rows[i].typed + at,
                                         MIN(step, strlen(rows[i].typed) - at), &out);
            cr_expect_eq(detached, rows[i].detached, "row %zu, step %zu", i, step);
            cr_expect_eq(out.size, strlen(rows[i].passed), "row %zu, step %zu", i, step);
            cr_expect(out.size == 0 || memcmp(buf_bytes(&out), rows[i].passed, out.size) == 0);
        }
}
