/* Whatever a server writes into WWW-Authenticate. */
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "registry/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(challenges_done) struct challenges challenges = {};
    struct error err = {};

    if (challenges_parse(text, &challenges, &err) < 0)
        return 0;
    for (size_t i = 0; i < challenges.count; i++)
        if (!*challenges.items[i].scheme ||
            strlen(challenge_get(&challenges.items[i], "realm")) > size)
            abort();
    return 0;
}
