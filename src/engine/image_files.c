/* An image as one tree: its layers mounted read-only, and walked. */
#include "engine/image_files.h"

#include "archive/collect.h"
#include "engine/internal.h"

#include "base/banned.h"

int engine_image_files(struct engine *engine, const struct image *image, int cancel_fd,
                       struct stream *out, struct error *err)
{
    const struct collect_options options = { .cancel_fd = cancel_fd };
    CLEANUP(close) int fd = -1;
    int result;

    store_layer_hold(engine->store, image->chain_id);
    result = store_mount(engine->store, image->chain_id, NULL, &fd, err);
    if (result == 0)
        result = collect_tree(fd, ".", &options, out, err);
    store_layer_release(engine->store, image->chain_id);
    return result;
}
