/* Whatever is accepted is one of two kinds, and all that it names could become a path. */
#include <stdint.h>
#include <stdlib.h>

#include "codec/sha256.h"
#include "registry/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    CLEANUP(platform_done) struct platform native = {};
    struct error err = {};

    if (manifest_parse(data, size, NULL, &manifest, &err) < 0)
        return 0;
    for (size_t i = 0; i < manifest.child_count; i++)
        if (!digest_is_valid(manifest.children[i].digest) || manifest.children[i].size < 0)
            abort();
    if (!manifest.is_index && !digest_is_valid(manifest.config.digest))
        abort();
    platform_native(&native);
    if (manifest.is_index)
        manifest_choose(&manifest, &native);
    return 0;
}
