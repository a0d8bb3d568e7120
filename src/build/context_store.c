/* Trees of contexts. What a client says is a claim about its own files, so whoever may use the API
 * may also spoil the tree of his own key; but every look-up stays in the tree. */
#include "build/context_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/sha256.h"
#include "linux/path.h"

#include "base/banned.h"

#define NAME_LENGTH 40
#define HEX_LENGTH  64
#define BLOCK_SIZE  ((size_t)256 * 1024)

struct context_store {
    char *path;
    int64_t limit_bytes;
    struct mutex lock;
    struct map busy GUARDED_BY(lock);  /* name → struct context_sync, NULL: being removed */
    struct map by_id GUARDED_BY(lock); /* struct context_sync that are complete */
};

struct context_sync {
    struct context_store *store;
    char id[65], name[NAME_LENGTH + 1];
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

/* ---- the tree ---- */

/* Entries of one directory follow each other: it is looked up once. */
struct parent {
    int root_fd, fd;
    char *path;
};

static void parent_done(struct parent *parent)
{
    if (parent->fd >= 0)
        close(parent->fd);
    free(parent->path);
}
CLEANUP_VALUE(parent_done, struct parent)

static int parent_open(struct parent *parent, const char *path, const char **out_name,
                       struct error *err)
{
    const char *name = path_base(path);
    CLEANUP(free) char *directory = xstrndup(path, (size_t)(name - path));

    *out_name = name;
    if (parent->path && strcmp(parent->path, directory) == 0)
        return parent->fd;
    if (parent->fd >= 0)
        close(TAKE_FD(parent->fd));
    free(TAKE(parent->path));
    parent->fd = path_open(parent->root_fd, *directory ? directory : ".", O_PATH | O_DIRECTORY, 0,
                           err);
    if (parent->fd >= 0)
        parent->path = TAKE(directory);
    return parent->fd;
}

static int remove_entry(struct parent *parent, const struct context_entry *entry, struct error *err)
{
    const char *name;
    int fd = parent_open(parent, entry->path, &name, err);

    if (fd < 0)
        return -1;
    if (unlinkat(fd, name, entry->type == CONTEXT_DIRECTORY ? AT_REMOVEDIR : 0) < 0 &&
        errno != ENOENT)
        return error_sys(err, "remove %s", entry->path);
    return 0;
}

static int make_link(struct parent *parent, const struct context_entry *entry, struct error *err)
{
    const struct timespec times[2] = { { entry->modified_s, 0 }, { entry->modified_s, 0 } };
    const char *name;
    int fd = parent_open(parent, entry->path, &name, err);

    if (fd < 0)
        return -1;
    if (symlinkat(entry->target, fd, name) < 0 ||
        utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "create link %s", entry->path);
    return 0;
}

static int make_directory(struct parent *parent, const struct context_entry *entry,
                          struct error *err)
{
    const char *name;
    int fd = parent_open(parent, entry->path, &name, err);

    if (fd < 0)
        return -1;
    if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
        return error_sys(err, "create directory %s", entry->path);
    return 0;
}

/* Modes and times, when nothing is put into them any more: the innermost first. */
static int settle_directories(const struct context_sync *sync, struct error *err)
{
    for (size_t i = sync->manifest.count; i-- > 0;) {
        const struct context_entry *entry = &sync->manifest.entries[i];
        const struct timespec times[2] = { { entry->modified_s, 0 }, { entry->modified_s, 0 } };

        if (entry->type != CONTEXT_DIRECTORY)
            continue;
        CLEANUP(close)
        int fd = path_open(sync->tree_fd, entry->path, O_RDONLY | O_DIRECTORY, 0, err);
        if (fd < 0)
            return -1;
        if (fchmod(fd, entry->mode) < 0 || futimens(fd, times) < 0)
            return error_sys(err, "set mode of %s", entry->path);
    }
    return 0;
}

/* ---- the index ---- */

/* 1: read, and the digests taken off the identities; 0: there is none that can be used. */
static int read_index(const char *path, struct context_manifest *out, struct map *out_digests)
{
    CLEANUP(free) char *index_path = path_join(path, "index");
    struct str text = {};

    if (file_read(index_path, CONTEXT_MANIFEST_SIZE_LIMIT, &text, NULL) < 0) {
        str_done(&text);
        return 0;
    }
    size_t length = text.length;
    if (context_manifest_read(str_take(&text), length, out, NULL) < 0)
        return 0;
    for (size_t i = 0; i < out->count; i++) {
        char *comma = strrchr(out->entries[i].identity, ',');

        if (!comma)
            continue;
        *comma = 0;
        if (text_is_hex(comma + 1, HEX_LENGTH))
            map_set_text(out_digests, out->entries[i].path, comma + 1);
    }
    return 1;
}

static void drop_index(const struct context_sync *sync)
{
    CLEANUP(free) char *path = path_join(sync->path, "index");

    unlink(path);
}

static int write_about(const struct context_sync *sync, struct error *err)
{
    CLEANUP(free) char *path = path_join(sync->path, "about");
    CLEANUP(str_done) struct str text = {};
    int64_t size = 0;

    for (size_t i = 0; i < sync->manifest.count; i++)
        if (sync->is_present[i] && sync->manifest.entries[i].type == CONTEXT_FILE)
            size += sync->manifest.entries[i].size;
    str_add_format(&text, "%lld %lld", (long long)size, (long long)sync->created_ns);
    return file_write_atomic(path, text.data, text.length, 0600, false, err);
}

static int write_index(const struct context_sync *sync, struct error *err)
{
    CLEANUP(free) char *path = path_join(sync->path, "index");
    CLEANUP(str_done) struct str text = {};

    for (size_t i = 0; i < sync->manifest.count; i++) {
        struct context_entry entry = sync->manifest.entries[i];
        const char *digest = map_get(&sync->digests, entry.path);
        CLEANUP(free) char *identity = digest ? xasprintf("%s,%s", entry.identity, digest) : NULL;

        if (!sync->is_present[i])
            continue;
        if (identity)
            entry.identity = identity;
        context_manifest_add(&text, &entry);
    }
    if (write_about(sync, err) < 0)
        return -1;
    return file_write_atomic(path, str_text(&text), text.length, 0600, false, err);
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
        drop_index(sync);
    sync->has_changed = true;
}

/* Takes out of the tree what is not as the manifest says. */
static int remove_old(struct context_sync *sync, const struct context_manifest *old,
                      struct error *err)
{
    CLEANUP(parent_done) struct parent parent = { sync->tree_fd, -1, NULL };

    for (size_t i = old->count; i-- > 0;) {
        const struct context_entry *entry = &old->entries[i];
        const struct context_entry *now = context_manifest_find(&sync->manifest, entry->path);

        if (now && is_same(entry, now)) {
            if (now->mode != entry->mode || now->modified_s != entry->modified_s)
                begin_change(sync);
            continue;
        }
        begin_change(sync);
        if (remove_entry(&parent, entry, err) < 0)
            return -1;
    }
    return 0;
}

/* A file of another tree, as it is. */
static bool link_file(struct parent *from, struct parent *to, const struct context_entry *entry)
{
    const char *name;
    int from_fd = parent_open(from, entry->path, &name, NULL);
    int to_fd = parent_open(to, entry->path, &name, NULL);

    return from_fd >= 0 && to_fd >= 0 && linkat(from_fd, name, to_fd, name, 0) == 0;
}

/* What is there already; 'donor_fd' -1: 'old' is about the tree itself. */
struct stock {
    const struct context_manifest *old;
    const struct map *digests;
    int donor_fd;
};

static int bring_entry(struct context_sync *sync, size_t index, const struct stock *stock,
                       bool needed, struct parent *from, struct parent *to, struct error *err)
{
    const struct context_entry *entry = &sync->manifest.entries[index];
    const struct context_entry *old = context_manifest_find(stock->old, entry->path);
    const char *digest = map_get(stock->digests, entry->path);
    bool is_here = old && is_same(old, entry);

    if (is_here && stock->donor_fd >= 0)
        is_here = entry->type == CONTEXT_FILE && link_file(from, to, entry);
    if (is_here && digest)
        map_set_text(&sync->digests, entry->path, digest);
    sync->is_present[index] = is_here;
    if (is_here || (entry->type == CONTEXT_FILE && !needed))
        return 0;
    begin_change(sync);
    sync->is_present[index] = true;
    switch (entry->type) {
    case CONTEXT_DIRECTORY:
        return make_directory(to, entry, err);
    case CONTEXT_LINK:
        return make_link(to, entry, err);
    default:
        sync->missing[sync->missing_count++] = index;
        return 0;
    }
}

static int bring(struct context_sync *sync, const struct stock *stock, const struct strv *needed,
                 struct error *err)
{
    CLEANUP(parent_done) struct parent from = { stock->donor_fd, -1, NULL };
    CLEANUP(parent_done) struct parent to = { sync->tree_fd, -1, NULL };

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

static int64_t read_birth(const char *path);

static int begin_kept(struct context_sync *sync, const struct strv *needed, struct error *err)
{
    CLEANUP(context_manifest_done) struct context_manifest old = {};
    CLEANUP(map_done) struct map digests = {};
    const struct stock stock = { &old, &digests, -1 };

    map_init_empty(&digests, free);
    if (read_index(sync->path, &old, &digests))
        sync->created_ns = read_birth(sync->path);
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
    snprintf(sync->name, sizeof(sync->name), "%.*s", NAME_LENGTH, digest_hex(digest));

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

static int receive_file(struct parent *parent, const struct context_entry *entry,
                        struct stream *content, char *block, struct error *err)
{
    const struct timespec times[2] = { { entry->modified_s, 0 }, { entry->modified_s, 0 } };
    CLEANUP(close) int fd = -1;
    const char *name;
    int parent_fd = parent_open(parent, entry->path, &name, err);

    if (parent_fd < 0)
        return -1;
    fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, "create %s", entry->path);
    for (int64_t left = entry->size; left > 0;) {
        ssize_t count = stream_read(content, block, MIN((size_t)left, BLOCK_SIZE), err);

        if (count == 0)
            return error_set(err, ERROR_INVALID, "the content of %s ends early", entry->path);
        if (count < 0 || fd_write_all(fd, block, (size_t)count, err) < 0)
            return -1;
        left -= count;
    }
    if (fchmod(fd, entry->mode) < 0 || futimens(fd, times) < 0)
        return error_sys(err, "set mode of %s", entry->path);
    return 0;
}

static int receive_all(struct context_sync *sync, struct stream *content, struct error *err)
{
    CLEANUP(parent_done) struct parent parent = { sync->tree_fd, -1, NULL };
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);

    for (; sync->received_count < sync->missing_count; sync->received_count++)
        if (receive_file(&parent, &sync->manifest.entries[sync->missing[sync->received_count]],
                         content, block, err) < 0)
            return -1;
    return 0;
}

int context_sync_receive(struct context_sync *sync, struct stream *content, struct error *err)
{
    struct context_store *store = sync->store;

    if (receive_all(sync, content, err) < 0)
        return -1;
    if (sync->has_changed &&
        (settle_directories(sync, err) < 0 || (!sync->is_temporary && write_index(sync, err) < 0)))
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

static void trim(struct context_store *store);

/* The client went before all had come: what did come is kept. */
static int keep_part(struct context_sync *sync)
{
    CLEANUP(parent_done) struct parent parent = { sync->tree_fd, -1, NULL };

    if (!sync->is_compared)
        return -1;
    for (size_t i = sync->received_count; i < sync->missing_count; i++) {
        sync->is_present[sync->missing[i]] = false;
        if (i == sync->received_count &&
            remove_entry(&parent, &sync->manifest.entries[sync->missing[i]], NULL) < 0)
            return -1;
    }
    return sync->has_changed ? write_index(sync, NULL) : 0;
}

/* What was learned is worth keeping. */
static void put_back(struct context_sync *sync)
{
    struct context_store *store = sync->store;
    CLEANUP(free) char *about = path_join(sync->path, "about");

    if (sync->is_temporary || (!sync->is_complete && keep_part(sync) < 0))
        tree_remove(sync->path, NULL);
    else if (sync->has_learned)
        write_index(sync, NULL);
    else
        utimensat(AT_FDCWD, about, NULL, 0);
    if (sync->is_temporary)
        return;
    mutex_lock(&store->lock);
    map_remove(&store->busy, sync->name);
    mutex_unlock(&store->lock);
    trim(store);
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

/* ---- room on disk ---- */

static int64_t read_about(const char *path, int64_t *out_birth_ns, int64_t *out_used_ns)
{
    CLEANUP(free) char *about = path_join(path, "about");
    CLEANUP(strv_done) struct strv words = {};
    CLEANUP(str_done) struct str text = {};
    int64_t size = 0;
    struct stat info;

    *out_birth_ns = *out_used_ns = 0;
    if (file_read(about, 256, &text, NULL) < 0 || stat(about, &info) < 0)
        return 0;
    strv_split(&words, str_text(&text), ' ');
    if (words.count != 2 || parse_int64(words.items[0], 0, INT64_MAX, &size, NULL) < 0 ||
        parse_int64(words.items[1], 0, INT64_MAX, out_birth_ns, NULL) < 0)
        return 0;
    *out_used_ns = (int64_t)info.st_mtim.tv_sec * NS_PER_S + info.st_mtim.tv_nsec;
    return size;
}

static int64_t read_birth(const char *path)
{
    int64_t birth_ns, used_ns;

    read_about(path, &birth_ns, &used_ns);
    return birth_ns ? birth_ns : clock_wall_ns();
}

static int by_use(const void *a, const void *b)
{
    const struct context_info *left = a, *right = b;

    return left->used_ns < right->used_ns ? -1 : left->used_ns > right->used_ns;
}

int context_store_list(struct context_store *store, struct context_info **out, size_t *out_count,
                       struct error *err)
{
    DIR *dir = opendir(store->path);
    struct context_info *infos = NULL;
    size_t count = 0;
    struct dirent *entry;

    if (!dir)
        return error_sys(err, "read %s", store->path);
    while ((entry = readdir(dir))) {
        CLEANUP(free) char *path = path_join(store->path, entry->d_name);

        if (entry->d_name[0] == '.')
            continue;
        infos = xrealloc(infos, count + 1, sizeof(*infos));
        struct context_info *info = &infos[count++];
        *info = (struct context_info){ .name = xstrdup(entry->d_name) };
        info->size_bytes = read_about(path, &info->created_ns, &info->used_ns);
        mutex_lock(&store->lock);
        info->is_in_use = map_has(&store->busy, entry->d_name);
        mutex_unlock(&store->lock);
    }
    closedir(dir);
    if (count > 0)
        qsort(infos, count, sizeof(*infos), by_use);
    *out = infos;
    *out_count = count;
    return 0;
}

void context_infos_free(struct context_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(infos[i].name);
    free(infos);
}

int context_store_remove(struct context_store *store, const char *name, struct error *err)
{
    CLEANUP(free) char *path = NULL;

    if (!text_is_hex(name, NAME_LENGTH))
        return 0;
    mutex_lock(&store->lock);
    bool is_busy = map_has(&store->busy, name);
    if (!is_busy)
        map_set(&store->busy, name, NULL);
    mutex_unlock(&store->lock);
    if (is_busy)
        return 0;
    path = path_join(store->path, name);
    int result = tree_remove(path, err);
    mutex_lock(&store->lock);
    map_remove(&store->busy, name);
    mutex_unlock(&store->lock);
    return result < 0 ? -1 : 1;
}

/* Those unused the longest, until the rest is within the limits. */
static void trim(struct context_store *store)
{
    struct context_info *infos;
    size_t count;
    int64_t total = 0;

    if (context_store_list(store, &infos, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        total += infos[i].size_bytes;
    for (size_t i = 0; i < count; i++)
        if ((total > store->limit_bytes || count - i > CONTEXT_STORE_COUNT_LIMIT) &&
            context_store_remove(store, infos[i].name, NULL) > 0)
            total -= infos[i].size_bytes;
    context_infos_free(infos, count);
}

/* What a crash has left: trees of one build, and those without an index. */
static void remove_strays(struct context_store *store)
{
    DIR *dir = opendir(store->path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(free) char *path = path_join(store->path, entry->d_name);
        CLEANUP(free) char *index = path_join(path, "index");

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (entry->d_name[0] == '.' || !file_exists(index)))
            tree_remove(path, NULL);
    }
    if (dir)
        closedir(dir);
}

int context_store_open(const char *data_path, int64_t limit_bytes, struct context_store **out,
                       struct error *err)
{
    struct context_store *store = NEW(struct context_store);

    store->path = path_join(data_path, "build-contexts");
    store->limit_bytes = limit_bytes;
    mutex_init(&store->lock);
    map_init_empty(&store->busy, NULL);
    map_init_empty(&store->by_id, NULL);
    if (dir_make(store->path, 0700, err) < 0) {
        context_store_close(store);
        return -1;
    }
    remove_strays(store);
    *out = store;
    return 0;
}

void context_store_close(struct context_store *store)
{
    if (!store)
        return;
    map_done(&store->busy);
    map_done(&store->by_id);
    mutex_done(&store->lock);
    free(store->path);
    free(store);
}
