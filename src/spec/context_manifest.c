/* The text is cut into its words in place. */
#include "spec/context_manifest.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

void context_manifest_add(struct str *out, const struct context_entry *entry)
{
    str_add_format(out, "%c %o %lld %lld %s %s", entry->type, (unsigned)entry->mode & 07777,
                   (long long)entry->size, (long long)entry->modified_s, entry->identity,
                   entry->path);
    str_add_char(out, 0);
    if (entry->type == CONTEXT_LINK) {
        str_add(out, entry->target);
        str_add_char(out, 0);
    }
}

/* The next word, which ends at a blank; NULL if there is none. */
static char *take_word(char **at)
{
    char *word = *at, *blank = strchr(word, ' ');

    if (!blank || blank == word)
        return NULL;
    *blank = 0;
    *at = blank + 1;
    return word;
}

static bool read_number(const char *word, int64_t low, int64_t *out)
{
    return word && parse_int64(word, low, INT64_MAX, out, NULL) == 0;
}

static bool read_mode(const char *word, mode_t *out)
{
    char *end;
    unsigned long mode = word && *word >= '0' && *word <= '7' ? strtoul(word, &end, 8) : 010000;

    *out = (mode_t)mode;
    return mode <= 07777 && *end == 0;
}

/* Relative, and in its shortest form. */
static bool is_clean(const char *path)
{
    if (strlen(path) >= PATH_MAX)
        return false;
    for (;;) {
        size_t length = strcspn(path, "/");

        if (length == 0 || length > NAME_MAX || (length == 1 && path[0] == '.') ||
            (length == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[length] == 0)
            return true;
        path += length + 1;
    }
}

static bool read_record(char *at, struct context_entry *out)
{
    const char *type = take_word(&at);

    if (!type || !strchr("dfl", type[0]) || type[1])
        return false;
    out->type = (enum context_type)type[0];
    if (!read_mode(take_word(&at), &out->mode) || !read_number(take_word(&at), 0, &out->size) ||
        !read_number(take_word(&at), INT64_MIN, &out->modified_s))
        return false;
    out->identity = take_word(&at);
    out->path = at;
    return out->identity && is_clean(at);
}

static bool has_directory(const struct context_manifest *manifest, const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(free) char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;
    const struct context_entry *entry = parent ? map_get(&manifest->by_path, parent) : NULL;

    return !slash || (entry && entry->type == CONTEXT_DIRECTORY);
}

static int add(struct context_manifest *manifest, const struct context_entry *entry,
               struct error *err)
{
    if (manifest->count >= CONTEXT_MANIFEST_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "a build context of more than %zu files",
                         CONTEXT_MANIFEST_COUNT_LIMIT);
    if (map_has(&manifest->by_path, entry->path))
        return error_set(err, ERROR_INVALID, "context manifest: %s is there twice", entry->path);
    if (!has_directory(manifest, entry->path))
        return error_set(err, ERROR_INVALID, "context manifest: the directory of %s is missing",
                         entry->path);
    manifest->entries[manifest->count] = *entry;
    map_set(&manifest->by_path, entry->path, &manifest->entries[manifest->count]);
    manifest->count++;
    return 0;
}

/* The records are counted first, so that entries never move. */
static size_t count_ends(const char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += text[i] == 0;
    return count;
}

static int read_all(struct context_manifest *manifest, size_t size, struct error *err)
{
    char *at = manifest->text, *end = manifest->text + size;

    while (at < end) {
        struct context_entry entry = {};
        char *next = memchr(at, 0, (size_t)(end - at));

        if (!next || !read_record(at, &entry))
            return error_set(err, ERROR_INVALID, "context manifest: wrong record %zu",
                             manifest->count + 1);
        at = next + 1;
        if (entry.type == CONTEXT_LINK) {
            entry.target = at;
            next = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
            if (!next || next == at || next - at >= PATH_MAX)
                return error_set(err, ERROR_INVALID, "context manifest: wrong target of %s",
                                 entry.path);
            at = next + 1;
        }
        if (add(manifest, &entry, err) < 0)
            return -1;
    }
    return 0;
}

int context_manifest_read(char *text, size_t size, struct context_manifest *out, struct error *err)
{
    struct context_manifest manifest = { .text = text };

    map_init_empty(&manifest.by_path, NULL);
    manifest.entries = xcalloc(count_ends(text, size) + 1, sizeof(*manifest.entries));
    if (read_all(&manifest, size, err) < 0) {
        context_manifest_done(&manifest);
        return -1;
    }
    *out = manifest;
    return 0;
}

void context_manifest_done(struct context_manifest *manifest)
{
    map_done(&manifest->by_path);
    free(manifest->entries);
    free(manifest->text);
    *manifest = (struct context_manifest){};
}

const struct context_entry *context_manifest_find(const struct context_manifest *manifest,
                                                  const char *path)
{
    return map_get(&manifest->by_path, path);
}
