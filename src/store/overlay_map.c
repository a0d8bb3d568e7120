/* Overlayfs takes its directories from the mount namespace of whoever mounts it: a thread makes
 * itself one, in which nobody else sees them, and which is gone with the thread. The overlay keeps
 * copies of its own. */
#include "store/overlay_map.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "linux/user_namespace.h"

#include "base/banned.h"

struct mapping {
    const struct store *store;
    const struct mount_overlay *plain; /* as it is without other owners */
    const struct writable *writable;   /* NULL: none */
    int user_namespace_fd;
    int fd; /* the overlay */
    struct error err;
};

static int place_mapped(const struct mapping *mapping, const char *path, const char *place,
                        struct error *err)
{
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, path, false, err);

    if (fd < 0 || mount_change(fd, false, 0, 0, MS_PRIVATE, err) < 0 ||
        mount_map_owners(fd, false, mapping->user_namespace_fd, err) < 0)
        return error_context(err, "%s", path);
    if (mkdir(place, 0700) < 0)
        return error_sys(err, "make directory %s", place);
    return mount_place_at(fd, place, err);
}

static int map_overlay(struct mapping *mapping, struct error *err)
{
    const struct mount_setting tmpfs[] = { { "source", "tmpfs" }, { "mode", "700" } };
    const char *base = mapping->store->empty_path;
    CLEANUP(free) char *top = path_join(base, "top");
    CLEANUP(strv_done) struct strv lower = {};
    CLEANUP(free) char *upper = NULL, *work = NULL;

    if (unshare(CLONE_FS | CLONE_NEWNS) < 0)
        return error_sys(err, "mount namespace of a thread");
    CLEANUP(close) int fd = mount_create("tmpfs", tmpfs, COUNT(tmpfs), 0, err);
    if (mount_change_at("/", true, 0, 0, MS_PRIVATE, err) < 0 || fd < 0 ||
        mount_place_at(fd, base, err) < 0)
        return -1;
    for (size_t i = 0; i < mapping->plain->lower->count; i++) {
        CLEANUP(free) char *place = xasprintf("%s/%zu", base, i);

        if (place_mapped(mapping, mapping->plain->lower->items[i], place, err) < 0)
            return -1;
        strv_add(&lower, place);
    }
    if (mapping->writable) {
        struct stat status;

        if (place_mapped(mapping, mapping->writable->top_path, top, err) < 0)
            return -1;
        /* The overlay works there as whoever mounts it: as the namespace's root, whose directory
         * that is. The thread ends with this. */
        if (stat(top, &status) < 0)
            return error_sys(err, "%s", top);
        if (user_make_files_as(status.st_uid, status.st_gid, err) < 0)
            return -1;
        upper = path_join(top, path_base(mapping->writable->diff_path));
        work = path_join(top, path_base(mapping->writable->work_path));
    }
    const struct mount_overlay options = { .lower = &lower,
                                           .upper = upper,
                                           .work = work,
                                           .more = mapping->plain->more,
                                           .more_count = mapping->plain->more_count };
    mapping->fd = mount_overlay(&options, err);
    return mapping->fd < 0 ? -1 : 0;
}

static void *run_mapping(void *data)
{
    struct mapping *mapping = data;

    map_overlay(mapping, &mapping->err);
    return NULL;
}

int overlay_mount_mapped(const struct store *store, const struct mount_overlay *plain,
                         const struct writable *writable, int user_namespace_fd, struct error *err)
{
    struct mapping mapping = { store, plain, writable, user_namespace_fd, .fd = -1 };
    pthread_t thread;

    if (thread_start("overlay-map", run_mapping, &mapping, &thread, err) < 0)
        return -1;
    pthread_join(thread, NULL);
    if (mapping.fd < 0 && err)
        *err = mapping.err;
    return mapping.fd;
}
