/* Layers as the kernel's overlayfs puts them together. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/mount.h"
#include "linux/tree.h"
#include "store/internal.h"
#include "store/late_copy.h"
#include "store/overlay_map.h"
#include "store/whiteout.h"

#include "base/banned.h"

/* What one kernel writes into a directory of changes, any other can read; and what is moved or
 * copied away from its mount stays meaningful. */
static const struct mount_setting settings[] = {
    { "index", "off" },
    { "metacopy", "off" },
    { "redirect_dir", "off" },
    { "volatile", NULL }, /* the last one: its end does not wait until all is on disk */
};

static int mount_empty(const struct store *store, struct error *err)
{
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, store->empty_path, false, err);

    if (fd < 0 || mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, err) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int mount_layers(struct store *store, const char *chain_id, const struct writable *writable,
                        bool is_volatile, int user_namespace_fd, int *out_fd, struct error *err)
{
    CLEANUP(strv_done) struct strv lower = {};
    struct mount_overlay options = { .lower = &lower,
                                     .upper = writable ? writable->diff_path : NULL,
                                     .work = writable ? writable->work_path : NULL,
                                     .more = settings,
                                     .more_count = COUNT(settings) - !is_volatile };

    if (store_lower(store, chain_id, &lower, err) < 0)
        return -1;
    if (writable && writable->init_path)
        strv_insert(&lower, 0, writable->init_path);
    if (!writable && !lower.count) {
        *out_fd = mount_empty(store, err);
        return *out_fd < 0 ? -1 : 0;
    }
    /* An overlay has at least two directories. */
    if (lower.count + !!writable < 2)
        strv_add(&lower, store->empty_path);
    int fd = user_namespace_fd < 0
                 ? mount_overlay(&options, err)
                 : overlay_mount_mapped(store, &options, writable, user_namespace_fd, err);
    if (fd < 0)
        return -1;
    *out_fd = fd;
    return 0;
}

static int overlay_mount(struct store *store, const char *chain_id, const struct writable *writable,
                         int user_namespace_fd, int *out_fd, struct error *err)
{
    return mount_layers(store, chain_id, writable, false, user_namespace_fd, out_fd, err);
}

/* Overlayfs needs a filesystem below that it can keep its marks on. Every start of the engine
 * looks, and shall not wait for what others have written there; kernels before 5.10 cannot spare it
 * that.
 */
static int overlay_probe(struct store *store, struct error *err)
{
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(close) int fd = -1;

    if (store_writable_new(store, &writable, err) < 0)
        return -1;
    int result = mount_layers(store, "", &writable, true, -1, &fd, NULL);
    if (result < 0)
        result = mount_layers(store, "", &writable, false, -1, &fd, err);
    if (result == 0 && mkdirat(fd, "probe", 0700) < 0)
        result = error_sys(err, "write to overlay");
    if (store_writable_remove(store, &writable, result == 0 ? err : NULL) < 0)
        result = -1;
    return result;
}

static bool keeps(const char *name)
{
    return strcmp(name, OPAQUE_ATTRIBUTE) == 0 || !text_starts(name, "trusted.overlay.");
}

static int overlay_take(struct store *store UNUSED, const char *parent_id UNUSED,
                        const struct writable *writable, bool use_up, const char *diff_path,
                        struct late_copies *late, struct error *err)
{
    const struct tree_copy options = { .keeps_xattr = keeps,
                                       .put_off = late ? late_copies_add : NULL,
                                       .data = late,
                                       .is_kept = true };

    if (use_up)
        return rename(writable->diff_path, diff_path) < 0
                   ? error_sys(err, "rename %s", writable->diff_path)
                   : 0;
    if (mkdir(diff_path, 0755) < 0)
        return error_sys(err, "make directory %s", diff_path);
    CLEANUP(close) int from_fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int to_fd = open(diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from_fd < 0 || to_fd < 0)
        return error_sys(err, "open %s", writable->diff_path);
    if (tree_copy(from_fd, to_fd, &options, err) < 0)
        return -1;
    return tree_copy_attributes(from_fd, to_fd, keeps, err);
}

const struct driver driver_overlay = {
    .name = "overlay2",
    .probe = overlay_probe,
    .mount = overlay_mount,
    .take_changes = overlay_take,
};
