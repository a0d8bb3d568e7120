/* A watch for each directory; a directory that comes is walked, since files may be in it before its
 * watch is. A file is watched by its directory, so that one that is replaced stays watched. */
#include "cli/file_watch.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/text.h"

#include "base/banned.h"

enum { DEPTH_LIMIT = 100 };

#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR)

struct file_watch {
    int fd;
    bool (*skips)(void *data, const char *directory);
    void *data;
    struct strv roots;
    char **directories; /* by watch descriptor; NULL: not ours any more */
    size_t capacity;
};

int file_watch_open(bool (*skips)(void *data, const char *directory), void *data,
                    struct file_watch **out, struct error *err)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    struct file_watch *watch;

    if (fd < 0)
        return error_sys(err, "watch files");
    watch = NEW(struct file_watch);
    watch->fd = fd;
    watch->skips = skips;
    watch->data = data;
    *out = watch;
    return 0;
}

void file_watch_close(struct file_watch *watch)
{
    if (!watch)
        return;
    close(watch->fd);
    for (size_t i = 0; i < watch->capacity; i++)
        free(watch->directories[i]);
    free(watch->directories);
    strv_done(&watch->roots);
    free(watch);
}

int file_watch_fd(const struct file_watch *watch)
{
    return watch->fd;
}

static int add_directory(struct file_watch *watch, const char *path, struct error *err)
{
    int id = inotify_add_watch(watch->fd, path, EVENTS);

    if (id < 0 && errno == ENOSPC)
        return error_set(err, ERROR_UNAVAILABLE,
                         "cannot watch %s: the limit of watched directories is reached (raise the "
                         "sysctl fs.inotify.max_user_watches)",
                         path);
    if (id < 0)
        return error_sys(err, "watch %s", path);
    if ((size_t)id >= watch->capacity) {
        size_t wanted = MAX((size_t)id + 1, watch->capacity * 2);

        watch->directories = xrealloc(watch->directories, wanted, sizeof(*watch->directories));
        for (; watch->capacity < wanted; watch->capacity++)
            watch->directories[watch->capacity] = NULL;
    }
    free(watch->directories[id]);
    watch->directories[id] = xstrdup(path);
    return 0;
}

static bool is_directory(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Watches a directory and those below it; what is in them is added to 'found' (may be NULL).
 * What vanishes meanwhile is no fault. */
static int walk(struct file_watch *watch, const char *path, int depth, struct map *found,
                struct error *err)
{
    DIR *directory;
    const struct dirent *entry;
    int result = 0;

    if (depth > DEPTH_LIMIT || (watch->skips && watch->skips(watch->data, path)))
        return 0;
    if (add_directory(watch, path, err) < 0)
        return err->kind == ERROR_NOT_FOUND ? 0 : -1;
    directory = opendir(path);
    while (directory && result == 0 && (entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        CLEANUP(free) char *child = path_join(path, entry->d_name);
        if (found)
            map_set(found, child, watch);
        if (entry->d_type == DT_DIR || (entry->d_type == DT_UNKNOWN && is_directory(child)))
            result = walk(watch, child, depth + 1, found, err);
    }
    if (directory)
        closedir(directory);
    return result;
}

int file_watch_add(struct file_watch *watch, const char *path, struct error *err)
{
    strv_add(&watch->roots, path);
    if (is_directory(path))
        return walk(watch, path, 0, NULL, err);
    CLEANUP(free) char *parent = xstrndup(path, (size_t)(path_base(path) - path));
    CLEANUP(free) char *clean = path_clean(parent);
    return add_directory(watch, clean, err);
}

int file_watch_list(struct file_watch *watch, struct map *out, struct error *err)
{
    for (size_t i = 0; i < watch->roots.count; i++) {
        const char *root = watch->roots.items[i];

        map_set(out, root, watch);
        if (is_directory(root) && walk(watch, root, 0, out, err) < 0)
            return -1;
    }
    return 0;
}

/* A directory that went somewhere else: its watches would tell of it under its old name. */
static void forget(struct file_watch *watch, const char *path)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < watch->capacity; i++) {
        const char *known = watch->directories[i];

        if (!known || strncmp(known, path, length) != 0 || (known[length] && known[length] != '/'))
            continue;
        inotify_rm_watch(watch->fd, (int)i);
        free(watch->directories[i]);
        watch->directories[i] = NULL;
    }
}

static int handle(struct file_watch *watch, const struct inotify_event *event, struct map *out,
                  struct error *err)
{
    const char *directory = event->wd >= 0 && (size_t)event->wd < watch->capacity
                                ? watch->directories[event->wd]
                                : NULL;

    if (event->mask & IN_Q_OVERFLOW)
        return file_watch_list(watch, out, err);
    if (!directory)
        return 0;
    if (event->mask & IN_IGNORED) {
        free(watch->directories[event->wd]);
        watch->directories[event->wd] = NULL;
        return 0;
    }
    CLEANUP(free) char *path = event->len ? path_join(directory, event->name) : xstrdup(directory);
    map_set(out, path, watch);
    if (!(event->mask & IN_ISDIR))
        return 0;
    if (event->mask & IN_MOVED_FROM)
        forget(watch, path);
    return event->mask & (IN_CREATE | IN_MOVED_TO) ? walk(watch, path, 0, out, err) : 0;
}

int file_watch_read(struct file_watch *watch, struct map *out, struct error *err)
{
    char block[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t count;

    while ((count = read(watch->fd, block, sizeof(block))) > 0)
        for (char *at = block; at < block + count;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            if (handle(watch, event, out, err) < 0)
                return -1;
            at += sizeof(*event) + event->len;
        }
    return count < 0 && errno != EAGAIN && errno != EINTR ? error_sys(err, "read changes") : 0;
}
