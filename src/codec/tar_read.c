/* Reading tar through libarchive. libarchive turns names of pax headers into the character set of
 * the locale and mangles what does not fit; names are bytes to us, so after its warning they are
 * read again from the raw header, for which the last two blocks are kept. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "codec/tar.h"
#include "codec/tar_raw.h"

#include "base/banned.h"

enum { INPUT_SIZE = 128 * 1024 };

struct tar_reader {
    struct stream *stream;
    struct archive *archive;
    struct tar_window window;
    bool is_over;
    struct error failure; /* of the stream below; kind NONE if it is well */
};

/* With a UTF-8 character set, what libarchive converts stays what it was. */
static locale_t utf8_locale;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static locale_t enter_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_locale);
    return utf8_locale ? uselocale(utf8_locale) : (locale_t)0;
}

static void leave_locale(locale_t previous)
{
    if (previous)
        uselocale(previous);
}

static ssize_t read_more(struct archive *archive, void *data, const void **out)
{
    struct tar_reader *self = data;
    uint8_t *block = tar_window_next(&self->window, INPUT_SIZE);
    size_t size = 0;
    ssize_t count = 0;

    /* Full blocks, so that the window is as wide as it can be. */
    do {
        count = stream_read(self->stream, block + size, INPUT_SIZE - size, &self->failure);
        size += count > 0 ? (size_t)count : 0;
    } while (count > 0 && size < INPUT_SIZE);
    if (count < 0) {
        archive_set_error(archive, EIO, "%s", self->failure.text);
        return -1;
    }
    tar_window_filled(&self->window, size);
    *out = block;
    return (ssize_t)size;
}

/* libarchive's complaints in Go's words where clients see them. */
static int explain(struct tar_reader *self, struct error *err)
{
    const char *text = archive_error_string(self->archive);

    if (self->failure.kind != ERROR_NONE) {
        if (err)
            *err = self->failure;
        return -1;
    }
    if (text && strstr(text, "Unrecognized") && self->window.total >= TAR_RECORD_SIZE)
        return error_set(err, ERROR_INVALID, "archive/tar: invalid tar header");
    if (!text || strstr(text, "runcated") || self->window.total % TAR_RECORD_SIZE)
        return error_set(err, ERROR_INVALID, "unexpected EOF");
    if (strstr(text, "Damaged tar"))
        return error_set(err, ERROR_INVALID, "archive/tar: invalid tar header");
    return error_set(err, ERROR_INVALID, "archive/tar: %s", text);
}

struct tar_reader *tar_reader_new(struct stream *stream, struct error *err)
{
    struct tar_reader *self = NEW(struct tar_reader);

    self->stream = stream;
    self->archive = archive_read_new(); /* NULL without the library: opening it says so */
    archive_read_support_format_tar(self->archive);
    archive_read_support_format_empty(self->archive);
    locale_t previous = enter_locale();
    int result = archive_read_open(self->archive, self, NULL, read_more, NULL);
    leave_locale(previous);
    if (result != ARCHIVE_OK) {
        explain(self, err);
        tar_reader_free(self);
        return NULL;
    }
    return self;
}

static enum tar_type type_of(struct archive_entry *from)
{
    if (archive_entry_hardlink(from))
        return TAR_HARDLINK;
    switch (archive_entry_filetype(from)) {
    case AE_IFREG:
        return TAR_FILE;
    case AE_IFDIR:
        return TAR_DIRECTORY;
    case AE_IFLNK:
        return TAR_SYMLINK;
    case AE_IFCHR:
        return TAR_CHARACTER_DEVICE;
    case AE_IFBLK:
        return TAR_BLOCK_DEVICE;
    case AE_IFIFO:
        return TAR_FIFO;
    default:
        return TAR_OTHER;
    }
}

static int copy_xattrs(struct archive_entry *from, struct tar_entry *entry, struct error *err)
{
    int count = archive_entry_xattr_reset(from);
    size_t total = 0, size;
    const char *name;
    const void *value;

    if (count <= 0)
        return 0;
    entry->xattrs = xcalloc((size_t)count, sizeof(*entry->xattrs));
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
        if (!name)
            continue;
        total += strlen(name) + size;
        if (total > TAR_XATTR_LIMIT)
            return error_set(err, ERROR_INVALID, "%s: extended attributes exceed %zu bytes",
                             entry->name, TAR_XATTR_LIMIT);
        struct tar_xattr *xattr = &entry->xattrs[entry->xattr_count++];
        xattr->name = xstrdup(name);
        xattr->value = memcpy(xmalloc(size + 1), size ? value : "", size);
        xattr->size = size;
    }
    return 0;
}

static bool is_link(const struct tar_entry *entry)
{
    return entry->type == TAR_HARDLINK || entry->type == TAR_SYMLINK;
}

/* After a warning: what the raw headers say is right. A hard link whose target libarchive could not
 * convert looked like a file. */
static int correct_names(struct tar_reader *self, struct tar_entry *entry, struct error *err)
{
    CLEANUP(tar_raw_done) struct tar_raw raw = {};

    if (!tar_window_read(&self->window, archive_read_header_position(self->archive), &raw))
        return error_set(err, ERROR_INVALID, "archive/tar: %s",
                         archive_error_string(self->archive));
    if (raw.type == '1') {
        entry->type = TAR_HARDLINK;
        entry->size = 0;
    }
    if (raw.name) {
        free(entry->name);
        entry->name = TAKE(raw.name);
    }
    if (raw.link_target && is_link(entry)) {
        free(entry->link_target);
        entry->link_target = TAKE(raw.link_target);
    }
    return 0;
}

static int copy_names(struct tar_reader *self, struct archive_entry *from, bool has_warning,
                      struct tar_entry *entry, struct error *err)
{
    entry->name = xstrdup(archive_entry_pathname(from));
    if (is_link(entry))
        entry->link_target = xstrdup(entry->type == TAR_HARDLINK ? archive_entry_hardlink(from)
                                                                 : archive_entry_symlink(from));
    if (has_warning && correct_names(self, entry, err) < 0)
        return -1;
    if (!entry->name || !*entry->name ||
        (is_link(entry) && (!entry->link_target || !*entry->link_target)))
        return error_set(err, ERROR_INVALID, "archive/tar: an entry has no name");
    if (strlen(entry->name) > TAR_NAME_LIMIT ||
        (entry->link_target && strlen(entry->link_target) > TAR_NAME_LIMIT))
        return error_set(err, ERROR_INVALID, "archive/tar: a name is longer than %d bytes",
                         TAR_NAME_LIMIT);
    return 0;
}

static int copy_entry(struct tar_reader *self, struct archive_entry *from, bool has_warning,
                      struct tar_entry *entry, struct error *err)
{
    entry->type = type_of(from);
    entry->mode = archive_entry_perm(from);
    entry->uid = archive_entry_uid(from);
    entry->gid = archive_entry_gid(from);
    entry->size = entry->type == TAR_FILE ? archive_entry_size(from) : 0;
    entry->mtime_s = archive_entry_mtime(from);
    entry->mtime_ns = archive_entry_mtime_nsec(from);
    if (entry->mtime_s < 0 && entry->mtime_ns) { /* libarchive has "-1.2" as -1 and 0.2 */
        entry->mtime_s--;
        entry->mtime_ns = 1000000000 - entry->mtime_ns;
    }
    entry->device_major = (unsigned)archive_entry_rdevmajor(from);
    entry->device_minor = (unsigned)archive_entry_rdevminor(from);
    if (copy_names(self, from, has_warning, entry, err) < 0)
        return -1;
    return copy_xattrs(from, entry, err);
}

/* What lies behind the end of the archive belongs to the stream all the same: digests count it. */
static int drain(struct tar_reader *self, struct error *err)
{
    uint8_t *block = tar_window_next(&self->window, INPUT_SIZE);
    ssize_t count;

    do
        count = stream_read(self->stream, block, INPUT_SIZE, err);
    while (count > 0);
    return (int)count;
}

int tar_reader_next(struct tar_reader *self, struct tar_entry *entry, struct error *err)
{
    struct archive_entry *from;

    tar_entry_done(entry);
    if (self->is_over)
        return 0;
    locale_t previous = enter_locale();
    int result = archive_read_next_header(self->archive, &from);
    leave_locale(previous);
    if (result == ARCHIVE_EOF) {
        self->is_over = true;
        return self->failure.kind == ERROR_NONE ? drain(self, err) : explain(self, err);
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        return explain(self, err);
    if (copy_entry(self, from, result == ARCHIVE_WARN, entry, err) < 0) {
        tar_entry_done(entry);
        return -1;
    }
    return 1;
}

int tar_reader_block(struct tar_reader *self, const void **out_data, size_t *out_size,
                     int64_t *out_offset, struct error *err)
{
    la_int64_t offset;

    do {
        int result = archive_read_data_block(self->archive, out_data, out_size, &offset);

        if (result == ARCHIVE_EOF)
            return 0;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return explain(self, err);
    } while (*out_size == 0);
    *out_offset = offset;
    return 1;
}

void tar_reader_free(struct tar_reader *self)
{
    if (!self)
        return;
    archive_read_free(self->archive);
    stream_close(self->stream);
    tar_window_done(&self->window);
    free(self);
}
