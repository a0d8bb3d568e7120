/* syncfs waits for whatever the host has written to that file system, fsync for each file costs a
 * write of its own: which of them is less decides. */
#include "linux/tree_sync.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "base/thread.h"
#include "linux/path.h"
#include "linux/tree.h"

#include "base/banned.h"

enum { THREADS = 8, MEMINFO_LIMIT = 64 * 1024 };
/* So much is written in the time that anything takes. */
#define LITTLE_BYTES ((int64_t)64 << 20)
/* So much is written in the time that one more file takes to be waited for. */
#define FILE_BYTES ((int64_t)8 << 10)

struct listing {
    struct strv paths; /* of files and directories, from the root */
    int64_t bytes;
};

static int list_entry(void *data, const struct tree_entry *entry, struct error *err UNUSED)
{
    struct listing *listing = data;

    /* Links and devices are on disk with the directory that they are in. */
    if (S_ISREG(entry->status.st_mode) || S_ISDIR(entry->status.st_mode))
        strv_add(&listing->paths, entry->path);
    if (S_ISREG(entry->status.st_mode))
        listing->bytes += entry->status.st_size;
    return 0;
}

static int list_tree(int root_fd, struct listing *out, struct error *err)
{
    const struct tree_visitor visitor = { .enter = list_entry };

    return tree_walk(root_fd, &visitor, out, err);
}

/* ---- each by itself ---- */

struct syncing {
    int root_fd;
    const struct strv *paths;
    atomic_size_t next;
    atomic_bool has_missed; /* something could not be opened: a path that is too long */
    struct mutex lock;
    bool has_failed GUARDED_BY(lock);
    struct error first GUARDED_BY(lock);
};

static int sync_one(struct syncing *syncing, const char *path, struct error *err)
{
    struct error why = {};
    CLEANUP(close)
    int fd = path_open(syncing->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0,
                       &why);

    if (fd < 0) {
        if (why.kind != ERROR_NOT_FOUND)
            syncing->has_missed = true;
        return 0;
    }
    return fsync(fd) < 0 ? error_sys(err, "write %s to disk", path) : 0;
}

static void *sync_some(void *data)
{
    struct syncing *syncing = data;
    struct error err = {};
    size_t at;

    while ((at = atomic_fetch_add(&syncing->next, 1)) < syncing->paths->count) {
        if (sync_one(syncing, syncing->paths->items[at], &err) == 0)
            continue;
        mutex_lock(&syncing->lock);
        if (!syncing->has_failed)
            syncing->first = err;
        syncing->has_failed = true;
        mutex_unlock(&syncing->lock);
    }
    return NULL;
}

static int sync_all(int root_fd, struct error *err)
{
    return syncfs(root_fd) < 0 ? error_sys(err, "write to disk") : 0;
}

static int sync_paths(int root_fd, const struct strv *paths, struct error *err)
{
    struct syncing syncing = { .root_fd = root_fd, .paths = paths };
    pthread_t threads[THREADS - 1];
    size_t count = 0;

    mutex_init(&syncing.lock);
    while (count < COUNT(threads) && count + 1 < paths->count &&
           thread_start("sync", sync_some, &syncing, &threads[count], NULL) == 0)
        count++;
    sync_some(&syncing);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    mutex_lock(&syncing.lock);
    bool has_failed = syncing.has_failed;
    if (has_failed && err)
        *err = syncing.first;
    mutex_unlock(&syncing.lock);
    mutex_done(&syncing.lock);
    if (has_failed)
        return -1;
    if (syncing.has_missed)
        return sync_all(root_fd, err);
    return fsync(root_fd) < 0 ? error_sys(err, "write directory to disk") : 0;
}

int tree_sync_each(int root_fd, struct error *err)
{
    struct listing listing = {};

    int result = list_tree(root_fd, &listing, err);
    if (result == 0)
        result = sync_paths(root_fd, &listing.paths, err);
    strv_done(&listing.paths);
    return result;
}

/* ---- all ---- */

static int64_t kibibytes_of(const char *meminfo, const char *name)
{
    const char *line = strstr(meminfo, name);

    return line ? strtoll(line + strlen(name), NULL, 10) : 0;
}

/* What the host has yet to write, on whatever disk. */
static int64_t unwritten_bytes(void)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read("/proc/meminfo", MEMINFO_LIMIT, &text, NULL) < 0)
        return 0;
    return (kibibytes_of(str_text(&text), "\nDirty:") +
            kibibytes_of(str_text(&text), "\nWriteback:"))
           << 10;
}

int tree_sync(int root_fd, struct error *err)
{
    struct listing listing = {};
    int64_t unwritten = unwritten_bytes();
    int result = 0;

    if (unwritten > LITTLE_BYTES)
        result = list_tree(root_fd, &listing, err);
    int64_t others = unwritten - listing.bytes;
    bool is_much = others > LITTLE_BYTES + (int64_t)listing.paths.count * FILE_BYTES;
    if (result == 0 && is_much)
        result = sync_paths(root_fd, &listing.paths, err);
    else if (result == 0)
        result = sync_all(root_fd, err);
    strv_done(&listing.paths);
    return result;
}
