/* Whatever a server says, parsing it ends. */
#include <assert.h>
#include <stdint.h>

#include "base/memory.h"
#include "distribution/challenge.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(challenge_done) struct challenge challenge = {};

    challenge_parse(text, &challenge);
    assert(!challenge.wants_bearer || challenge.realm);
    return 0;
}
