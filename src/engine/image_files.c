/* An image as one tree: its layers mounted read-only, and walked. */
#include "engine/image_files.h"

#include "archive/collect.h"
#include "base/memory.h"
#include "engine/internal.h"
#include "registry/attest.h"

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

int engine_image_statements(struct engine *engine, const struct image *image, struct map *out,
                            struct error *err)
{
    CLEANUP(attestations_done) struct attestations attestations = {};
    const struct strv no_names = {};
    const struct attest_subject subject = { image, MEDIA_TYPE_OCI_CONFIG, image->id, 0, &no_names };

    map_init_empty(out, free);
    if (store_image_attestations(engine->store, image->id, &attestations, err) < 0)
        return -1;
    for (size_t i = 0; i < attestations.count; i++) {
        CLEANUP(str_done) struct str text = {};

        attest_statement(&subject, &attestations.items[i], &text);
        map_set_text(out, attest_file_name(&attestations.items[i]), str_text(&text));
    }
    return 0;
}

/* Where an archive of the files goes. */
struct collecting {
    struct collect_options options;
    struct stream *out;
};

static int collect(void *data, int tree_fd, struct error *err)
{
    const struct collecting *collecting = data;

    return collect_tree(tree_fd, ".", &collecting->options, collecting->out, err);
}

int engine_image_files(struct engine *engine, const struct image *image, bool attested,
                       int cancel_fd, struct stream *out, struct error *err)
{
    struct collecting collecting = { { .cancel_fd = cancel_fd }, out };
    CLEANUP(map_done) struct map statements = {};

    if (attested && engine_image_statements(engine, image, &statements, err) < 0)
        return -1;
    CLEANUP(free)
    struct collect_text *texts = xcalloc(statements.count + 1, sizeof(*texts));
    MAP_EACH (&statements, entry)
        texts[collecting.options.text_count++] = (struct collect_text){ entry->key, entry->value };
    collecting.options.texts = texts;
    return engine_image_lend(engine, image, collect, &collecting, err);
}
