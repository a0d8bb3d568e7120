/* Tokens whose signature would be right: everything else in them is looked at. */
#include <assert.h>
#include <stdint.h>

#include "base/memory.h"
#include "distribution/token.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct token_trust trust = { NULL, "i", "s" };
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(token_done) struct token token = {};
    struct error err = {};

    if (token_read(text, &trust, 2000000000, &token, &err) < 0)
        assert(err.kind == ERROR_UNAUTHORIZED);
    for (size_t i = 0; i < token.grant_count; i++)
        assert(token.grants[i].type && token.grants[i].name);
    return 0;
}
