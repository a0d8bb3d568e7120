/* Whatever is accepted has paths that stay below the context, and reads the same when it is written
 * again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "spec/context_manifest.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(context_manifest_done) struct context_manifest manifest = {}, again = {};
    struct str text = {};
    char *copy = xcalloc(size + 1, 1);

    memcpy(copy, data, size);
    if (context_manifest_read(copy, size, &manifest, NULL) < 0)
        return 0;
    for (size_t i = 0; i < manifest.count; i++) {
        const char *path = manifest.entries[i].path;

        if (path[0] == '/' || strncmp(path, "../", 3) == 0 || strstr(path, "/../"))
            abort();
        context_manifest_add(&text, &manifest.entries[i]);
    }
    size_t length = text.length;
    if (context_manifest_read(str_take(&text), length, &again, NULL) < 0 ||
        again.count != manifest.count)
        abort();
    return 0;
}
