/* Any bytes as the package lists of an image. */
#include <stdint.h>

#include "base/memory.h"
#include "build/packages.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(packages_done) struct packages packages = {};

    packages_read_dpkg(text, &packages);
    packages_read_apk(text, &packages);
    return 0;
}
