/* Paths: whatever is let through has a name of the grammar. */
#include <assert.h>
#include <stdint.h>

#include "base/memory.h"
#include "distribution/name.h"
#include "distribution/route.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *path = xstrndup((const char *)data, size);
    CLEANUP(route_done) struct route route = {};
    struct problem problem = {};

    if (route_parse(path, &route, &problem) == 0 && route.repository)
        assert(name_is_repository(route.repository));
    return 0;
}
