/* Writing tar: ustar headers, with a pax header in front where an entry does not fit into one.
 * Headers are made here because libarchive adds inode numbers and the like to its pax headers, and
 * equal entries must give equal bytes. The rules are those of Go's archive/tar. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "codec/tar.h"
#include "codec/tar_raw.h"

#include "base/banned.h"

struct tar_writer {
    struct stream *stream;
    bool with_nanoseconds;
    int64_t left; /* bytes of the current entry still to come */
    size_t padding;
};

/* clang-format off */
struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
    char link_name[100], magic[8], user[32], group[32], major[8], minor[8], prefix[155], unused[12];
};
_Static_assert(sizeof(struct ustar) == TAR_RECORD_SIZE, "a tar header fills one record");
/* clang-format on */

static const char zeros[2 * TAR_RECORD_SIZE];
static const char type_letters[] = {
    [TAR_FILE] = '0',     [TAR_DIRECTORY] = '5',        [TAR_SYMLINK] = '2',
    [TAR_HARDLINK] = '1', [TAR_CHARACTER_DEVICE] = '3', [TAR_BLOCK_DEVICE] = '4',
    [TAR_FIFO] = '6',
};

struct tar_writer *tar_writer_new(struct stream *stream, bool with_nanoseconds,
                                  struct error *err UNUSED)
{
    struct tar_writer *self = NEW(struct tar_writer);

    self->stream = stream;
    self->with_nanoseconds = with_nanoseconds;
    return self;
}

/* Octal digits and a NUL; what does not fit is in the pax header, and 0 here. */
static bool put_octal(char *field, size_t size, int64_t value)
{
    bool fits = value >= 0 && value < INT64_C(1) << (3 * (size - 1));
    char digits[24];

    snprintf(digits, sizeof(digits), "%0*" PRIo64, (int)size - 1, fits ? (uint64_t)value : 0);
    memcpy(field, digits, size);
    return fits;
}

/* The record's length counts its own digits. */
static void add_record(struct str *records, const char *key, const void *value, size_t size)
{
    size_t rest = strlen(key) + size + 3, length = rest;

    for (size_t digits = 0, before = 1; digits != before; length = rest + digits) {
        before = digits;
        digits = (size_t)snprintf(NULL, 0, "%zu", length);
    }
    str_add_format(records, "%zu %s=", length, key);
    str_add_bytes(records, value, size);
    str_add_char(records, '\n');
}

static void add_number(struct str *records, const char *key, int64_t value)
{
    char text[24];

    add_record(records, key, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, value));
}

/* Seconds with a fraction; of a negative time the fraction counts away from zero. */
static void add_time(struct str *records, int64_t seconds, int64_t ns)
{
    char text[48];
    bool is_negative = seconds < 0;

    if (is_negative && ns) {
        seconds++;
        ns = 1000000000 - ns;
    }
    int length = snprintf(text, sizeof(text), "%s%" PRId64 ".%09" PRId64, is_negative ? "-" : "",
                          is_negative ? -seconds : seconds, ns);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    add_record(records, "mtime", text, (size_t)length);
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

/* As much of a text as the field holds, without what is not ASCII: a hint for old readers. */
static void put_hint(char *field, size_t size, const char *text)
{
    for (size_t used = 0; *text && used < size; text++)
        if ((unsigned char)*text < 0x80)
            field[used++] = *text;
}

/* Into 'name', or split at a slash into 'prefix' and 'name'. */
static bool put_name(struct ustar *header, const char *name)
{
    size_t length = strlen(name);

    if (!is_ascii(name))
        return false;
    if (length <= sizeof(header->name)) {
        memcpy(header->name, name, length);
        return true;
    }
    size_t slash = MIN(length - 1, sizeof(header->prefix) + 1);
    while (slash > 0 && (name[slash] != '/' || slash > sizeof(header->prefix)))
        slash--;
    size_t rest = length - slash - 1;
    if (slash == 0 || rest == 0 || rest > sizeof(header->name))
        return false;
    memcpy(header->prefix, name, slash);
    memcpy(header->name, name + slash + 1, rest);
    return true;
}

static void sum_up(struct ustar *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    unsigned sum = 0;

    memcpy(header->magic, "ustar\00000", sizeof(header->magic));
    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < sizeof(*header); i++)
        sum += bytes[i];
    put_octal(header->checksum, 7, sum);
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp((*(const struct tar_xattr *const *)a)->name,
                  (*(const struct tar_xattr *const *)b)->name);
}

/* Behind all other keys: "SCHILY…" sorts before the lower-case ones, as Go writes them. */
static int add_xattrs(struct str *records, const struct tar_entry *entry, struct error *err)
{
    CLEANUP(free)
    const struct tar_xattr **sorted = xcalloc(entry->xattr_count + 1, sizeof(*sorted));

    for (size_t i = 0; i < entry->xattr_count; i++)
        sorted[i] = &entry->xattrs[i];
    qsort(sorted, entry->xattr_count, sizeof(*sorted), compare_xattrs);
    for (size_t i = 0; i < entry->xattr_count; i++) {
        CLEANUP(free) char *key = xasprintf("SCHILY.xattr.%s", sorted[i]->name);

        if (strchr(key, '='))
            return error_set(err, ERROR_INVALID, "%s: attribute %s cannot be archived", entry->name,
                             sorted[i]->name);
        add_record(records, key, sorted[i]->value, sorted[i]->size);
    }
    return 0;
}

/* Fills the header and collects, sorted by key, what only a pax header can say. */
static int fill(const struct tar_writer *self, const struct tar_entry *entry, const char *name,
                struct ustar *header, struct str *records, struct error *err)
{
    int64_t ns = self->with_nanoseconds ? entry->mtime_ns : 0;
    size_t target_length = entry->link_target ? strlen(entry->link_target) : 0;

    header->type = type_letters[entry->type];
    put_octal(header->mode, sizeof(header->mode), entry->mode & 07777);
    put_octal(header->major, sizeof(header->major), entry->device_major);
    put_octal(header->minor, sizeof(header->minor), entry->device_minor);
    if (add_xattrs(records, entry, err) < 0)
        return -1;
    if (!put_octal(header->gid, sizeof(header->gid), entry->gid))
        add_number(records, "gid", entry->gid);
    if (target_length) {
        put_hint(header->link_name, sizeof(header->link_name), entry->link_target);
        if (target_length > sizeof(header->link_name) || !is_ascii(entry->link_target))
            add_record(records, "linkpath", entry->link_target, target_length);
    }
    if (!put_octal(header->mtime, sizeof(header->mtime), entry->mtime_s) || ns)
        add_time(records, entry->mtime_s, ns);
    if (!put_name(header, name)) {
        put_hint(header->name, sizeof(header->name), name);
        add_record(records, "path", name, strlen(name));
    }
    if (!put_octal(header->size, sizeof(header->size), self->left))
        add_number(records, "size", self->left);
    if (!put_octal(header->uid, sizeof(header->uid), entry->uid))
        add_number(records, "uid", entry->uid);
    sum_up(header);
    return 0;
}

static int write_padded(struct tar_writer *self, const void *data, size_t size, struct error *err)
{
    size_t padding = -size % TAR_RECORD_SIZE;

    if (stream_write(self->stream, data, size, err) < 0)
        return -1;
    return padding ? stream_write(self->stream, zeros, padding, err) : 0;
}

static int write_pax(struct tar_writer *self, const char *name, const struct str *records,
                     struct error *err)
{
    struct ustar header = { .type = 'x' };
    size_t length = strlen(name);

    while (length > 1 && name[length - 1] == '/')
        length--;
    size_t base = length;
    while (base && name[base - 1] != '/')
        base--;
    CLEANUP(free)
    char *hint = xasprintf("%.*sPaxHeaders.0/%.*s", (int)base, name, (int)(length - base),
                           name + base);
    put_hint(header.name, sizeof(header.name), hint);
    put_octal(header.mode, sizeof(header.mode), 0);
    put_octal(header.uid, sizeof(header.uid), 0);
    put_octal(header.gid, sizeof(header.gid), 0);
    put_octal(header.size, sizeof(header.size), (int64_t)records->length);
    put_octal(header.mtime, sizeof(header.mtime), 0);
    sum_up(&header);
    if (stream_write(self->stream, &header, sizeof(header), err) < 0)
        return -1;
    return write_padded(self, records->data, records->length, err);
}

int tar_writer_end(struct tar_writer *self, struct error *err)
{
    size_t padding = self->padding;

    if (self->left)
        return error_set(err, ERROR_INTERNAL, "archive/tar: missed writing %" PRId64 " bytes",
                         self->left);
    self->padding = 0;
    return padding ? stream_write(self->stream, zeros, padding, err) : 0;
}

void tar_writer_skip(struct tar_writer *self)
{
    self->left = 0;
    self->padding = 0;
}

int tar_writer_entry(struct tar_writer *self, const struct tar_entry *entry, struct error *err)
{
    CLEANUP(str_done) struct str records = {};
    struct ustar header = {};

    if (entry->type == TAR_OTHER)
        return error_set(err, ERROR_UNSUPPORTED, "%s: no such type of file in a tar archive",
                         entry->name);
    if (tar_writer_end(self, err) < 0)
        return -1;
    size_t length = strlen(entry->name);
    bool needs_slash = entry->type == TAR_DIRECTORY &&
                       (length == 0 || entry->name[length - 1] != '/');
    CLEANUP(free) char *name = xasprintf("%s%s", entry->name, needs_slash ? "/" : "");
    self->left = entry->type == TAR_FILE ? entry->size : 0;
    self->padding = (size_t)(-(uint64_t)self->left % TAR_RECORD_SIZE);
    if (fill(self, entry, name, &header, &records, err) < 0 ||
        (records.length && write_pax(self, name, &records, err) < 0))
        return -1;
    return stream_write(self->stream, &header, sizeof(header), err);
}

int tar_writer_data(struct tar_writer *self, const void *data, size_t size, struct error *err)
{
    if (size > (uint64_t)self->left)
        return error_set(err, ERROR_INTERNAL, "archive/tar: write too long");
    self->left -= (int64_t)size;
    return size ? stream_write(self->stream, data, size, err) : 0;
}

int tar_writer_file(struct tar_writer *self, int fd, size_t size, struct error *err)
{
    if (size > (uint64_t)self->left)
        return error_set(err, ERROR_INTERNAL, "archive/tar: write too long");
    self->left -= (int64_t)size;
    return size ? stream_write_file(self->stream, fd, size, err) : 0;
}

int tar_writer_finish(struct tar_writer *self, struct error *err)
{
    if (tar_writer_end(self, err) < 0)
        return -1;
    return stream_write(self->stream, zeros, sizeof(zeros), err);
}

void tar_writer_free(struct tar_writer *self)
{
    free(self);
}

void tar_entry_done(struct tar_entry *entry)
{
    for (size_t i = 0; i < entry->xattr_count; i++) {
        free(entry->xattrs[i].name);
        free(entry->xattrs[i].value);
    }
    free(entry->xattrs);
    free(entry->name);
    free(entry->link_target);
    *entry = (struct tar_entry){};
}
