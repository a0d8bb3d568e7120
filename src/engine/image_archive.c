/* Names in, names out: the archive itself is the work of registry/. */
#include "engine/image_archive.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"
#include "engine/internal.h"

#include "base/banned.h"

/* ---- saving ---- */

void image_selection_done(struct image_selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        store_layer_release(selection->engine->store, selection->items[i].image->chain_id);
        image_unref(selection->items[i].image);
        strv_done(&selection->items[i].names);
    }
    free(selection->items);
    *selection = (struct image_selection){};
}

/* One entry per image, however many of its names are asked for. */
static void select_image(struct image_selection *selection, struct image *image, const char *name)
{
    struct archive_item *item = NULL;

    for (size_t i = 0; i < selection->count; i++)
        if (strcmp(selection->items[i].image->id, image->id) == 0)
            item = &selection->items[i];
    if (!item) {
        selection->items = xrealloc(selection->items, selection->count + 1,
                                    sizeof(*selection->items));
        item = &selection->items[selection->count++];
        *item = (struct archive_item){ .image = image_ref(image) };
        store_layer_hold(selection->engine->store, image->chain_id);
    }
    if (name && !strv_contains(&item->names, name))
        strv_add(&item->names, name);
}

static bool tag_is_of(const char *tag, const char *repository)
{
    size_t length = strlen(repository);

    return strncmp(tag, repository, length) == 0 && strrchr(tag, ':') == tag + length;
}

/* True if there are any. */
static bool select_repository(struct image_selection *selection, const char *repository)
{
    struct image **images;
    size_t count, before = selection->count;
    bool found = false;

    store_image_list(selection->engine->store, &images, &count, NULL);
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < images[i]->tags.count; t++)
            if (tag_is_of(images[i]->tags.items[t], repository)) {
                select_image(selection, images[i], images[i]->tags.items[t]);
                found = true;
            }
    store_images_free(images, count);
    return found || selection->count > before;
}

int engine_image_check_platform(const struct image *image, const char *name,
                                const struct platform *platform, struct error *err)
{
    CLEANUP(platform_done) struct platform offered = {};
    const struct image_config *config = &image->config;

    if (!platform)
        return 0;
    CLEANUP(free)
    char *text = xasprintf("%s/%s%s%s", config->os ?: "", config->architecture ?: "",
                           text_is_empty(config->variant) ? "" : "/", config->variant ?: "");
    if (platform_parse(text, &offered, NULL) == 0 && platform_match(platform, &offered))
        return 0;
    CLEANUP(free) char *wanted = platform_format(platform);
    return error_set(err, ERROR_NOT_FOUND,
                     "image with reference %s was found but its platform (%s) does not match the "
                     "specified platform (%s)",
                     name, text, wanted);
}

static int select_name(struct image_selection *selection, const char *name,
                       const struct platform *platform, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(image_unref) struct image *image = NULL;
    bool is_name = reference_parse_exact(name, &reference, err) == 0;

    if (!is_name && !text_starts(name, "sha256:") && strlen(name) != ID_LENGTH)
        return -1;
    if (is_name && !reference.tag && !reference.digest) {
        CLEANUP(free) char *repository = reference_familiar_name(&reference);

        if (!platform && select_repository(selection, repository))
            return 0;
    }
    if (store_image_find(selection->engine->store, name, &image, err) < 0)
        return err && err->kind == ERROR_NOT_FOUND
                   ? error_set(err, ERROR_NOT_FOUND, "No such image: %s", name)
                   : -1;
    if (engine_image_check_platform(image, name, platform, err) < 0)
        return -1;
    if (is_name && !reference.digest) {
        CLEANUP(free) char *repository = reference_familiar_name(&reference);
        CLEANUP(free) char *tag = xasprintf("%s:%s", repository, reference.tag ?: "latest");

        /* A short id looks like a name. */
        select_image(selection, image, strv_contains(&image->tags, tag) ? tag : NULL);
    } else {
        select_image(selection, image, NULL);
    }
    return 0;
}

int engine_images_select(struct engine *engine, const struct strv *names,
                         const struct platform *platform, struct image_selection *out,
                         struct error *err)
{
    out->engine = engine;
    for (size_t i = 0; i < names->count; i++)
        if (select_name(out, names->items[i], platform, err) < 0)
            return -1;
    return 0;
}

int engine_images_select_as(struct engine *engine, const char *id, const struct strv *names,
                            struct image_selection *out, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    *out = (struct image_selection){ .engine = engine };
    if (store_image_find(engine->store, id, &image, err) < 0)
        return -1;
    select_image(out, image, NULL);
    for (size_t i = 0; i < names->count; i++)
        select_image(out, image, names->items[i]);
    return 0;
}

int engine_images_save(struct image_selection *selection, struct stream *out, struct error *err)
{
    if (archive_save(selection->engine->store, selection->items, selection->count, out, err) < 0)
        return -1;
    for (size_t i = 0; i < selection->count; i++)
        image_event(selection->engine, selection->items[i].image, "save",
                    selection->items[i].image->id);
    return 0;
}

int engine_images_save_index(struct image_selection *selection, const struct strv *names,
                             const struct archive_target *target, struct error *err)
{
    return archive_save_index(selection->engine->store, selection->items, selection->count, names,
                              target, err);
}

/* ---- loading ---- */

struct loading {
    struct engine *engine;
    const struct load_watcher *watcher;
};

static int on_layer(void *data, const char *diff_id, int64_t done, int64_t total)
{
    const struct load_watcher *watcher = ((struct loading *)data)->watcher;

    return watcher->layer(watcher->data, diff_id, done, total);
}

/* The name moves away from another image: the user is told which. */
static void tell_moved(struct loading *loading, const char *name, const struct image *image)
{
    CLEANUP(image_unref) struct image *before = NULL;

    if (store_image_find(loading->engine->store, name, &before, NULL) < 0 ||
        !strv_contains(&before->tags, name) || strcmp(before->id, image->id) == 0)
        return;
    CLEANUP(free)
    char *text = xasprintf("The image %s already exists, renaming the old one with ID %s to empty "
                           "string\n",
                           name, before->id);
    loading->watcher->say(loading->watcher->data, text);
}

static int on_loaded(void *data, struct image *image, const char *name, struct error *err)
{
    struct loading *loading = data;
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(free)
    char *text = name ? xasprintf("Loaded image: %s\n", name)
                      : xasprintf("Loaded image ID: %s\n", image->id);

    if (name) {
        tell_moved(loading, name, image);
        if (reference_parse(name, &reference, err) < 0 ||
            store_image_tag(loading->engine->store, image->id, &reference, err) < 0)
            return -1;
    }
    image_event(loading->engine, image, "load", image->id);
    loading->watcher->say(loading->watcher->data, text);
    return 0;
}

int engine_images_load(struct engine *engine, struct stream *archive,
                       const struct archive_choice *choice, const struct load_watcher *watcher,
                       struct error *err)
{
    struct loading loading = { engine, watcher };
    struct archive_watcher inner = { &loading, on_layer, on_loaded };
    struct error why = {};

    if (archive_load(engine->store, archive, choice, &inner, err) == 0)
        return 0;
    if (store_collect(engine->store, engine_layer_is_used, engine, &why) < 0)
        log_warn("cannot remove what a failed load left", "error", why.text);
    return -1;
}
