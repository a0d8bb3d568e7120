/* What a client says is a claim about its own files, so whoever may use the API may also spoil the
 * tree of his own key. */
#include "build/context_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/context_index.h"
#include "build/context_store.h"
#include "build/context_tree.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define HEX_LENGTH 64

struct context_sync {
    struct context_store *store;
    char id[65], name[CONTEXT_NAME_LENGTH + 1];
    char *path; /* of its directory */
    int tree_fd;
    bool is_temporary; /* the tree goes with it */
    bool has_changed;
    struct context_manifest manifest;
    bool *is_present; /* per entry: it is in the tree */
    size_t *missing, missing_count, received_count;
    bool is_compared; /* the tree is as the manifest says, but for what is missing */
    int64_t created_ns;
    /* Guarded by the store's lock. */
    int reference_count;
    bool is_complete;
    struct map digests; /* path → 64 hex */
    bool has_learned;
};

/* ---- the record ---- */

static int write_record(const struct context_sync *sync, struct error *err)
{
    const struct context_index index = { &sync->manifest, sync->is_present, &sync->digests };
    CLEANUP(free) char *description = xstrdup("files of a build context");
    struct context_about about = { .created_ns = sync->created_ns, .description = description };

    for (size_t i = 0; i < sync->manifest.count; i++)
        if (sync->is_present[i] && sync->manifest.entries[i].type == CONTEXT_FILE)
            about.size_bytes += sync->manifest.entries[i].size;
    return context_about_write(sync->path, &about, err) < 0
               ? -1
               : context_index_write(sync->path, &index, err);
}

/* ---- comparing ---- */

static bool is_same(const struct context_entry *a, const struct context_entry *b)
{
    return a->type == b->type &&
           (a->type == CONTEXT_DIRECTORY ||
            (a->mode == b->mode && a->size == b->size && a->modified_s == b->modified_s &&
             strcmp(a->identity, b->identity) == 0 && text_equal(a->target, b->target)));
}

static bool is_needed(const char *path, const struct strv *needed)
{
    for (size_t i = 0; needed && i < needed->count; i++) {
        size_t length = strlen(needed->items[i]);

        if (length == 0 || (strncmp(path, needed->items[i], length) == 0 &&
                            (path[length] == 0 || path[length] == '/')))
            return true;
    }
    return !needed;
}

static void begin_change(struct context_sync *sync)
{
    if (!sync->has_changed && !sync->is_temporary)
        context_index_drop(sync->path);
    sync->has_changed = true;
}

/* Takes out of the tree what is not as the manifest says. */
static int remove_old(struct context_sync *sync, const struct context_manifest *old,
                      struct error *err)
{
    CLEANUP(context_place_done) struct context_place place = { sync->tree_fd, -1, NULL };

    for (size_t i = old->count; i-- > 0;) {
        const struct context_entry *entry = &old->entries[i];
        const struct context_entry *now = context_manifest_find(&sync->manifest, entry->path);

        if (now && is_same(entry, now)) {
            if (now->mode != entry->mode || now->modified_s != entry->modified_s)
                begin_change(sync);
            continue;
        }
        begin_change(sync);
        if (context_remove_entry(&place, entry, err) < 0)
            return -1;
    }
    return 0;
}

/* What is there already; 'donor_fd' -1: 'old' is about the tree itself. */
struct stock {
    const struct context_manifest *old;
    const struct map *digests;
    int donor_fd;
};

static int bring_entry(struct context_sync *sync, size_t index, const struct stock *stock,
                       bool needed, struct context_place *from, struct context_place *to,
                       struct error *err)
{
    const struct context_entry *entry = &sync->manifest.entries[index];
    const struct context_entry *old = context_manifest_find(stock->old, entry->path);
    const char *digest = map_get(stock->digests, entry->path);
    bool is_here = old && is_same(old, entry);

    if (is_here && stock->donor_fd >= 0)
        is_here = entry->type == CONTEXT_FILE && context_link_file(from, to, entry);
    if (is_here && digest)
        map_set_text(&sync->digests, entry->path, digest);
    sync->is_present[index] = is_here;
    if (is_here || (entry->type == CONTEXT_FILE && !needed))
        return 0;
    begin_change(sync);
    sync->is_present[index] = true;
    switch (entry->type) {
    case CONTEXT_DIRECTORY:
        return context_make_directory(to, entry, err);
    case CONTEXT_LINK:
        return context_make_link(to, entry, err);
    default:
        sync->missing[sync->missing_count++] = index;
        return 0;
    }
}

static int bring(struct context_sync *sync, const struct stock *stock, const struct strv *needed,
                 struct error *err)
{
    CLEANUP(context_place_done) struct context_place from = { stock->donor_fd, -1, NULL };
    CLEANUP(context_place_done) struct context_place to = { sync->tree_fd, -1, NULL };

    for (size_t i = 0; i < sync->manifest.count; i++)
        if (bring_entry(sync, i, stock, is_needed(sync->manifest.entries[i].path, needed), &from,
                        &to, err) < 0)
            return -1;
    return 0;
}

/* ---- one of its own, or the kept one ---- */

static int open_tree(struct context_sync *sync, struct error *err)
{
    CLEANUP(free) char *path = path_join(sync->path, "tree");

    if (dir_make(path, 0700, err) < 0)
        return -1;
    sync->tree_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sync->tree_fd < 0)
        return error_sys(err, "open %s", path);
    return fchmod(sync->tree_fd, 0755) < 0 ? error_sys(err, "set mode of %s", path) : 0;
}

static int64_t read_birth(const struct context_sync *sync)
{
    struct context_about about = {};

    if (!context_about_read(sync->path, &about))
        return sync->created_ns;
    free(about.description);
    return about.created_ns;
}

static int begin_kept(struct context_sync *sync, const struct strv *needed, struct error *err)
{
    CLEANUP(context_manifest_done) struct context_manifest old = {};
    CLEANUP(map_done) struct map digests = {};
    const struct stock stock = { &old, &digests, -1 };

    map_init_empty(&digests, free);
    if (context_index_read(sync->path, &old, &digests))
        sync->created_ns = read_birth(sync);
    else if (tree_remove(sync->path, err) < 0)
        return -1;
    if (open_tree(sync, err) < 0 || remove_old(sync, &old, err) < 0)
        return -1;
    return bring(sync, &stock, needed, err);
}

static int begin_temporary(struct context_sync *sync, const struct context_sync *donor,
                           const struct strv *needed, struct error *err)
{
    struct context_store *store = sync->store;
    CLEANUP(context_manifest_done) struct context_manifest none = {};
    CLEANUP(map_done) struct map digests = {};
    struct stock stock = { &none, &digests, -1 };

    map_init_empty(&digests, free);
    if (open_tree(sync, err) < 0)
        return -1;
    if (donor) {
        mutex_lock(&store->lock);
        MAP_EACH (&donor->digests, entry)
            map_set_text(&digests, entry->key, entry->value);
        mutex_unlock(&store->lock);
        stock.old = &donor->manifest;
        stock.donor_fd = donor->tree_fd;
    }
    return bring(sync, &stock, needed, err);
}

/* Gives the one that uses the kept tree, with a reference, if that may be copied from; then 'sync'
 * gets a tree of its own. */
static struct context_sync *take_name(struct context_sync *sync)
{
    struct context_store *store = sync->store;
    struct context_sync *donor = NULL;

    mutex_lock(&store->lock);
    sync->is_temporary = map_has(&store->busy, sync->name);
    if (sync->is_temporary)
        donor = map_get(&store->busy, sync->name);
    else
        map_set(&store->busy, sync->name, sync);
    if (donor && donor->is_complete)
        donor->reference_count++;
    else
        donor = NULL;
    mutex_unlock(&store->lock);
    sync->path = sync->is_temporary ? xasprintf("%s/.%s", store->path, sync->id)
                                    : path_join(store->path, sync->name);
    return donor;
}

int context_sync_begin(struct context_store *store, const char *key,
                       struct context_manifest *manifest, const struct strv *needed,
                       struct context_sync **out, struct error *err)
{
    struct context_sync *sync = NEW(struct context_sync);
    char digest[DIGEST_SIZE];

    *sync = (struct context_sync){ .store = store,
                                   .tree_fd = -1,
                                   .manifest = *manifest,
                                   .created_ns = clock_wall_ns(),
                                   .reference_count = 1 };
    *manifest = (struct context_manifest){};
    map_init_empty(&sync->digests, free);
    sync->is_present = xcalloc(sync->manifest.count + 1, sizeof(*sync->is_present));
    sync->missing = xcalloc(sync->manifest.count + 1, sizeof(*sync->missing));
    id_generate(sync->id);
    sha256_digest(key, strlen(key), digest);
    snprintf(sync->name, sizeof(sync->name), "%.*s", CONTEXT_NAME_LENGTH, digest_hex(digest));

    struct context_sync *donor = take_name(sync);
    int result = sync->is_temporary ? begin_temporary(sync, donor, needed, err)
                                    : begin_kept(sync, needed, err);
    context_sync_unref(donor);
    if (result < 0) {
        context_sync_unref(sync);
        return error_context(err, "bring the build context up to date");
    }
    sync->is_compared = true;
    *out = sync;
    return 0;
}

const size_t *context_sync_missing(const struct context_sync *sync, size_t *out_count)
{
    *out_count = sync->missing_count;
    return sync->missing;
}

/* ---- receiving ---- */

static int receive_all(struct context_sync *sync, struct stream *content, struct error *err)
{
    CLEANUP(context_place_done) struct context_place place = { sync->tree_fd, -1, NULL };
    CLEANUP(free) char *block = xmalloc(CONTEXT_BLOCK_SIZE);

    for (; sync->received_count < sync->missing_count; sync->received_count++)
        if (context_receive_file(&place,
                                 &sync->manifest.entries[sync->missing[sync->received_count]],
                                 content, block, err) < 0)
            return -1;
    return 0;
}

int context_sync_receive(struct context_sync *sync, struct stream *content, struct error *err)
{
    struct context_store *store = sync->store;

    if (receive_all(sync, content, err) < 0)
        return -1;
    if (sync->has_changed && (context_settle_directories(sync->tree_fd, &sync->manifest, err) < 0 ||
                              (!sync->is_temporary && write_record(sync, err) < 0)))
        return -1;
    mutex_lock(&store->lock);
    sync->is_complete = true;
    map_set(&store->by_id, sync->id, sync);
    mutex_unlock(&store->lock);
    return 0;
}

/* ---- using ---- */

const char *context_sync_id(const struct context_sync *sync)
{
    return sync->id;
}

int context_sync_find(struct context_store *store, const char *id, struct context_sync **out,
                      struct error *err)
{
    mutex_lock(&store->lock);
    struct context_sync *sync = map_get(&store->by_id, id);
    if (sync)
        sync->reference_count++;
    mutex_unlock(&store->lock);
    if (!sync)
        return error_set(err, ERROR_NOT_FOUND, "no client keeps a build context under this id");
    *out = sync;
    return 0;
}

void context_sync_end(struct context_sync *sync)
{
    struct context_store *store = sync->store;

    mutex_lock(&store->lock);
    map_remove(&store->by_id, sync->id);
    mutex_unlock(&store->lock);
    context_sync_unref(sync);
}

/* The client went before all had come: what did come is kept. */
static int keep_part(struct context_sync *sync)
{
    CLEANUP(context_place_done) struct context_place place = { sync->tree_fd, -1, NULL };

    if (!sync->is_compared)
        return -1;
    for (size_t i = sync->received_count; i < sync->missing_count; i++) {
        sync->is_present[sync->missing[i]] = false;
        if (i == sync->received_count &&
            context_remove_entry(&place, &sync->manifest.entries[sync->missing[i]], NULL) < 0)
            return -1;
    }
    return sync->has_changed ? write_record(sync, NULL) : 0;
}

/* What was learned is worth keeping. */
static void put_back(struct context_sync *sync)
{
    struct context_store *store = sync->store;

    if (sync->is_temporary || (!sync->is_complete && keep_part(sync) < 0))
        tree_remove(sync->path, NULL);
    else if (sync->has_learned)
        write_record(sync, NULL);
    else
        context_about_touch(sync->path);
    if (sync->is_temporary)
        return;
    context_store_release(store, sync->name);
}

void context_sync_unref(struct context_sync *sync)
{
    if (!sync)
        return;

    struct context_store *store = sync->store;
    mutex_lock(&store->lock);
    bool is_last = --sync->reference_count == 0;
    mutex_unlock(&store->lock);
    if (!is_last)
        return;
    put_back(sync);
    if (sync->tree_fd >= 0)
        close(sync->tree_fd);
    context_manifest_done(&sync->manifest);
    map_done(&sync->digests);
    free(sync->is_present);
    free(sync->missing);
    free(sync->path);
    free(sync);
}

const struct context_manifest *context_sync_manifest(const struct context_sync *sync)
{
    return &sync->manifest;
}

int context_sync_fd(const struct context_sync *sync)
{
    return sync->tree_fd;
}

/* Only of what is a regular file by this very path: the tree holds nothing else under it. */
static bool find_digest(void *data, const char *path, char out[HEX_LENGTH + 1])
{
    struct context_sync *sync = data;

    mutex_lock(&sync->store->lock);
    const char *digest = map_get(&sync->digests, path);
    if (digest)
        snprintf(out, HEX_LENGTH + 1, "%s", digest);
    mutex_unlock(&sync->store->lock);
    return digest != NULL;
}

static void learn_digest(void *data, const char *path, const char *hex)
{
    struct context_sync *sync = data;
    const struct context_entry *entry = context_manifest_find(&sync->manifest, path);

    if (!entry || entry->type != CONTEXT_FILE)
        return;
    mutex_lock(&sync->store->lock);
    map_set_text(&sync->digests, path, hex);
    sync->has_learned = true;
    mutex_unlock(&sync->store->lock);
}

struct known_digests context_sync_digests(struct context_sync *sync)
{
    return (struct known_digests){ find_digest, learn_digest, sync };
}
