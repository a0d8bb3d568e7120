/* Images as clients see them. The rules of removal are Docker's: a name first, the image with its
 * last name. */
#include "engine/image.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/usage.h"

#include "base/banned.h"

void image_event(struct engine *engine, const struct image *image, const char *action,
                 const char *name)
{
    CLEANUP(map_done) struct map attributes;

    map_copy_texts(&attributes, &image->config.config.labels);
    map_set_text(&attributes, "name", name);
    engine_event(engine, "image", action, image->id, &attributes);
}

int engine_image_get(struct engine *engine, const char *text, struct image **out, struct error *err)
{
    return store_image_find(engine->store, text, out, err);
}

int engine_image_list(struct engine *engine, struct image ***out, size_t *out_count,
                      struct error *err)
{
    return store_image_list(engine->store, out, out_count, err);
}

/* A container of the image that matters for its removal: a running one rather than a stopped one.
 * NULL if there is none. */
static struct container_info *user_of(struct engine *engine, const char *image_id, int *out_count)
{
    struct container_info *found = NULL;
    int count = 0;

    mutex_lock(&engine->lock);
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);

        if (strcmp(info->image_id, image_id) != 0)
            continue;
        count++;
        if (!found || (container_is_up(info) && !container_is_up(found))) {
            container_info_unref(found);
            found = container_info_ref(info);
        }
    }
    mutex_unlock(&engine->lock);
    if (out_count)
        *out_count = count;
    return found;
}

int engine_image_container_count(struct engine *engine, const char *image_id)
{
    int count;

    container_info_unref(user_of(engine, image_id, &count));
    return count;
}

void engine_image_container_counts(struct engine *engine, struct map *out)
{
    map_init_empty(out, free);
    mutex_lock(&engine->lock);
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);
        int *count = map_get(out, info->image_id);

        if (!count) {
            count = NEW(int);
            map_set(out, info->image_id, count);
        }
        ++*count;
    }
    mutex_unlock(&engine->lock);
}

int image_container_count(const struct map *counts, const char *image_id)
{
    const int *count = map_get(counts, image_id);

    return count ? *count : 0;
}

int engine_image_tag(struct engine *engine, const char *text, const char *repository,
                     const char *tag, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(free)
    char *name = text_is_empty(tag) ? xstrdup(repository) : xasprintf("%s:%s", repository, tag);

    if (store_image_find(engine->store, text, &image, err) < 0 ||
        reference_tag_check(tag, err) < 0 || reference_parse(name, &reference, err) < 0)
        return -1;
    if (reference.digest)
        return error_set(err, ERROR_INVALID, "refusing to create a tag with a digest reference");
    if (store_image_tag(engine->store, image->id, &reference, err) < 0)
        return -1;
    CLEANUP(free) char *familiar = reference_familiar(&reference);
    image_event(engine, image, "tag", familiar);
    return 0;
}

void image_add_removal(struct json_list *out, bool is_untagged, const char *name)
{
    struct image_removal *removal = json_list_add(out, sizeof(*removal));

    *removal = (struct image_removal){ is_untagged, xstrdup(name) };
}

static const char *short_id(const char *id)
{
    static __thread char text[SHORT_ID_LENGTH + 1];
    const char *colon = strchr(id, ':');

    snprintf(text, sizeof(text), "%.12s", colon ? colon + 1 : id);
    return text;
}

/* Layers of containers, of the build cache and of builds in progress stay. */
bool engine_layer_is_used(void *data, const char *chain_id)
{
    struct engine *engine = data;
    bool is_used = builder_uses_layer(engine->builder, chain_id);

    mutex_lock(&engine->lock);
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);

        is_used |= strcmp(info->spec->chain_id, chain_id) == 0;
        for (size_t i = 0; i < info->spec->mounts.count; i++)
            is_used |= text_equal(
                JSON_ITEMS(&info->spec->mounts, struct container_mount)[i].chain_id, chain_id);
    }
    mutex_unlock(&engine->lock);
    return is_used;
}

typedef int image_remover(struct store *store, const char *image_id,
                          bool (*in_use)(void *data, const char *chain_id), void *data,
                          struct strv *out_removed_layers, struct error *err);

static int delete_image(struct engine *engine, struct image *image, image_remover *remove,
                        bool no_prune, struct json_list *out, struct error *err)
{
    CLEANUP(strv_done) struct strv layers = {};
    CLEANUP(image_unref) struct image *parent = NULL;
    struct error ignored;

    if (remove(engine->store, image->id, engine_layer_is_used, engine, &layers, err) < 0)
        return -1;
    image_add_removal(out, false, image->id);
    image_event(engine, image, "delete", image->id);
    for (size_t i = 0; i < layers.count; i++)
        image_add_removal(out, false, layers.items[i]);
    /* Parents that have no name and no other child go along. */
    if (no_prune || !image->parent_id[0] ||
        store_image_find(engine->store, image->parent_id, &parent, &ignored) < 0)
        return 0;
    int users;
    container_info_unref(user_of(engine, parent->id, &users));
    if (parent->tags.count || users || store_image_has_children(engine->store, parent->id))
        return 0;
    return delete_image(engine, parent,
                        remove == store_image_remove ? remove : store_image_remove_nameless, false,
                        out, err);
}

/* Reasons against deleting the image itself. Hard ones are not overcome by force. */
static int check_deletable(struct engine *engine, const struct image *image, const char *reference,
                           bool force, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *user = user_of(engine, image->id, NULL);
    char image_text[16];

    snprintf(image_text, sizeof(image_text), "%s", short_id(image->id));
    if (user && container_is_up(user) && reference)
        return error_set(err, ERROR_CONFLICT,
                         "conflict: unable to remove repository reference \"%s\" (%s) - container "
                         "%s is using its referenced "
                         "image %s",
                         reference, "must force", short_id(user->id), image_text);
    if (user && container_is_up(user))
        return error_set(err, ERROR_CONFLICT,
                         "conflict: unable to delete %s (cannot be forced) - image is being used "
                         "by running container %s",
                         image_text, short_id(user->id));
    if (user && !force && reference)
        return error_set(err, ERROR_CONFLICT,
                         "conflict: unable to remove repository reference \"%s\" (must force) - "
                         "container %s is using its "
                         "referenced image %s",
                         reference, short_id(user->id), image_text);
    if (user && !force)
        return error_set(err, ERROR_CONFLICT,
                         "conflict: unable to delete %s (must be forced) - image is being used by "
                         "stopped container %s",
                         image_text, short_id(user->id));
    if (store_image_is_held(engine->store, image->id) && !reference)
        return error_set(err, ERROR_CONFLICT,
                         "conflict: unable to delete %s (cannot be forced) - image is being used "
                         "by a build",
                         image_text);
    if (store_image_has_children(engine->store, image->id) && !reference)
        return error_set(
            err, ERROR_CONFLICT,
            "conflict: unable to delete %s (cannot be forced) - image has dependent child "
            "images",
            image_text);
    return 0;
}

/* True if the text is (part of) the id rather than a name of the image. */
static bool names_by_id(const struct image *image, const char *text)
{
    const char *hex = strchr(image->id, ':') + 1;
    CLEANUP(reference_done) struct reference reference = {};
    struct error ignored;

    if (text_starts(text, "sha256:"))
        return true;
    if (!text_starts(hex, text))
        return false;
    if (reference_parse(text, &reference, &ignored) < 0)
        return true;
    CLEANUP(free) char *familiar = reference_familiar(&reference);
    return !strv_contains(&image->tags, familiar);
}

/* What goes with a name: with the last tag of a repository also the digests it is known by there.
 */
static void list_going(const struct image *image, const struct reference *reference,
                       struct strv *out)
{
    CLEANUP(free) char *name = reference_familiar_name(reference);
    size_t length = strlen(name);
    bool has_other_tag = false;

    strv_add_take(out, reference->digest ? xasprintf("%s@%s", name, reference->digest)
                                         : xasprintf("%s:%s", name, reference->tag));
    if (reference->digest)
        return;
    for (size_t i = 0; i < image->tags.count; i++) {
        const char *tag = image->tags.items[i];

        has_other_tag |= strncmp(tag, name, length) == 0 && strrchr(tag, ':') == tag + length &&
                         strcmp(tag, out->items[0]) != 0;
    }
    for (size_t i = 0; !has_other_tag && i < image->digests.count; i++)
        if (strncmp(image->digests.items[i], name, length) == 0 &&
            image->digests.items[i][length] == '@')
            strv_add(out, image->digests.items[i]);
}

static bool goes_all(const struct image *image, const struct strv *going)
{
    for (size_t i = 0; i < image->tags.count; i++)
        if (!strv_contains(going, image->tags.items[i]))
            return false;
    for (size_t i = 0; i < image->digests.count; i++)
        if (!strv_contains(going, image->digests.items[i]))
            return false;
    return true;
}

static int untag_all(struct engine *engine, const struct image *image, const struct strv *names,
                     struct json_list *out, struct error *err)
{
    for (size_t i = 0; i < names->count; i++) {
        if (store_image_untag(engine->store, names->items[i], err) < 0)
            return -1;
        image_add_removal(out, true, names->items[i]);
        image_event(engine, image, "untag", image->id);
    }
    return 0;
}

static int remove_by_name(struct engine *engine, struct image *image, const char *text, bool force,
                          bool no_prune, struct json_list *out, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(text, &reference, err) < 0)
        return -1;
    CLEANUP(strv_done) struct strv going = {};
    list_going(image, &reference, &going);
    bool is_last = goes_all(image, &going);
    if (is_last && !force && check_deletable(engine, image, text, force, err) < 0)
        return -1;
    if (untag_all(engine, image, &going, out, err) < 0)
        return -1;
    if (!is_last)
        return 0;
    struct error kept = {};
    /* With users or children left, only the name goes. */
    CLEANUP(container_info_unref) struct container_info *user = user_of(engine, image->id, NULL);
    if (user || store_image_is_held(engine->store, image->id) ||
        store_image_has_children(engine->store, image->id))
        return 0;
    CLEANUP(image_unref) struct image *now = NULL;
    if (store_image_find(engine->store, image->id, &now, &kept) < 0)
        return 0;
    return delete_image(engine, now, store_image_remove, no_prune, out, err);
}

int engine_image_remove(struct engine *engine, const char *text, bool force, bool no_prune,
                        struct json_list *out, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (store_image_find(engine->store, text, &image, err) < 0)
        return -1;
    if (!names_by_id(image, text))
        return remove_by_name(engine, image, text, force, no_prune, out, err);
    if (image->tags.count > 1 && !force)
        return error_set(err, ERROR_CONFLICT,
                         "conflict: unable to delete %s (must be forced) - image is referenced in "
                         "multiple repositories",
                         short_id(image->id));
    if (check_deletable(engine, image, NULL, force, err) < 0)
        return -1;
    if (untag_all(engine, image, &image->tags, out, err) < 0 ||
        untag_all(engine, image, &image->digests, out, err) < 0)
        return -1;
    return delete_image(engine, image, store_image_remove, no_prune, out, err);
}

int engine_image_remove_nameless(struct engine *engine, const char *image_id, struct json_list *out,
                                 struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (store_image_find(engine->store, image_id, &image, err) < 0 ||
        check_deletable(engine, image, NULL, false, err) < 0)
        return -1;
    return delete_image(engine, image, store_image_remove_nameless, false, out, err);
}

void engine_image_let_go(struct engine *engine, const char *image_id, bool is_wanted)
{
    CLEANUP(image_unref) struct image *image = NULL;
    struct json_list removed = {};
    struct error err = {};

    if (!store_image_let_go(engine->store, image_id, is_wanted) ||
        store_image_find(engine->store, image_id, &image, &err) < 0)
        return;
    int result = check_deletable(engine, image, NULL, false, &err);
    if (result == 0)
        result = delete_image(engine, image, store_image_remove_unwanted, false, &removed, &err);
    /* What uses it keeps it for good; another build will let go of it in its turn. */
    if (result < 0 && !store_image_is_held(engine->store, image_id) &&
        store_image_hold(engine->store, image_id))
        store_image_let_go(engine->store, image_id, true);
    if (result < 0 && err.kind != ERROR_CONFLICT && err.kind != ERROR_NOT_FOUND)
        log_warn("cannot remove the image of an output", "image", image_id, "error", err.text);
    image_removals_free(&removed);
}

void image_removals_free(struct json_list *removals)
{
    for (size_t i = 0; i < removals->count; i++)
        free(JSON_ITEMS(removals, struct image_removal)[i].name);
    free(removals->items);
    *removals = (struct json_list){};
}

int engine_temporary_file(struct engine *engine, struct error *err)
{
    return store_temporary_file(engine->store, err);
}

char *engine_temporary_directory(struct engine *engine, struct error *err)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    CLEANUP(free) char *path = xasprintf("%s/tmp/work-%.16s", engine->options.data_path, id);
    return dir_make(path, 0700, err) < 0 ? NULL : TAKE(path);
}

/* What an imported image says that it is for: this machine, if nothing else is said. */
static int choose_platform(const char *text, struct platform *out, struct error *err)
{
    if (text_is_empty(text))
        platform_native(out);
    else if (platform_parse(text, out, err) < 0)
        return -1;
    if (strcmp(out->os, "linux") != 0)
        return error_set(err, ERROR_INVALID, "operating system is not supported: \"%s\"", out->os);
    return 0;
}

int engine_image_import(struct engine *engine, struct stream *archive, const char *repository,
                        const char *tag, const char *message, const struct strv *changes,
                        const char *platform, char out_id[72], struct error *err)
{
    struct image_config config = {};
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(platform_done) struct platform target = {};
    struct layer layer;

    if (!text_is_empty(repository)) {
        CLEANUP(free)
        char *name = text_is_empty(tag) ? xstrdup(repository) : xasprintf("%s:%s", repository, tag);

        if (reference_parse(name, &reference, err) < 0)
            return -1;
        if (reference.digest)
            return error_set(err, ERROR_INVALID, "cannot import digest reference");
        if (reference_name_check(&reference, err) < 0)
            return -1;
    }
    if (choose_platform(platform, &target, err) < 0)
        return -1;
    if (build_apply_changes(changes, &config.config, err) < 0)
        return -1;
    int result = store_layer_unpack(engine->store, "", archive, false, &layer, err);
    if (result == 0) {
        struct image_history *history = json_list_add(&config.history, sizeof(*history));

        config.architecture = TAKE(target.architecture);
        config.variant = TAKE(target.variant);
        config.os = TAKE(target.os);
        config.created_ns = history->created_ns = clock_wall_ns();
        history->comment = xstrdup(text_is_empty(message) ? "Imported from -" : message);
        config.comment = xstrdup(history->comment);
        config.rootfs.type = xstrdup("layers");
        strv_add(&config.rootfs.diff_ids, layer.diff_id);
        result = store_image_create(engine->store, &config, "", &image, err);
        store_layer_release(engine->store, layer.chain_id);
    }
    json_fields_done(image_config_fields, &config);
    if (result < 0)
        return -1;
    if (reference.path && store_image_tag(engine->store, image->id, &reference, err) < 0)
        return -1;
    snprintf(out_id, 72, "%s", image->id);
    image_event(engine, image, "import", image->id);
    return 0;
}
