/* What is known of layers, how they become known, and how they leave as archives. */
#include "store/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/outline.h"
#include "store/pack.h"
#include "store/whiteout.h"

#include "base/banned.h"

void known_layer_free(void *layer)
{
    free(layer);
}

static void copy_text(char out[DIGEST_TEXT_SIZE], const char *text)
{
    snprintf(out, DIGEST_TEXT_SIZE, "%s", text ?: "");
}

int store_load_layers(struct store *store, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    /* What was not synced before the machine went down may be incomplete. */
    if (database_run(store->database, err, "DELETE FROM layer WHERE boot NOT IN ('', ?)", "s",
                     store->boot_id) < 0 ||
        database_query(store->database, &query, err,
                       "SELECT chain_id, parent_id, diff_id, blob_digest, size, is_opaque, boot,"
                       " pack_order FROM layer",
                       NULL) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1) {
        struct known_layer *known = NEW(struct known_layer);

        copy_text(known->layer.chain_id, query_text(query, 0));
        copy_text(known->layer.parent_id, query_text(query, 1));
        copy_text(known->layer.diff_id, query_text(query, 2));
        copy_text(known->layer.blob_digest, query_text(query, 3));
        known->layer.size_bytes = query_int64(query, 4);
        known->is_opaque = query_int64(query, 5);
        known->is_synced = !*query_text(query, 6);
        known->order = (enum pack_order)query_int64(query, 7);
        map_set(&store->layers, known->layer.chain_id, known);
    }
    return more;
}

/* ---- asking ---- */

int store_layer_get(struct store *store, const char *chain_id, struct layer *out, struct error *err)
{
    mutex_lock(&store->memory);
    const struct known_layer *known = map_get(&store->layers, chain_id);
    if (known)
        *out = known->layer;
    mutex_unlock(&store->memory);
    return known ? 0 : error_set(err, ERROR_NOT_FOUND, "layer %.80s not found", chain_id);
}

/* 'stops': not below a layer that hides what is below. */
static int add_chain(struct store *store, const char *chain_id, bool stops, struct strv *out,
                     struct error *err)
{
    const char *at = chain_id;
    int result = 0;

    mutex_lock(&store->memory);
    while (*at && result == 0) {
        const struct known_layer *known = map_get(&store->layers, at);

        if (!known) {
            result = error_set(err, ERROR_NOT_FOUND, "layer %.80s not found", at);
            break;
        }
        strv_add(out, known->layer.chain_id);
        if (stops && known->is_opaque)
            break;
        at = known->layer.parent_id;
    }
    mutex_unlock(&store->memory);
    return result;
}

int store_chain(struct store *store, const char *chain_id, struct strv *out, struct error *err)
{
    return add_chain(store, chain_id, false, out, err);
}

int store_lower(struct store *store, const char *chain_id, struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv chain = {};

    if (add_chain(store, chain_id, true, &chain, err) < 0)
        return -1;
    for (size_t i = 0; i < chain.count; i++)
        strv_add_take(out, store_layer_path(store, chain.items[i], "diff"));
    return 0;
}

char *store_lower_paths(struct store *store, const char *chain_id)
{
    CLEANUP(strv_done) struct strv paths = {};
    struct error ignored;

    store_lower(store, chain_id, &paths, &ignored);
    return strv_join(&paths, ":");
}

int64_t store_layers_size(struct store *store)
{
    int64_t size = 0;

    mutex_lock(&store->memory);
    MAP_EACH (&store->layers, entry)
        size += ((const struct known_layer *)entry->value)->layer.size_bytes;
    mutex_unlock(&store->memory);
    return size;
}

int store_copy_root_attributes(struct store *store, const char *chain_id, int dir_fd,
                               struct error *err)
{
    CLEANUP(free) char *path = store_layer_path(store, chain_id, "diff");
    struct stat status;

    if (!*chain_id)
        return 0;
    if (stat(path, &status) < 0)
        return error_sys(err, "layer %s", chain_id);
    if (fchown(dir_fd, status.st_uid, status.st_gid) < 0 ||
        fchmod(dir_fd, status.st_mode & 07777) < 0)
        return error_sys(err, "set owner and mode");
    return 0;
}

/* ---- holding ---- */

static void count_up(struct map *counts, const char *key)
{
    struct hold *hold = map_get(counts, key);

    if (!hold) {
        hold = NEW(struct hold);
        map_set(counts, key, hold);
    }
    hold->count++;
}

static bool count_down(struct map *counts, const char *key)
{
    struct hold *hold = map_get(counts, key);

    if (hold && --hold->count == 0)
        map_remove(counts, key);
    return hold;
}

void young_add(struct store *store, const char *key)
{
    count_up(&store->young, key);
}

bool young_drop(struct store *store, const char *key)
{
    return count_down(&store->young, key);
}

void store_layer_hold(struct store *store, const char *chain_id)
{
    mutex_lock(&store->memory);
    count_down(&store->young, chain_id);
    count_up(&store->holds, chain_id);
    mutex_unlock(&store->memory);
}

void store_layer_release(struct store *store, const char *chain_id)
{
    mutex_lock(&store->memory);
    if (!count_down(&store->holds, chain_id))
        count_down(&store->young, chain_id);
    mutex_unlock(&store->memory);
}

/* ---- becoming known ---- */

static int record_layer(struct store *store, const struct layer *layer, bool is_opaque,
                        struct error *err)
{
    return database_run(store->database, err,
                        "INSERT INTO layer"
                        " (chain_id, parent_id, diff_id, blob_digest, size, is_opaque, boot,"
                        " pack_order)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        "ssssiisi", layer->chain_id, layer->parent_id, layer->diff_id,
                        layer->blob_digest, layer->size_bytes, (int64_t)is_opaque, store->boot_id,
                        (int64_t)PACK_LARGE_FIRST) < 0
               ? -1
               : 0;
}

static int publish_new(struct store *store, const char *directory_path, const struct layer *layer,
                       struct error *err) REQUIRES(store->changes)
{
    CLEANUP(free) char *path = store_layer_path(store, layer->chain_id, "");
    CLEANUP(free) char *diff_path = path_join(directory_path, "diff");
    CLEANUP(close) int diff_fd = open(diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct known_layer *known;

    if (diff_fd < 0)
        return error_sys(err, "open %s", diff_path);
    if (record_layer(store, layer, opaque_is(diff_fd), err) < 0)
        return -1;
    if (rename(directory_path, path) < 0) {
        error_sys(err, "rename %s to %s", directory_path, path);
        database_run(store->database, NULL, "DELETE FROM layer WHERE chain_id = ?", "s",
                     layer->chain_id);
        return -1;
    }
    known = NEW(struct known_layer);
    known->layer = *layer;
    known->is_opaque = opaque_is(diff_fd);
    known->order = PACK_LARGE_FIRST;
    mutex_lock(&store->memory);
    map_set(&store->layers, layer->chain_id, known);
    mutex_unlock(&store->memory);
    return 0;
}

static int publish_locked(struct store *store, const char *directory_path, struct layer *layer,
                          struct error *err) REQUIRES(store->changes)
{
    int result = 0;

    mutex_lock(&store->memory);
    const struct known_layer *there = map_get(&store->layers, layer->chain_id);
    bool is_there = there;
    if (there)
        *layer = there->layer;
    else if (*layer->parent_id && !map_has(&store->layers, layer->parent_id))
        result = error_set(err, ERROR_NOT_FOUND, "layer %s not found", layer->parent_id);
    /* Nobody names it yet, and yet it is wanted. */
    if (result == 0)
        young_add(store, layer->chain_id);
    mutex_unlock(&store->memory);
    if (result < 0)
        return -1;
    if (is_there || publish_new(store, directory_path, layer, err) == 0)
        return 0;
    mutex_lock(&store->memory);
    young_drop(store, layer->chain_id);
    mutex_unlock(&store->memory);
    return -1;
}

int layer_publish(struct store *store, const char *directory_path, struct layer *layer,
                  struct error *err)
{
    struct strv diff_ids = {};
    char both[2 * DIGEST_TEXT_SIZE];

    strv_add(&diff_ids, layer->diff_id);
    if (*layer->parent_id) {
        snprintf(both, sizeof(both), "%s %s", layer->parent_id, layer->diff_id);
        sha256_digest(both, strlen(both), layer->chain_id);
    } else {
        image_chain_id(&diff_ids, 1, layer->chain_id);
    }
    strv_done(&diff_ids);
    mutex_lock(&store->changes);
    int result = publish_locked(store, directory_path, layer, err);
    mutex_unlock(&store->changes);
    return result;
}

/* ---- leaving ---- */

static bool is_outline(struct store *store, const char *blob_digest)
{
    CLEANUP(free) char *media_type = blob_media_type(store, blob_digest);

    return text_equal(media_type, MEDIA_TYPE_OUTLINE);
}

static int open_diff(struct store *store, const char *chain_id, struct error *err)
{
    CLEANUP(free) char *path = store_layer_path(store, chain_id, "diff");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, "open %s", path) : fd;
}

/* The blob is the archive, or what the files lack of it. */
static int write_blob(struct store *store, const struct layer *layer, struct stream *out,
                      struct error *err)
{
    enum compression compression;
    int fd;

    if (blob_open(store, layer->blob_digest, &fd, NULL, err) < 0)
        return -1;
    CLEANUP(stream_close)
    struct stream *plain = stream_inflate(stream_from_fd(fd, 1), (struct inflate_limits){},
                                          &compression, err);
    if (!plain)
        return -1;
    if (!is_outline(store, layer->blob_digest))
        return stream_copy(plain, out, err) < 0 ? -1 : 0;
    CLEANUP(close) int diff_fd = open_diff(store, layer->chain_id, err);
    return diff_fd < 0 ? -1 : outline_write(plain, diff_fd, out, err);
}

static enum pack_order order_of(struct store *store, const char *chain_id)
{
    mutex_lock(&store->memory);
    const struct known_layer *known = map_get(&store->layers, chain_id);
    enum pack_order order = known ? known->order : PACK_LARGE_FIRST;
    mutex_unlock(&store->memory);
    return order;
}

int store_layer_write(struct store *store, const char *chain_id, struct stream *out,
                      struct error *err)
{
    struct layer layer;

    if (store_layer_get(store, chain_id, &layer, err) < 0)
        return -1;
    if (*layer.blob_digest)
        return write_blob(store, &layer, out, err);
    CLEANUP(close) int diff_fd = open_diff(store, chain_id, err);
    if (diff_fd < 0)
        return -1;
    return pack_directory(diff_fd, order_of(store, chain_id), store->driver->marks_by_name, out,
                          NULL, NULL, err);
}
