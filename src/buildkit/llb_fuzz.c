/* Any bytes as a definition: one id comes out, or none. */
#include <assert.h>
#include <string.h>

#include "buildkit/internal.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[RESULT_ID_SIZE];
    int found = llb_read_result(data, size, id, NULL);

    if (found >= 0)
        assert(strlen(id) == (found > 0 ? RESULT_ID_SIZE - 1 : 0));
    return 0;
}
