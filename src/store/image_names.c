/* Finding images by what people call them, and changing what they are called. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "store/image.h"

#include "base/banned.h"

#define SHA256_PREFIX "sha256:"

/* ---- finding ---- */

static struct image *by_id(struct store *store, const char *id) REQUIRES(store->memory)
{
    struct known_image *known = id ? map_get(&store->images, id) : NULL;

    return known ? image_ref(&known->image) : NULL;
}

static struct image *by_name(struct store *store, const char *name) REQUIRES(store->memory)
{
    return by_id(store, map_get(&store->tags, name));
}

/* 1: found; 0: none; -1: several. */
static int by_prefix(struct store *store, const char *text, struct image **out, struct error *err)
    REQUIRES(store->memory)
{
    const char *hex = text_starts(text, SHA256_PREFIX) ? text + strlen(SHA256_PREFIX) : text;
    struct known_image *found = NULL;

    if (!*hex || !text_is_hex(hex, strlen(hex)))
        return 0;
    MAP_EACH (&store->images, entry) {
        if (!text_starts(digest_hex(entry->key), hex))
            continue;
        if (found)
            return error_set(err, ERROR_INVALID, "multiple IDs found with provided prefix: %s",
                             text);
        found = entry->value;
    }
    if (found)
        *out = image_ref(&found->image);
    return found != NULL;
}

/* What a reference is filed under: by digest if it has one. */
static char *filed_name(const struct reference *reference)
{
    CLEANUP(free) char *name = reference_familiar_name(reference);

    return reference->digest ? xasprintf("%s@%s", name, reference->digest)
                             : xasprintf("%s:%s", name, reference->tag);
}

static int find(struct store *store, const char *text, const char *name, struct image **out,
                struct error *err)
{
    int found;

    mutex_lock(&store->memory);
    /* Names win: an id that happens to begin so must not take a name's place. */
    struct image *image = name ? by_name(store, name) : NULL;
    if (image) {
        *out = image;
        found = 1;
    } else {
        found = by_prefix(store, text, out, err);
    }
    mutex_unlock(&store->memory);
    return found;
}

static bool is_full_id(const char *text)
{
    return digest_is_valid(text) || (strlen(text) == 64 && text_is_hex(text, 64));
}

int store_image_find(struct store *store, const char *text, struct image **out, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(free) char *filed = NULL, *shown = NULL;

    if (is_full_id(text)) {
        shown = xasprintf("%s%s", digest_is_valid(text) ? "" : SHA256_PREFIX, text);
    } else {
        if (reference_parse(text, &reference, err) < 0)
            return -1;
        filed = filed_name(&reference);
        shown = reference_familiar(&reference);
    }
    int found = find(store, text, filed, out, err);
    if (found == 0)
        return error_set(err, ERROR_NOT_FOUND, "No such image: %s", shown);
    return found < 0 ? -1 : 0;
}

static int compare_age(const void *a, const void *b)
{
    const struct image *first = *(struct image *const *)a, *second = *(struct image *const *)b;

    if (first->created_ns != second->created_ns)
        return first->created_ns < second->created_ns ? 1 : -1;
    return strcmp(first->id, second->id);
}

int store_image_list(struct store *store, struct image ***out, size_t *out_count,
                     struct error *err UNUSED)
{
    size_t count = 0;

    mutex_lock(&store->memory);
    struct image **images = xcalloc(store->images.count + 1, sizeof(struct image *));
    MAP_EACH (&store->images, entry)
        images[count++] = image_ref(&((struct known_image *)entry->value)->image);
    mutex_unlock(&store->memory);
    qsort(images, count, sizeof(struct image *), compare_age);
    *out = images;
    *out_count = count;
    return 0;
}

void store_images_free(struct image **images, size_t count)
{
    for (size_t i = 0; i < count; i++)
        image_unref(images[i]);
    free(images);
}

/* ---- naming ---- */

static int record_tag(struct store *store, const char *name, const char *image_id, int64_t now_ns,
                      struct error *err)
{
    if (database_begin(store->database, DURABLE, err) < 0)
        return -1;
    if (database_run(store->database, err,
                     "INSERT OR REPLACE INTO tag (name, image_id) VALUES (?, ?)", "ss", name,
                     image_id) < 0 ||
        database_run(store->database, err, "UPDATE image SET tagged_ns = ? WHERE id = ?", "is",
                     now_ns, image_id) < 0) {
        database_rollback(store->database);
        return -1;
    }
    return database_commit(store->database, err);
}

static int tag_locked(struct store *store, const char *image_id, const char *name,
                      struct error *err) REQUIRES(store->changes)
{
    int64_t now_ns = clock_wall_ns();

    mutex_lock(&store->memory);
    bool exists = map_has(&store->images, image_id);
    mutex_unlock(&store->memory);
    if (!exists)
        return error_set(err, ERROR_NOT_FOUND, "No such image: %s", image_id);
    if (record_tag(store, name, image_id, now_ns, err) < 0)
        return -1;
    mutex_lock(&store->memory);
    CLEANUP(free) char *before = map_take(&store->tags, name);
    map_set(&store->tags, name, xstrdup(image_id));
    if (before && strcmp(before, image_id) != 0)
        image_refresh(store, before, 0);
    image_refresh(store, image_id, now_ns);
    mutex_unlock(&store->memory);
    store_write_index(store, NULL);
    return 0;
}

int store_image_tag(struct store *store, const char *image_id, const struct reference *reference,
                    struct error *err)
{
    if (!reference->tag && !reference->digest)
        return error_set(err, ERROR_INVALID, "a tag is needed to name an image");
    if (reference_name_check(reference, err) < 0)
        return -1;
    CLEANUP(free) char *name = filed_name(reference);
    mutex_lock(&store->changes);
    int result = tag_locked(store, image_id, name, err);
    mutex_unlock(&store->changes);
    return result;
}

int store_image_untag(struct store *store, const char *familiar_name, struct error *err)
{
    mutex_lock(&store->changes);
    int result = 0;
    bool exists = false;

    mutex_lock(&store->memory);
    exists = map_has(&store->tags, familiar_name);
    mutex_unlock(&store->memory);
    if (!exists) {
        result = error_set(err, ERROR_NOT_FOUND, "No such image: %.300s", familiar_name);
    } else if (database_run_alone(store->database, DURABLE, err, "DELETE FROM tag WHERE name = ?",
                                  "s", familiar_name) < 0) {
        result = -1;
    }
    if (result == 0) {
        mutex_lock(&store->memory);
        CLEANUP(free) char *image_id = map_take(&store->tags, familiar_name);
        image_refresh(store, image_id, 0);
        mutex_unlock(&store->memory);
        store_write_index(store, NULL);
    }
    mutex_unlock(&store->changes);
    return result;
}
