/* Large files come in a walk of their own, which another one has looked for. What depends on the
 * moment (times of whiteouts, fractions of seconds, the order on disk) stays out of the archive. */
#include "store/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "archive/entry.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/strv.h"
#include "codec/tar.h"
#include "linux/tree.h"
#include "store/whiteout.h"

#include "base/banned.h"

#define LARGE_SIZE (1 << 20)

struct packer {
    struct tar_writer *writer;
    struct pack_contents *contents; /* NULL: nobody's */
    bool marks_by_name;
    struct map leading; /* paths of the directories that large files are below */
    struct entry_links links;
    int64_t size;
};

static int write_mark(struct packer *packer, const char *directory, const char *name,
                      struct error *err)
{
    CLEANUP(free) char *path = xasprintf("%s%s%s", directory, *directory ? "/" : "", name);
    struct tar_entry entry = { .name = path, .type = TAR_FILE, .mode = 0600 };

    return tar_writer_entry(packer->writer, &entry, err);
}

/* The hidden names of a directory, in either form. */
static int list_hidden(const struct packer *packer, int dir_fd, struct strv *out, struct error *err)
{
    int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;
    struct stat status;

    if (!dir) {
        if (own_fd >= 0)
            close(own_fd);
        return error_sys(err, "read directory");
    }
    while ((entry = readdir(dir))) {
        if (whiteout_is_name(entry->d_name)) {
            if (packer->marks_by_name && strcmp(entry->d_name, OPAQUE_NAME) != 0)
                strv_add(out, entry->d_name + strlen(WHITEOUT_PREFIX));
        } else if ((entry->d_type == DT_CHR || entry->d_type == DT_UNKNOWN) &&
                   fstatat(dir_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   whiteout_is_device(&status)) {
            strv_add(out, entry->d_name);
        }
    }
    closedir(dir);
    strv_sort(out);
    return 0;
}

/* What a directory hides comes before its entries, in the same order whatever the form on disk. */
static int write_hidden(struct packer *packer, int dir_fd, const char *path, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (opaque_is(dir_fd) && write_mark(packer, path, OPAQUE_NAME, err) < 0)
        return -1;
    if (list_hidden(packer, dir_fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free) char *mark = xasprintf(WHITEOUT_PREFIX "%s", names.items[i]);

        if (write_mark(packer, path, mark, err) < 0)
            return -1;
    }
    return 0;
}

static int write_content(struct packer *packer, const struct tree_entry *from, int fd, size_t size,
                         struct error *err)
{
    struct pack_contents *contents = packer->contents;
    int taken = contents ? contents->take(contents, &from->status, fd, err) : 0;

    if (taken > 0)
        tar_writer_skip(packer->writer);
    if (taken != 0)
        return MIN(taken, 0);
    if (tar_writer_file(packer->writer, fd, size, err) < 0 ||
        tar_writer_end(packer->writer, err) < 0)
        return -1;
    if (contents)
        contents->written(contents);
    return 0;
}

static int write_opened(struct packer *packer, const struct tree_entry *from,
                        struct tar_entry *entry, struct error *err)
{
    CLEANUP(close) int fd = entry_open(from->dir_fd, from->name, &from->status, err);

    if (fd < 0 || entry_read_xattrs(fd, layer_keeps_xattr, entry, err) < 0 ||
        tar_writer_entry(packer->writer, entry, err) < 0)
        return -1;
    if (entry->type == TAR_FILE) {
        packer->size += entry->size;
        return write_content(packer, from, fd, (size_t)entry->size, err);
    }
    return write_hidden(packer, fd, from->path, err);
}

static int write_entry(struct packer *packer, const struct tree_entry *from, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = { .name = xstrdup(from->path) };

    entry_describe(&from->status, &entry);
    if (entry_becomes_link(&packer->links, &from->status, from->path, &entry))
        return tar_writer_entry(packer->writer, &entry, err);
    if (entry.type == TAR_FILE || entry.type == TAR_DIRECTORY)
        return write_opened(packer, from, &entry, err);
    if (entry.type == TAR_SYMLINK && entry_read_link(from->dir_fd, from->name, &entry, err) < 0)
        return -1;
    return tar_writer_entry(packer->writer, &entry, err);
}

/* Without marks by name, .wh.x is a file that happens to be called so: archives cannot say it. */
static bool is_left_out(const struct tree_entry *entry)
{
    return S_ISSOCK(entry->status.st_mode) || whiteout_is_device(&entry->status) ||
           whiteout_is_name(entry->name);
}

static bool is_large(const struct tree_entry *entry)
{
    return S_ISREG(entry->status.st_mode) && entry->status.st_size >= LARGE_SIZE;
}

static int enter(struct packer *packer, const struct tree_entry *entry, struct error *err)
{
    if (write_entry(packer, entry, err) < 0)
        return error_context(err, "archive %.200s", entry->path);
    return 0;
}

/* ---- large files first ---- */

static int enter_looking(void *data, const struct tree_entry *entry, struct error *err UNUSED)
{
    struct packer *packer = data;

    if (is_left_out(entry))
        return 1;
    if (!is_large(entry))
        return 0;
    /* From the deepest up, as far as they are not known: so are those above then. */
    CLEANUP(free) char *path = xstrdup(entry->path);
    for (char *end = strrchr(path, '/'); end; end = strrchr(path, '/')) {
        *end = 0;
        if (map_has(&packer->leading, path))
            break;
        map_set(&packer->leading, path, packer);
    }
    map_set(&packer->leading, "", packer);
    return 0;
}

static int enter_large(void *data, const struct tree_entry *entry, struct error *err)
{
    struct packer *packer = data;
    bool is_directory = S_ISDIR(entry->status.st_mode);

    if (is_left_out(entry) || (is_directory && !map_has(&packer->leading, entry->path)))
        return 1;
    return is_directory || is_large(entry) ? enter(packer, entry, err) : 0;
}

static int write_large(struct packer *packer, int dir_fd, struct error *err)
{
    static const struct tree_visitor looking = { enter_looking, NULL };
    static const struct tree_visitor large = { enter_large, NULL };

    if (tree_walk(dir_fd, &looking, packer, err) < 0)
        return -1;
    return map_has(&packer->leading, "") ? tree_walk(dir_fd, &large, packer, err) : 0;
}

static int enter_rest(void *data, const struct tree_entry *entry, struct error *err)
{
    struct packer *packer = data;

    if (is_left_out(entry))
        return 1;
    if (map_has(&packer->leading, "") &&
        (is_large(entry) || map_has(&packer->leading, entry->path)))
        return 0;
    return enter(packer, entry, err);
}

int pack_directory(int dir_fd, enum pack_order order, bool marks_by_name, struct stream *out,
                   struct pack_contents *contents, int64_t *out_size, struct error *err)
{
    static const struct tree_visitor rest = { enter_rest, NULL };
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(out, false, err);
    struct packer packer = { .writer = writer,
                             .contents = contents,
                             .marks_by_name = marks_by_name };
    int result = writer ? 0 : -1;

    if (result == 0)
        result = write_hidden(&packer, dir_fd, "", err);
    if (result == 0 && order == PACK_LARGE_FIRST)
        result = write_large(&packer, dir_fd, err);
    if (result == 0)
        result = tree_walk(dir_fd, &rest, &packer, err);
    if (result == 0)
        result = tar_writer_finish(writer, err);
    if (result == 0 && out_size)
        *out_size = packer.size;
    map_done(&packer.leading);
    entry_links_done(&packer.links);
    return result;
}
