/* What the files of this folder share. Order of locks: changes, then the record's writer, then
 * memory. Reads of the record's content are served from memory: short, under 'memory' only. */
#ifndef BERTH_STORE_INTERNAL_H
#define BERTH_STORE_INTERNAL_H

#include <stdatomic.h>

#include "base/map.h"
#include "base/thread.h"
#include "store/pack.h"
#include "store/store.h"

#define ID_SUFFIX_LENGTH 24

struct store {
    char *data_path, *blobs_path, *layers_path, *tmp_path, *empty_path;
    int data_fd; /* locked: one engine per data root */
    char boot_id[48];
    uint64_t layer_size_limit, entry_count_limit, ratio_limit;
    void (*discard)(void *data, struct strv *paths); /* NULL: at once */
    void *discard_data;
    const struct driver *driver;
    struct database *database;

    struct mutex changes;   /* one change at a time: record, then files, then memory */
    struct mutex flatten;   /* vfs: one whole tree is made at a time */
    struct mutex memory;    /* guards what follows */
    struct map layers;      /* chain id → struct known_layer */
    struct map blobs;       /* digest → struct known_blob */
    struct map images;      /* id → struct known_image */
    struct map tags;        /* familiar name → image id (text) */
    struct map holds;       /* chain id → struct hold */
    struct map young;       /* chain id or digest that nothing names yet → struct hold */
    struct map image_holds; /* image id → struct image_hold */
};

struct known_layer {
    struct layer layer;
    bool is_opaque; /* hides all layers below */
    bool is_synced; /* on disk for good */
    enum pack_order order;
};

struct known_blob {
    int64_t size;
    char *media_type; /* NULL: not a layer */
    bool is_synced;   /* on disk for good */
};

struct known_image {
    atomic_int references;
    struct image image;
    char manifest_digest[DIGEST_TEXT_SIZE]; /* "" if there is none */
};

struct hold {
    int count;
};

struct late_copies;

/* How layers are put together: the kernel's overlayfs, or copies. */
struct driver {
    const char *name;
    bool marks_by_name; /* whiteouts are files named .wh.* instead of devices */
    int (*probe)(struct store *store, struct error *err);
    int (*mount)(struct store *store, const char *chain_id, const struct writable *writable,
                 int user_namespace_fd, int *out_fd, struct error *err);
    /* Fills a new writable directory over 'chain_id'; NULL: nothing to do. */
    int (*fill)(struct store *store, const char *chain_id, int dir_fd, struct error *err);
    /* Makes 'diff_path' (absent) of what was changed in 'writable', which may be used up. What is
     * copied of large files may be left to 'late' (NULL: it may not). */
    int (*take_changes)(struct store *store, const char *parent_id, const struct writable *writable,
                        bool use_up, const char *diff_path, struct late_copies *late,
                        struct error *err);
};
extern const struct driver driver_overlay, driver_vfs;

/* A new name under tmp/, "<kind>-<random>". */
char *store_tmp_name(const struct store *store, const char *kind);
/* Has trees removed that nobody knows any more, as the options of the store say. */
int store_discard(struct store *store, struct strv *paths, struct error *err);
int store_remove_paths(const struct strv *paths, struct error *err);
/* layers/<hex>/<name>; '' chain: the empty directory. */
char *store_layer_path(const struct store *store, const char *chain_id, const char *name);
char *store_blob_path(const struct store *store, const char *digest);

/* Chain ids from 'chain_id' down to its base. NOT_FOUND if one is missing. */
int store_chain(struct store *store, const char *chain_id, struct strv *out, struct error *err);
/* Directories of changes, top first, as far down as they can be seen. */
int store_lower(struct store *store, const char *chain_id, struct strv *out, struct error *err);
/* Gives 'dir_fd' the owner and mode that the root of 'chain_id' has. */
int store_copy_root_attributes(struct store *store, const char *chain_id, int dir_fd,
                               struct error *err);

/* From the record into memory, when the store is opened. */
int store_load_layers(struct store *store, struct error *err);
int store_load_blobs(struct store *store, struct error *err);
int store_load_images(struct store *store, struct error *err);
/* Makes record and disk agree. */
int store_repair(struct store *store, struct error *err);

/* Forces a blob to disk, with its name. One that is not known is no error. */
int blob_sync(struct store *store, const char *digest, struct error *err);

/* Rewrites index.json. The caller holds 'changes'. */
int store_write_index(struct store *store, struct error *err) REQUIRES(store->changes);

/* What was just made is young: it stays although nothing names it yet. Each maker's claim is
 * dropped by an image that names it, or turned into a hold. False if there was none. */
void young_add(struct store *store, const char *key) REQUIRES(store->memory);
bool young_drop(struct store *store, const char *key) REQUIRES(store->memory);

/* One hold more; 'is_new': its record was made just now, and for that. */
void image_hold(struct store *store, const char *image_id, bool is_new) REQUIRES(store->changes);
/* Does a build hold it? */
bool image_is_held(struct store *store, const char *image_id) REQUIRES(store->memory);
/* Is it one that store_image_let_go said is to go, and that nobody wanted since? */
bool image_is_unwanted(struct store *store, const char *image_id) REQUIRES(store->memory);

void known_image_unref(struct known_image *known);
void known_layer_free(void *layer);
void known_blob_free(void *blob);

#endif
