/* A range that is followed lies inside; a piece has an end behind its beginning. */
#include <assert.h>
#include <stdint.h>

#include "base/memory.h"
#include "distribution/range.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    int64_t first, last;

    for (int64_t whole = 0; whole < 5000; whole += 999)
        if (range_parse(text, whole, &first, &last) == RANGE_PART)
            assert(first >= 0 && first <= last && last < whole);
    if (content_range_parse(text, &first, &last))
        assert(first >= 0 && first <= last);
    return 0;
}
