/* A .dockerignore, a NUL, and a path to try it on. */
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "spec/dockerignore.h"
#include "spec/pattern.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, MIN(size, 4096));
    const char *path = strlen(text) < size ? text : "dir/file";
    CLEANUP(free) char *rest = NULL;
    CLEANUP(dockerignore_free) struct dockerignore *ignore = NULL;
    bool matches;

    if (strlen(text) + 1 < size) {
        rest = xstrndup((const char *)data + strlen(text) + 1, MIN(size - strlen(text) - 1, 1024));
        path = rest;
    }
    pattern_match(text, path, &matches, NULL);
    if (dockerignore_parse(text, &ignore, NULL) == 0)
        dockerignore_excludes(ignore, path);
    return 0;
}
