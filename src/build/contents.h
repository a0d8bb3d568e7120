/* Contents of the files that a new layer shares with a context: their digests are known from the
 * cache key, and need not be worked out again for the layer's own digest. */
#ifndef BERTH_BUILD_CONTENTS_H
#define BERTH_BUILD_CONTENTS_H

#include <sys/stat.h>

#include "base/map.h"
#include "store/store.h"

struct contents {
    struct map digests; /* device and inode → 64 hex */
    int64_t size_bytes;
};
void contents_done(struct contents *contents);
CLEANUP_VALUE(contents_done, struct contents)

/* Small files are not noted: they are read as fast as they are looked up. */
#define CONTENT_SIZE_LEAST ((int64_t)64 * 1024)
void contents_note(struct contents *contents, const struct stat *file, const char *hex);

struct layer_contents contents_of_layer(struct contents *contents); /* borrows */

#endif
