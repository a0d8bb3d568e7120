/* One walk; each entry is described, opened if it has something inside, and written. */
#include "archive/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "archive/entry.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/tree.h"

#include "base/banned.h"

struct collection {
    const struct collect_options *options;
    struct tar_writer *writer;
    struct entry_links links;
};

/* Archives cannot say a name with '='. */
static bool keeps_by_default(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (text_starts(name, "user.") && !text_starts(name, "user.overlay.") &&
            !strchr(name, '='));
}

static bool is_cancelled(const struct collection *collection)
{
    return fd_is_readable(collection->options->cancel_fd);
}

static int write_opened(struct collection *collection, int dir_fd, const char *name,
                        const struct stat *status, struct tar_entry *entry, struct error *err)
{
    bool (*keeps)(const char *) = collection->options->keeps_xattr ?: keeps_by_default;
    CLEANUP(close) int fd = entry_open(dir_fd, name, status, err);

    if (fd < 0 || entry_read_xattrs(fd, keeps, entry, err) < 0 ||
        tar_writer_entry(collection->writer, entry, err) < 0)
        return -1;
    return entry->type == TAR_FILE
               ? tar_writer_file(collection->writer, fd, (size_t)entry->size, err)
               : 0;
}

/* 1: there is no such thing any more. */
static int write_entry(struct collection *collection, int dir_fd, const char *name,
                       const char *archive_name, const struct stat *status, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = { .name = xstrdup(archive_name) };
    struct error why = {};
    int result;

    entry_describe(status, &entry);
    if (collection->options->seen_in) {
        entry.uid = id_table_inside(&collection->options->seen_in->uids, status->st_uid);
        entry.gid = id_table_inside(&collection->options->seen_in->gids, status->st_gid);
    }
    if (entry.type == TAR_OTHER)
        return 0;
    if (entry_becomes_link(&collection->links, status, archive_name, &entry))
        return tar_writer_entry(collection->writer, &entry, err);
    if (entry.type == TAR_FILE || entry.type == TAR_DIRECTORY) {
        result = write_opened(collection, dir_fd, name, status, &entry, &why);
    } else {
        result = entry.type == TAR_SYMLINK ? entry_read_link(dir_fd, name, &entry, &why) : 0;
        if (result == 0)
            result = tar_writer_entry(collection->writer, &entry, &why);
    }
    if (result < 0 && why.sys == ENOENT)
        return 1;
    if (result < 0 && err) {
        *err = why;
        return error_context(err, "archive %.200s", archive_name);
    }
    return result;
}

static int enter(void *data, const struct tree_entry *entry, struct error *err)
{
    struct collection *collection = data;
    const char *top = collection->options->name;
    CLEANUP(free)
    char *name = !top                    ? xstrdup(entry->path)
                 : strcmp(top, "/") == 0 ? xasprintf("/%s", entry->path)
                                         : xasprintf("%s/%s", top, entry->path);

    if (is_cancelled(collection))
        return error_set(err, ERROR_CANCELLED, "archiving was called off");
    return write_entry(collection, entry->dir_fd, entry->name, name, &entry->status, err);
}

static int collect(struct collection *collection, int dir_fd, const char *name, struct error *err)
{
    static const struct tree_visitor visitor = { enter, NULL };
    struct stat status;

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "stat %s", name);
    if (collection->options->name) {
        int result = write_entry(collection, dir_fd, name, collection->options->name, &status, err);

        if (result > 0)
            return error_set(err, ERROR_NOT_FOUND, "%s vanished", name);
        if (result < 0 || !S_ISDIR(status.st_mode))
            return result;
    }
    CLEANUP(close) int fd = entry_open(dir_fd, name, &status, err);
    return fd < 0 ? -1 : tree_walk(fd, &visitor, collection, err);
}

static int write_texts(struct collection *collection, struct error *err)
{
    for (size_t i = 0; i < collection->options->text_count; i++) {
        const struct collect_text *text = &collection->options->texts[i];
        size_t size = strlen(text->text);
        const struct tar_entry entry = { .name = (char *)(uintptr_t)text->name,
                                         .type = TAR_FILE,
                                         .mode = 0644,
                                         .size = (int64_t)size };

        if (tar_writer_entry(collection->writer, &entry, err) < 0 ||
            tar_writer_data(collection->writer, text->text, size, err) < 0)
            return -1;
    }
    return 0;
}

int collect_tree(int dir_fd, const char *name, const struct collect_options *options,
                 struct stream *out, struct error *err)
{
    CLEANUP(tar_writer_free)
    struct tar_writer *writer = tar_writer_new(out, options->with_nanoseconds, err);
    struct collection collection = { .options = options, .writer = writer };

    if (!writer)
        return -1;
    int result = write_texts(&collection, err);
    if (result == 0)
        result = collect(&collection, dir_fd, name, err);
    if (result == 0)
        result = (options->is_continued ? tar_writer_end : tar_writer_finish)(writer, err);
    entry_links_done(&collection.links);
    return result;
}

/* ---- one file ---- */

int collect_describe(int fd, const char *name, struct tar_entry *out, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = { .name = xstrdup(name) };
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_sys(err, "stat %s", name);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_INVALID, "%s is no regular file", name);
    entry_describe(&status, &entry);
    entry.mtime_ns = 0;
    if (entry_read_xattrs(fd, keeps_by_default, &entry, err) < 0)
        return error_context(err, "archive %.200s", name);
    *out = entry;
    entry = (struct tar_entry){};
    return 0;
}

struct count {
    struct stream stream;
    int64_t size;
};

static int count_bytes(struct stream *stream, const void *data UNUSED, size_t size,
                       struct error *err UNUSED)
{
    CONTAINER_OF(stream, struct count, stream)->size += (int64_t)size;
    return 0;
}

static int count_file(struct stream *stream, int fd UNUSED, size_t size, struct error *err UNUSED)
{
    return count_bytes(stream, NULL, size, NULL);
}

int collect_size(const struct tar_entry *entry, int64_t *out_size, struct error *err)
{
    struct count count = { .stream = { .write = count_bytes, .write_file = count_file } };
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(&count.stream, false, err);

    if (!writer || tar_writer_entry(writer, entry, err) < 0 ||
        tar_writer_file(writer, -1, (size_t)entry->size, err) < 0 ||
        tar_writer_finish(writer, err) < 0)
        return -1;
    *out_size = count.size;
    return 0;
}
