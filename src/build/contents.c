/* By inode: within a layer, and while it is made, none is ever used again. */
#include "build/contents.h"

#include <stdio.h>

#include "base/memory.h"

#include "base/banned.h"

#define KEY_SIZE 48

void contents_done(struct contents *contents)
{
    map_done(&contents->digests);
}

static void name(const struct stat *file, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%llx:%llx", (unsigned long long)file->st_dev,
             (unsigned long long)file->st_ino);
}

void contents_note(struct contents *contents, const struct stat *file, const char *hex)
{
    char key[KEY_SIZE];

    name(file, key);
    if (file->st_size < CONTENT_SIZE_LEAST || map_has(&contents->digests, key))
        return;
    map_set_text(&contents->digests, key, hex);
    contents->size_bytes += file->st_size;
}

static bool find(void *data, const struct stat *file, char out_hex[LAYER_CONTENT_HEX_SIZE])
{
    const struct contents *contents = data;
    char key[KEY_SIZE];

    name(file, key);
    const char *hex = map_get(&contents->digests, key);
    if (hex)
        snprintf(out_hex, LAYER_CONTENT_HEX_SIZE, "%s", hex);
    return hex;
}

struct layer_contents contents_of_layer(struct contents *contents)
{
    return (struct layer_contents){ find, contents, contents->size_bytes };
}
