/* An image as one tree: its layers mounted read-only, and walked. */
#include "engine/image_files.h"

#include "archive/collect.h"
#include "engine/internal.h"

#include "base/banned.h"

int engine_image_lend(struct engine *engine, const struct image *image,
                      int (*use)(void *data, int tree_fd, struct error *err), void *data,
                      struct error *err)
{
    int fd = -1;

    store_layer_hold(engine->store, image->chain_id);
    int result = store_mount(engine->store, image->chain_id, NULL, &fd, err);
    if (result == 0)
        result = use(data, fd, err);
    close_cleanup(&fd);
    store_layer_release(engine->store, image->chain_id);
    return result;
}

/* Where an archive of the files goes. */
struct collecting {
    int cancel_fd;
    struct stream *out;
};

static int collect(void *data, int tree_fd, struct error *err)
{
    const struct collecting *collecting = data;
    const struct collect_options options = { .cancel_fd = collecting->cancel_fd };

    return collect_tree(tree_fd, ".", &options, collecting->out, err);
}

int engine_image_files(struct engine *engine, const struct image *image, int cancel_fd,
                       struct stream *out, struct error *err)
{
    struct collecting collecting = { cancel_fd, out };

    return engine_image_lend(engine, image, collect, &collecting, err);
}
