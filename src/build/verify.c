/* Two images compared: layer by layer, and in the first layer that differs, entry by entry. Both
 * archives are canonical, so their entries come in the same order. */
#include "build/verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "codec/tar.h"

#include "base/banned.h"

/* One entry as far as it counts: everything but the content in words, the content as a digest. */
struct shown {
    struct tar_entry entry;
    char digest[DIGEST_SIZE];
    bool is_there;
};

static void shown_done(struct shown *shown)
{
    tar_entry_done(&shown->entry);
}
CLEANUP_VALUE(shown_done, struct shown)

static int read_next(struct tar_reader *reader, struct shown *out, struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    const void *data;
    int64_t offset;
    size_t size;
    int more = tar_reader_next(reader, &out->entry, err), block = 0;

    out->is_there = more > 0;
    while (more > 0 && (block = tar_reader_block(reader, &data, &size, &offset, err)) > 0) {
        sha256_add(hash, &offset, sizeof(offset));
        sha256_add(hash, data, size);
    }
    sha256_finish(hash, out->digest);
    return more < 0 || block < 0 ? -1 : 0;
}

/* What of an entry differs, NULL for nothing. */
static const char *difference(const struct shown *a, const struct shown *b)
{
    const struct tar_entry *x = &a->entry, *y = &b->entry;

    if (x->type != y->type)
        return "kind";
    if (x->mode != y->mode)
        return "mode";
    if (x->uid != y->uid || x->gid != y->gid)
        return "owner";
    if (x->size != y->size)
        return "size";
    if (!text_equal(x->link_target, y->link_target))
        return "link";
    if (strcmp(a->digest, b->digest) != 0)
        return "content";
    if (x->mtime_s != y->mtime_s || x->mtime_ns != y->mtime_ns)
        return "time";
    return NULL;
}

static int compare_entries(struct tar_reader *first, struct tar_reader *second, struct str *out,
                           struct error *err)
{
    CLEANUP(shown_done) struct shown a = {}, b = {};

    for (;;) {
        const char *what;

        if (read_next(first, &a, err) < 0 || read_next(second, &b, err) < 0)
            return -1;
        if (!a.is_there && !b.is_there) {
            str_add(out, "its attributes");
            return 0;
        }
        int order = !a.is_there ? 1 : !b.is_there ? -1 : strcmp(a.entry.name, b.entry.name);
        if (order != 0) {
            str_add_format(out, "%s: only in the %s build", order < 0 ? a.entry.name : b.entry.name,
                           order < 0 ? "first" : "second");
            return 0;
        }
        what = difference(&a, &b);
        if (what) {
            str_add_format(out, "%s: another %s", a.entry.name, what);
            return 0;
        }
    }
}

/* The layer as an archive, from its start. */
static struct tar_reader *open_layer(struct store *store, const char *chain_id, struct error *err)
{
    int fd = open("/var/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    struct stream *file;

    if (fd < 0)
        fd = (int)memfd_create("berth-layer", MFD_CLOEXEC);
    if (fd < 0) {
        error_sys(err, "make a temporary file");
        return NULL;
    }
    file = stream_from_fd(fd, true);
    if (store_layer_write(store, chain_id, file, err) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        stream_close(file);
        return NULL;
    }
    return tar_reader_new(file, err);
}

static int compare_layers(struct store *store, const struct image *first,
                          const struct image *second, size_t index, struct str *out,
                          struct error *err)
{
    char first_chain[DIGEST_TEXT_SIZE], second_chain[DIGEST_TEXT_SIZE];

    image_chain_id(&first->config.rootfs.diff_ids, index + 1, first_chain);
    image_chain_id(&second->config.rootfs.diff_ids, index + 1, second_chain);
    CLEANUP(tar_reader_free) struct tar_reader *a = open_layer(store, first_chain, err);
    CLEANUP(tar_reader_free) struct tar_reader *b = a ? open_layer(store, second_chain, err) : NULL;
    return a && b ? compare_entries(a, b, out, err) : -1;
}

/* What the history says of the layer number 'index'. */
static const char *step_of_layer(const struct image *image, size_t index)
{
    const struct json_list *history = &image->config.history;

    for (size_t i = 0; i < history->count; i++) {
        const struct image_history *entry = &JSON_ITEMS(history, struct image_history)[i];

        if (!entry->empty_layer && index-- == 0)
            return entry->created_by ? entry->created_by : "";
    }
    return "";
}

int verify_compare(struct store *store, const char *first_id, const char *second_id,
                   struct str *out_difference, struct error *err)
{
    CLEANUP(image_unref) struct image *first = NULL, *second = NULL;

    if (strcmp(first_id, second_id) == 0)
        return 1;
    if (store_image_find(store, first_id, &first, err) < 0 ||
        store_image_find(store, second_id, &second, err) < 0)
        return -1;
    const struct strv *a = &first->config.rootfs.diff_ids, *b = &second->config.rootfs.diff_ids;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) == 0)
            continue;
        str_add_format(out_difference, "layer %zu (%s): ", i + 1, step_of_layer(first, i));
        return compare_layers(store, first, second, i, out_difference, err);
    }
    if (a->count != b->count)
        str_add_format(out_difference, "%zu layers against %zu", a->count, b->count);
    else
        str_add(out_difference, "the configuration");
    return 0;
}
