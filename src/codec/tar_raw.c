/* A second, narrow look at tar headers: pax records, byte for byte. Whatever is not as expected is
 * left alone: libarchive has checked the archive before. */
#include "codec/tar_raw.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/memory.h"
#include "codec/tar.h"

#include "base/banned.h"

enum { SIZE_OFFSET = 124, SIZE_LENGTH = 12, TYPE_OFFSET = 156, PAX_LIMIT = 1 << 20 };

uint8_t *tar_window_next(struct tar_window *window, size_t size)
{
    window->current ^= 1;
    window->blocks[window->current].size = 0;
    if (!window->blocks[window->current].bytes)
        window->blocks[window->current].bytes = xmalloc(size);
    return window->blocks[window->current].bytes;
}

void tar_window_filled(struct tar_window *window, size_t size)
{
    window->blocks[window->current].size = size;
    window->total += size;
}

/* Copies bytes out of the window; false if they are not (or no longer) there. */
static bool copy_out(const struct tar_window *window, uint64_t position, void *to, size_t size)
{
    const size_t newer = window->blocks[window->current].size;
    const size_t older = window->blocks[window->current ^ 1].size;
    uint64_t newer_start = window->total - newer, older_start = newer_start - older;

    if (position < older_start || position + size > window->total)
        return false;
    size_t from_older = position < newer_start ? (size_t)MIN(size, newer_start - position) : 0;
    if (from_older)
        memcpy(to, window->blocks[window->current ^ 1].bytes + (position - older_start),
               from_older);
    if (size > from_older)
        memcpy((char *)to + from_older,
               window->blocks[window->current].bytes + (position + from_older - newer_start),
               size - from_older);
    return true;
}

static void keep(char **name, const char *value, size_t size)
{
    free(*name);
    *name = xstrndup(value, size);
}

/* "<length> <key>=<value>\n", one behind the other. The name of a sparse file beats its path. */
static void read_records(char *records, size_t size, struct tar_raw *out)
{
    bool has_sparse_name = false;

    for (size_t at = 0; at < size;) {
        char *key;
        size_t length = strtoul(records + at, &key, 10);
        size_t start = (size_t)(key - records) + 1;

        if (*key != ' ' || length > size - at || length < start - at + 2)
            return;
        char *end = records + at + length - 1, *value = memchr(key, '=', (size_t)(end - key));
        at += length;
        if (!value || *end != '\n')
            return;
        *value++ = 0;
        key++;
        size_t value_size = (size_t)(end - value);
        if (strcmp(key, "GNU.sparse.name") == 0) {
            keep(&out->name, value, value_size);
            has_sparse_name = true;
        } else if (strcmp(key, "path") == 0 && !has_sparse_name) {
            keep(&out->name, value, value_size);
        } else if (strcmp(key, "linkpath") == 0) {
            keep(&out->link_target, value, value_size);
        }
    }
}

bool tar_window_read(const struct tar_window *window, int64_t position, struct tar_raw *out)
{
    char header[TAR_RECORD_SIZE];

    for (uint64_t at = (uint64_t)position; copy_out(window, at, header, sizeof(header));) {
        char digits[SIZE_LENGTH + 1] = {};

        out->type = header[TYPE_OFFSET];
        if (!out->type || !strchr("gxXLK", out->type))
            return true;
        memcpy(digits, header + SIZE_OFFSET, SIZE_LENGTH);
        size_t size = strtoul(digits, NULL, 8);
        if (size > PAX_LIMIT)
            return false;
        at += TAR_RECORD_SIZE;
        if (out->type == 'x' || out->type == 'X') {
            CLEANUP(free) char *records = xcalloc(1, size + 1);

            if (!copy_out(window, at, records, size))
                return false;
            read_records(records, size, out);
        }
        at += (size + TAR_RECORD_SIZE - 1) / TAR_RECORD_SIZE * TAR_RECORD_SIZE;
    }
    return false;
}

void tar_raw_done(struct tar_raw *raw)
{
    free(raw->name);
    free(raw->link_target);
    *raw = (struct tar_raw){};
}

void tar_window_done(struct tar_window *window)
{
    free(window->blocks[0].bytes);
    free(window->blocks[1].bytes);
    *window = (struct tar_window){};
}
