/* Opening a data root: directories, tables, the driver, and what the record knows. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "linux/tree.h"
#include "store/internal.h"

#include "base/banned.h"

#define DEFAULT_LAYER_SIZE  (UINT64_C(64) << 30)
#define DEFAULT_ENTRY_COUNT UINT64_C(4000000)
#define DEFAULT_RATIO       UINT64_C(1000)

static const char *const tables[] = {
    "CREATE TABLE store_setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE blob (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, media_type TEXT)"
    " WITHOUT ROWID;"
    /* boot: the boot during which it was written, '' once it is on disk for good */
    "CREATE TABLE layer (chain_id TEXT PRIMARY KEY, parent_id TEXT NOT NULL,"
    " diff_id TEXT NOT NULL, blob_digest TEXT NOT NULL, size INTEGER NOT NULL,"
    " is_opaque INTEGER NOT NULL, boot TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE image (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL, chain_id TEXT NOT NULL,"
    " manifest_digest TEXT NOT NULL, created_ns INTEGER NOT NULL, size INTEGER NOT NULL,"
    " tagged_ns INTEGER NOT NULL, config TEXT NOT NULL);"
    "CREATE TABLE tag (name TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES image (id))"
    " WITHOUT ROWID;"
    "CREATE INDEX tag_of_image ON tag (image_id)",
    /* what a layer's plain bytes become with gzip: known without compressing them again */
    "CREATE TABLE compressed (diff_id TEXT PRIMARY KEY, digest TEXT NOT NULL,"
    " size INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE plain (diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE attestation (image_id TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,"
    " place INTEGER NOT NULL, predicate_type TEXT NOT NULL, predicate TEXT NOT NULL,"
    " PRIMARY KEY (image_id, place)) WITHOUT ROWID",
    /* hashes of the beginnings of archives (layer_digest.c) */
    ("CREATE TABLE archive_state (id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL,"
     " size INTEGER NOT NULL, words BLOB NOT NULL)"),
    /* crc: of the plain bytes, as gzip has it; NULL: not known yet */
    "ALTER TABLE plain ADD COLUMN crc INTEGER",
    /* enum pack_order */
    "ALTER TABLE layer ADD COLUMN pack_order INTEGER NOT NULL DEFAULT 0",
};

char *store_tmp_name(const struct store *store, const char *kind)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    return xasprintf("%s/%s-%.*s", store->tmp_path, kind, ID_SUFFIX_LENGTH, id);
}

int store_discard(struct store *store, struct strv *paths, struct error *err)
{
    if (!store->discard)
        return store_remove_paths(paths, err);
    store->discard(store->discard_data, paths);
    return 0;
}

char *store_layer_path(const struct store *store, const char *chain_id, const char *name)
{
    if (!*chain_id)
        return xstrdup(store->empty_path);
    return xasprintf("%s/%s%s%s", store->layers_path, digest_hex(chain_id), *name ? "/" : "", name);
}

char *store_blob_path(const struct store *store, const char *digest)
{
    return xasprintf("%s/sha256/%s", store->blobs_path, digest_hex(digest));
}

const char *store_driver(const struct store *store)
{
    return store->driver->name;
}

static int make_directories(struct store *store, struct error *err)
{
    CLEANUP(free) char *sha256_path = path_join(store->blobs_path, "sha256");
    const char *const private[] = { store->data_path, store->blobs_path, sha256_path,
                                    store->layers_path, store->tmp_path };

    for (size_t i = 0; i < COUNT(private); i++)
        if (dir_make(private[i], 0700, err) < 0)
            return -1;
    tree_spread(store->tmp_path);
    if (dir_make(store->empty_path, 0755, err) < 0)
        return -1;
    return chmod(store->empty_path, 0755) < 0 ? error_sys(err, "%s", store->empty_path) : 0;
}

static int lock_data_root(struct store *store, struct error *err)
{
    store->data_fd = open(store->data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->data_fd < 0)
        return error_sys(err, "open %s", store->data_path);
    if (flock(store->data_fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, ERROR_UNAVAILABLE, "%s is in use by another engine",
                         store->data_path);
    return 0;
}

static int read_boot_id(struct store *store, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read("/proc/sys/kernel/random/boot_id", 256, &text, err) < 0)
        return -1;
    size_t length = MIN(strcspn(str_text(&text), "\n"), sizeof(store->boot_id) - 1);
    memcpy(store->boot_id, text.data, length);
    return 0;
}

/* ---- driver ---- */

static char *remembered_driver(struct store *store, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(store->database, &query, err,
                       "SELECT value FROM store_setting WHERE key = 'driver'", NULL) < 0)
        return NULL;
    int has_row = query_next(query, err);
    return has_row < 0 ? NULL : xstrdup(has_row ? query_text(query, 0) : "");
}

/* Layers look different with each driver, so a data root stays with its first one. */
static int choose_driver(struct store *store, const char *wanted, struct error *err)
{
    static const struct driver *const drivers[] = { &driver_overlay, &driver_vfs };
    CLEANUP(free) char *before = remembered_driver(store, err);
    struct error why = {};

    if (!before)
        return -1;
    if (*before && wanted && strcmp(before, wanted) != 0)
        return error_set(err, ERROR_CONFLICT, "%s was made with the storage driver %s",
                         store->data_path, before);
    if (*before)
        wanted = before;
    for (size_t i = 0; i < COUNT(drivers) && !store->driver; i++) {
        if (wanted && strcmp(wanted, drivers[i]->name) != 0)
            continue;
        store->driver = drivers[i];
        if (drivers[i]->probe(store, &why) < 0)
            store->driver = NULL;
        if (!store->driver && wanted)
            return error_set(err, ERROR_UNSUPPORTED, "storage driver %s: %.800s", wanted, why.text);
    }
    if (!store->driver)
        return error_set(err, ERROR_INVALID, "unknown storage driver: %.64s", wanted ?: "");
    if (!*before &&
        database_run(store->database, err, "INSERT INTO store_setting VALUES ('driver', ?)", "s",
                     store->driver->name) < 0)
        return -1;
    return 0;
}

/* ---- open and close ---- */

static int prepare(struct store *store, const struct store_options *options, struct error *err)
{
    if (make_directories(store, err) < 0 || lock_data_root(store, err) < 0 ||
        read_boot_id(store, err) < 0)
        return -1;
    if (database_migrate(store->database, "store", tables, COUNT(tables), err) < 0 ||
        choose_driver(store, options->driver, err) < 0)
        return -1;
    if (store_load_blobs(store, err) < 0 || store_load_layers(store, err) < 0 ||
        store_load_images(store, err) < 0)
        return -1;
    return store_repair(store, err);
}

int store_open(const struct store_options *options, struct database *database, struct store **out,
               struct error *err)
{
    CLEANUP(store_close) struct store *store = NEW(struct store);

    store->data_fd = -1;
    store->database = database;
    store->data_path = path_absolute(options->data_path);
    store->blobs_path = path_join(store->data_path, "blobs");
    store->layers_path = path_join(store->data_path, "layers");
    store->tmp_path = path_join(store->data_path, "tmp");
    store->empty_path = path_join(store->data_path, "empty");
    store->layer_size_limit = options->layer_size_limit ?: DEFAULT_LAYER_SIZE;
    store->entry_count_limit = options->entry_count_limit ?: DEFAULT_ENTRY_COUNT;
    store->discard = options->discard;
    store->discard_data = options->discard_data;
    store->ratio_limit = options->ratio_limit ?: DEFAULT_RATIO;
    mutex_init(&store->changes);
    mutex_init(&store->flatten);
    mutex_init(&store->memory);
    map_init_empty(&store->layers, known_layer_free);
    map_init_empty(&store->blobs, known_blob_free);
    map_init_empty(&store->images, NULL);
    map_init_empty(&store->tags, free);
    map_init_empty(&store->holds, free);
    map_init_empty(&store->young, free);
    map_init_empty(&store->image_holds, free);
    if (prepare(store, options, err) < 0)
        return error_context(err, "open store");
    *out = TAKE(store);
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    MAP_EACH (&store->images, entry)
        known_image_unref(entry->value);
    map_done(&store->images);
    map_done(&store->layers);
    map_done(&store->blobs);
    map_done(&store->tags);
    map_done(&store->holds);
    map_done(&store->young);
    map_done(&store->image_holds);
    mutex_done(&store->changes);
    mutex_done(&store->flatten);
    mutex_done(&store->memory);
    if (store->data_fd >= 0)
        close(store->data_fd);
    free(store->data_path);
    free(store->blobs_path);
    free(store->layers_path);
    free(store->tmp_path);
    free(store->empty_path);
    free(store);
}
