/* Record and disk, compared. Differences come from a crash between a commit and what should follow
 * it, or from somebody's hands; what a crash leaves is put right when the store is opened. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "store/internal.h"

#include "base/banned.h"

enum { BLOCK_SIZE = 256 * 1024 };

#define CONFIG_SIZE_LIMIT ((size_t)16 << 20)

static int list_directory(const char *path, struct strv *out, struct error *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return error_sys(err, "open %s", path);
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    closedir(dir);
    strv_sort(out);
    return 0;
}

/* Entries of a directory named by hex that 'known' has no digest for. */
static int list_unknown(struct store *store, const char *path, const struct map *known,
                        struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (list_directory(path, &names, err) < 0)
        return -1;
    mutex_lock(&store->memory);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free) char *digest = xasprintf("sha256:%s", names.items[i]);

        if (!map_has(known, digest))
            strv_add_take(out, path_join(path, names.items[i]));
    }
    mutex_unlock(&store->memory);
    return 0;
}

static void list_missing(struct store *store, struct strv *layers, struct strv *blobs)
{
    mutex_lock(&store->memory);
    MAP_EACH (&store->layers, entry) {
        CLEANUP(free) char *path = store_layer_path(store, entry->key, "diff");

        if (!file_exists(path))
            strv_add(layers, entry->key);
    }
    MAP_EACH (&store->blobs, entry) {
        const struct known_blob *blob = entry->value;
        CLEANUP(free) char *path = store_blob_path(store, entry->key);
        struct stat status;

        if (lstat(path, &status) < 0 || status.st_size != blob->size)
            strv_add(blobs, entry->key);
    }
    mutex_unlock(&store->memory);
}

/* ---- opening ---- */

int store_remove_paths(const struct strv *paths, struct error *err)
{
    for (size_t i = 0; i < paths->count; i++)
        if (tree_remove(paths->items[i], err) < 0)
            return -1;
    return 0;
}

static int empty_tmp(struct store *store, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(strv_done) struct strv paths = {};

    if (list_directory(store->tmp_path, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++)
        strv_add_take(&paths, path_join(store->tmp_path, names.items[i]));
    return store_discard(store, &paths, err);
}

static int remove_unknown(struct store *store, struct error *err)
{
    CLEANUP(strv_done) struct strv paths = {};
    CLEANUP(free) char *sha256_path = path_join(store->blobs_path, "sha256");

    if (list_unknown(store, store->layers_path, &store->layers, &paths, err) < 0 ||
        list_unknown(store, sha256_path, &store->blobs, &paths, err) < 0)
        return -1;
    return store_remove_paths(&paths, err);
}

/* The record has an image's configuration too, so that its blob can be written again. */
static int restore_config(struct store *store, const char *digest, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    CLEANUP(free) char *path = store_blob_path(store, digest);

    if (database_query(store->database, &query, err, "SELECT config FROM image WHERE id = ?", "s",
                       digest) < 0)
        return -1;
    int has_row = query_next(query, err);
    if (has_row <= 0)
        return has_row;
    const char *config = query_text(query, 0);
    if (file_write_atomic(path, config, strlen(config), 0600, true, err) < 0)
        return -1;
    return 1;
}

/* A layer without its kept blob is written from its directory. */
static int forget_blob(struct store *store, const char *digest, struct error *err)
{
    CLEANUP(free) char *path = store_blob_path(store, digest);

    if (database_run(store->database, err, "DELETE FROM blob WHERE digest = ?", "s", digest) < 0 ||
        database_run(store->database, err,
                     "UPDATE layer SET blob_digest = '' WHERE blob_digest = ?", "s", digest) < 0 ||
        tree_remove(path, err) < 0)
        return -1;
    mutex_lock(&store->memory);
    map_remove(&store->blobs, digest);
    MAP_EACH (&store->layers, entry) {
        struct known_layer *known = entry->value;

        if (strcmp(known->layer.blob_digest, digest) == 0)
            known->layer.blob_digest[0] = 0;
    }
    mutex_unlock(&store->memory);
    return 0;
}

static int forget_layer(struct store *store, const char *chain_id, struct error *err)
{
    if (database_run(store->database, err, "DELETE FROM layer WHERE chain_id = ?", "s", chain_id) <
        0)
        return -1;
    mutex_lock(&store->memory);
    map_remove(&store->layers, chain_id);
    mutex_unlock(&store->memory);
    return 0;
}

static int settle_missing(struct store *store, struct error *err)
{
    CLEANUP(strv_done) struct strv layers = {}, blobs = {};

    list_missing(store, &layers, &blobs);
    for (size_t i = 0; i < layers.count; i++)
        if (forget_layer(store, layers.items[i], err) < 0)
            return -1;
    for (size_t i = 0; i < blobs.count; i++) {
        int restored = restore_config(store, blobs.items[i], err);

        if (restored < 0 || (restored == 0 && forget_blob(store, blobs.items[i], err) < 0))
            return -1;
    }
    return 0;
}

static void list_used_blobs(struct store *store, struct map *out)
{
    mutex_lock(&store->memory);
    MAP_EACH (&store->images, entry) {
        map_set(out, entry->key, store);
        map_set(out, ((const struct known_image *)entry->value)->manifest_digest, store);
    }
    MAP_EACH (&store->layers, entry)
        map_set(out, ((const struct known_layer *)entry->value)->layer.blob_digest, store);
    mutex_unlock(&store->memory);
}

/* Blobs of pulls and builds that did not come to an end. Layers are left to store_collect: only the
 * engine knows which of them it still needs. */
static int remove_unused_blobs(struct store *store, struct error *err)
{
    CLEANUP(map_done) struct map used = {};
    CLEANUP(strv_done) struct strv unused = {};

    list_used_blobs(store, &used);
    mutex_lock(&store->memory);
    MAP_EACH (&store->blobs, entry)
        if (!map_has(&used, entry->key))
            strv_add(&unused, entry->key);
    mutex_unlock(&store->memory);
    for (size_t i = 0; i < unused.count; i++)
        if (forget_blob(store, unused.items[i], err) < 0)
            return -1;
    return 0;
}

/* Whole trees of an earlier boot may not have reached the disk. */
static int remove_old_trees(struct store *store, struct error *err)
{
    CLEANUP(free) char *current = xasprintf("vfs-%s", store->boot_id);

    if (!store->driver->marks_by_name)
        return 0;
    MAP_EACH (&store->layers, entry) {
        CLEANUP(free) char *layer_path = store_layer_path(store, entry->key, "");
        CLEANUP(strv_done) struct strv names = {};

        if (list_directory(layer_path, &names, err) < 0)
            return -1;
        for (size_t i = 0; i < names.count; i++) {
            CLEANUP(free) char *path = path_join(layer_path, names.items[i]);

            if (strcmp(names.items[i], "diff") != 0 && strcmp(names.items[i], current) != 0 &&
                tree_remove(path, err) < 0)
                return -1;
        }
    }
    return 0;
}

int store_repair(struct store *store, struct error *err)
{
    if (empty_tmp(store, err) < 0 || settle_missing(store, err) < 0 ||
        remove_unused_blobs(store, err) < 0 || remove_unknown(store, err) < 0 ||
        remove_old_trees(store, err) < 0)
        return error_context(err, "repair");
    mutex_lock(&store->changes);
    int result = store_write_index(store, err);
    mutex_unlock(&store->changes);
    return result;
}

/* ---- verifying ---- */

static void verify_config(struct store *store, const struct image *image, struct strv *out)
{
    CLEANUP(str_done) struct str config = {};
    char digest[DIGEST_TEXT_SIZE];
    struct error why = {};

    if (blob_read(store, image->id, CONFIG_SIZE_LIMIT, &config, &why) < 0) {
        strv_add_format(out, "image %s: its configuration cannot be read: %s", image->id, why.text);
        return;
    }
    sha256_digest(str_text(&config), config.length, digest);
    if (strcmp(digest, image->id) != 0)
        strv_add_format(out, "image %s: its configuration has digest %s", image->id, digest);
}

static int verify_images(struct store *store, struct strv *out, struct error *err)
{
    struct image **images;
    size_t count;

    if (store_image_list(store, &images, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(strv_done) struct strv chain = {};
        struct error why = {};

        if (store_chain(store, images[i]->chain_id, &chain, &why) < 0)
            strv_add_format(out, "image %s: %s", images[i]->id, why.text);
        verify_config(store, images[i], out);
    }
    store_images_free(images, count);
    return 0;
}

int store_verify(struct store *store, struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv layers = {}, blobs = {}, unknown = {};
    CLEANUP(free) char *sha256_path = path_join(store->blobs_path, "sha256");
    int result;

    /* Nothing is half-way while this is held. */
    mutex_lock(&store->changes);
    list_missing(store, &layers, &blobs);
    result = list_unknown(store, store->layers_path, &store->layers, &unknown, err);
    if (result == 0)
        result = list_unknown(store, sha256_path, &store->blobs, &unknown, err);
    mutex_unlock(&store->changes);
    for (size_t i = 0; i < layers.count; i++)
        strv_add_format(out, "layer %s is recorded, but not on disk", layers.items[i]);
    for (size_t i = 0; i < blobs.count; i++)
        strv_add_format(out, "blob %s is recorded, but not whole on disk", blobs.items[i]);
    for (size_t i = 0; i < unknown.count; i++)
        strv_add_format(out, "%s is on disk, but not recorded", unknown.items[i]);
    return result < 0 ? -1 : verify_images(store, out, err);
}

/* ---- while others work ---- */

static int rehash_blob(struct store *store, const char *digest, struct strv *out)
{
    CLEANUP(free) char *path = store_blob_path(store, digest);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    char found[DIGEST_TEXT_SIZE];
    struct error err = {};
    ssize_t size;

    if (fd < 0)
        return 0; /* Gone meanwhile, or told as missing. */
    while ((size = fd_read_full(fd, block, BLOCK_SIZE, &err)) > 0)
        sha256_add(hash, block, (size_t)size);
    if (size < 0) {
        strv_add_format(out, "blob %s cannot be read: %s", digest, err.text);
        return -1;
    }
    sha256_finish(hash, found);
    if (strcmp(found, digest) == 0)
        return 0;
    strv_add_format(out, "blob %s has digest %s", digest, found);
    return -1;
}

static void list_blobs(struct store *store, struct strv *out)
{
    mutex_lock(&store->memory);
    MAP_EACH (&store->blobs, entry)
        strv_add(out, entry->key);
    mutex_unlock(&store->memory);
}

int store_rehash(struct store *store, struct strv *out, struct error *err UNUSED)
{
    CLEANUP(strv_done) struct strv blobs = {};

    list_blobs(store, &blobs);
    for (size_t i = 0; i < blobs.count; i++)
        rehash_blob(store, blobs.items[i], out);
    return 0;
}

static int restore_configs(struct store *store, struct error *err)
{
    struct image **images;
    size_t count;
    int result = 0;

    if (store_image_list(store, &images, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && result >= 0; i++) {
        CLEANUP(strv_done) struct strv wrong = {};

        verify_config(store, images[i], &wrong);
        if (wrong.count)
            result = restore_config(store, images[i]->id, err);
    }
    store_images_free(images, count);
    return result < 0 ? -1 : 0;
}

int store_repair_running(struct store *store, struct error *err)
{
    /* Nothing is half-way while this is held. */
    mutex_lock(&store->changes);
    int result = remove_unknown(store, err);
    mutex_unlock(&store->changes);
    return result < 0 ? -1 : restore_configs(store, err);
}
