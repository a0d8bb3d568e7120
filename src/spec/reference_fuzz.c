/* Whatever is accepted reads the same when it is written and read again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "spec/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(reference_done) struct reference first = {}, second = {};
    struct error err = {};

    if (reference_parse(text, &first, &err) < 0)
        return 0;
    CLEANUP(free) char *canonical = reference_canonical(&first);
    CLEANUP(free) char *familiar = reference_familiar(&first);
    if (reference_parse(canonical, &second, &err) < 0 || strcmp(first.path, second.path) != 0)
        abort();
    reference_done(&second);
    /* A domain that looks like a Hub user ("docker.io/x.y/z") is the one thing that shortening
     * changes, as it does for Docker. */
    if (reference_parse(familiar, &second, &err) < 0 && !strchr(first.path, '.'))
        abort();
    return 0;
}
