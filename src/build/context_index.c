/* The index is a manifest whose identities have the digests behind them. */
#include "build/context_index.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

enum { DIGEST_HEX_LENGTH = 64, DESCRIPTION_LIMIT = 1024, ABOUT_SIZE_LIMIT = 2048 };

bool context_index_read(const char *path, struct context_manifest *out, struct map *out_digests)
{
    CLEANUP(free) char *index_path = path_join(path, "index");
    struct str text = {};

    if (file_read(index_path, CONTEXT_MANIFEST_SIZE_LIMIT, &text, NULL) < 0) {
        str_done(&text);
        return false;
    }
    size_t length = text.length;
    if (context_manifest_read(str_take(&text), length, out, NULL) < 0)
        return false;
    for (size_t i = 0; i < out->count; i++) {
        char *comma = strrchr(out->entries[i].identity, ',');

        if (!comma)
            continue;
        *comma = 0;
        if (text_is_hex(comma + 1, DIGEST_HEX_LENGTH))
            map_set_text(out_digests, out->entries[i].path, comma + 1);
    }
    return true;
}

void context_index_drop(const char *path)
{
    CLEANUP(free) char *index_path = path_join(path, "index");

    unlink(index_path);
}

int context_index_write(const char *path, const struct context_index *index, struct error *err)
{
    CLEANUP(free) char *index_path = path_join(path, "index");
    CLEANUP(str_done) struct str text = {};

    for (size_t i = 0; i < index->manifest->count; i++) {
        struct context_entry entry = index->manifest->entries[i];
        const char *digest = map_get(index->digests, entry.path);
        CLEANUP(free) char *identity = digest ? xasprintf("%s,%s", entry.identity, digest) : NULL;

        if (!index->is_present[i])
            continue;
        if (identity)
            entry.identity = identity;
        context_manifest_add(&text, &entry);
    }
    return file_write_atomic(index_path, str_text(&text), text.length, 0600, false, err);
}

/* ---- about ---- */

int context_about_write(const char *path, const struct context_about *about, struct error *err)
{
    CLEANUP(free) char *about_path = path_join(path, "about");
    CLEANUP(str_done) struct str text = {};

    str_add_format(&text, "%lld %lld %.*s", (long long)about->size_bytes,
                   (long long)about->created_ns, DESCRIPTION_LIMIT, about->description);
    return file_write_atomic(about_path, text.data, text.length, 0600, false, err);
}

bool context_about_read(const char *path, struct context_about *out)
{
    CLEANUP(free) char *about_path = path_join(path, "about");
    CLEANUP(str_done) struct str text = {};
    struct context_about about = {};
    struct stat info;

    if (file_read(about_path, ABOUT_SIZE_LIMIT, &text, NULL) < 0 || stat(about_path, &info) < 0)
        return false;
    char *birth = strchr(str_text(&text), ' ');
    if (!birth)
        return false;
    *birth++ = 0;
    char *description = strchr(birth, ' ');
    if (description)
        *description++ = 0;
    if (parse_int64(text.data, 0, INT64_MAX, &about.size_bytes, NULL) < 0 ||
        parse_int64(birth, 0, INT64_MAX, &about.created_ns, NULL) < 0)
        return false;
    about.used_ns = (int64_t)info.st_mtim.tv_sec * NS_PER_S + info.st_mtim.tv_nsec;
    about.description = xstrdup(description ?: "");
    *out = about;
    return true;
}

void context_about_touch(const char *path)
{
    CLEANUP(free) char *about_path = path_join(path, "about");

    utimensat(AT_FDCWD, about_path, NULL, 0);
}
