/* libarchive, loaded when it is first used (base/library.h): linked in the usual way it brings an
 * XML parser, its tables of characters and the C++ library into every process. Where it is missing,
 * readers cannot be made. */
#include <archive.h>
#include <archive_entry.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/library.h"

#include "base/banned.h"

static struct library library = LIBRARY("libarchive.so.13");

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)
#define READER(symbol) FORWARD(int, symbol, (struct archive *a), (a), ARCHIVE_FATAL)
#define ENTRY(type, symbol, otherwise) FORWARD(type, symbol, (struct archive_entry *e), (e), otherwise)

FORWARD(struct archive *, archive_read_new, (void), (), NULL)
FORWARD(int, archive_read_free, (struct archive *a), (a), ARCHIVE_OK)
READER(archive_read_support_filter_bzip2)
READER(archive_read_support_filter_xz)
READER(archive_read_support_format_empty)
READER(archive_read_support_format_raw)
READER(archive_read_support_format_tar)
FORWARD(int, archive_read_open, (struct archive *a, void *data, archive_open_callback *opened, archive_read_callback *reads, archive_close_callback *closes),
        (a, data, opened, reads, closes), ARCHIVE_FATAL)
FORWARD(int, archive_read_next_header, (struct archive *a, struct archive_entry **out), (a, out), ARCHIVE_FATAL)
FORWARD(la_int64_t, archive_read_header_position, (struct archive *a), (a), -1)
FORWARD(la_ssize_t, archive_read_data, (struct archive *a, void *data, size_t size), (a, data, size), ARCHIVE_FATAL)
FORWARD(int, archive_read_data_block, (struct archive *a, const void **out, size_t *out_size, la_int64_t *out_offset), (a, out, out_size, out_offset), ARCHIVE_FATAL)
FORWARD(const char *, archive_error_string, (struct archive *a), (a), "libarchive.so.13 is not installed")
ENTRY(__LA_MODE_T, archive_entry_filetype, 0)
ENTRY(__LA_MODE_T, archive_entry_perm, 0)
ENTRY(la_int64_t, archive_entry_uid, 0)
ENTRY(la_int64_t, archive_entry_gid, 0)
ENTRY(la_int64_t, archive_entry_size, 0)
ENTRY(time_t, archive_entry_mtime, 0)
ENTRY(long, archive_entry_mtime_nsec, 0)
ENTRY(dev_t, archive_entry_rdevmajor, 0)
ENTRY(dev_t, archive_entry_rdevminor, 0)
ENTRY(const char *, archive_entry_pathname, NULL)
ENTRY(const char *, archive_entry_hardlink, NULL)
ENTRY(const char *, archive_entry_symlink, NULL)
ENTRY(int, archive_entry_xattr_reset, 0)
FORWARD(int, archive_entry_xattr_next, (struct archive_entry *e, const char **name, const void **value, size_t *size), (e, name, value, size), ARCHIVE_WARN)
/* clang-format on */

void archive_set_error(struct archive *a, int number, const char *format, ...)
{
    char text[512];
    va_list arguments;

    LIBRARY_FUNCTION(&library, archive_set_error)
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (function)
        function(a, number, "%s", text);
}
