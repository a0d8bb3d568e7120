/* An image as one tree: its layers mounted read-only, and walked. */
#include "engine/image_files.h"

#include <string.h>

#include "archive/collect.h"
#include "base/memory.h"
#include "engine/internal.h"
#include "linux/tree.h"
#include "registry/attest.h"
#include "spec/platform.h"

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

char *image_platform_word(const struct image *image)
{
    const struct image_config *config = &image->config;
    CLEANUP(platform_done) struct platform platform = {};

    platform_of(config->os, config->architecture, config->variant, &platform);
    char *word = platform_format(&platform);
    for (char *c = word; *c; c++)
        if (*c == '/')
            *c = '_';
    return word;
}

/* A name that none of 'taken' has. */
static char *statement_name(const struct attestation *attestation, const char *word,
                            const struct map *taken)
{
    const char *name = attest_file_name(attestation), *dot = strrchr(name, '.');
    CLEANUP(free) char *middle = xasprintf("%s%s", word ? "." : "", word ?: "");
    char *full = xasprintf("%.*s%s%s", (int)(dot - name), name, middle, dot);

    for (size_t i = 2; map_has(taken, full); i++) {
        free(full);
        full = xasprintf("%.*s-%zu%s%s", (int)(dot - name), name, i, middle, dot);
    }
    return full;
}

int engine_image_statements(struct engine *engine, const struct image *image, const char *word,
                            struct map *out, struct error *err)
{
    CLEANUP(attestations_done) struct attestations attestations = {};
    const struct strv no_names = {};
    const struct attest_subject subject = { image, MEDIA_TYPE_OCI_CONFIG, image->id, 0, &no_names };

    map_init_empty(out, free);
    if (store_image_attestations(engine->store, image->id, &attestations, err) < 0)
        return -1;
    for (size_t i = 0; i < attestations.count; i++) {
        CLEANUP(str_done) struct str text = {};
        CLEANUP(free) char *name = statement_name(&attestations.items[i], word, out);

        attest_statement(&subject, &attestations.items[i], &text);
        map_set_text(out, name, str_text(&text));
    }
    return 0;
}

/* ---- several in one directory ---- */

struct overlap {
    struct map paths; /* of all that is no directory, so far */
};

static int note_path(void *data, const struct tree_entry *entry, struct error *err)
{
    struct overlap *overlap = data;

    if (S_ISDIR(entry->status.st_mode))
        return 0;
    if (map_has(&overlap->paths, entry->path))
        return error_set(err, ERROR_CONFLICT,
                         "the images for several platforms have different files of one name (%s): "
                         "they need directories of their own (platform-split)",
                         entry->path);
    map_set(&overlap->paths, entry->path, NULL);
    return 0;
}

static int note_paths(void *data, int tree_fd, struct error *err)
{
    static const struct tree_visitor visitor = { note_path, NULL };

    return tree_walk(tree_fd, &visitor, data, err);
}

int engine_images_overlap_check(struct engine *engine, struct image *const *images, size_t count,
                                struct error *err)
{
    struct overlap overlap;
    int result = 0;

    if (count < 2)
        return 0;
    map_init_empty(&overlap.paths, NULL);
    for (size_t i = 0; i < count && result == 0; i++)
        result = engine_image_lend(engine, images[i], note_paths, &overlap, err);
    map_done(&overlap.paths);
    return result;
}

/* ---- archives ---- */

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

/* One of them. */
static int collect_image(struct engine *engine, const struct image_files *files, size_t index,
                         struct stream *out, struct error *err)
{
    const struct image *image = files->images[index];
    bool is_lone = files->count == 1;
    CLEANUP(free) char *word = image_platform_word(image);
    struct collecting collecting = { { .name = files->is_split ? word : NULL,
                                       .cancel_fd = files->cancel_fd,
                                       .is_continued = index + 1 < files->count },
                                     out };
    CLEANUP(map_done) struct map statements = {};
    CLEANUP(strv_done) struct strv names = {};

    if (files->attested &&
        engine_image_statements(engine, image, is_lone || files->is_split ? NULL : word,
                                &statements, err) < 0)
        return -1;
    CLEANUP(free)
    struct collect_text *texts = xcalloc(statements.count + 1, sizeof(*texts));
    MAP_EACH (&statements, entry)
        strv_add_format(&names, "%s%s%s", files->is_split ? word : "", files->is_split ? "/" : "",
                        entry->key);
    MAP_EACH (&statements, entry) {
        size_t at = collecting.options.text_count++;

        texts[at] = (struct collect_text){ names.items[at], entry->value };
    }
    collecting.options.texts = texts;
    return engine_image_lend(engine, image, collect, &collecting, err);
}

int engine_images_files(struct engine *engine, const struct image_files *files, struct stream *out,
                        struct error *err)
{
    if (!files->is_split &&
        engine_images_overlap_check(engine, files->images, files->count, err) < 0)
        return -1;
    for (size_t i = 0; i < files->count; i++)
        if (collect_image(engine, files, i, out, err) < 0)
            return -1;
    return 0;
}
