/* The document is rewritten member by member: what is not ours goes through unchanged. */
#include "cli/context_store.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/settings.h"
#include "codec/sha256.h"
#include "codec/tar.h"

#include "base/banned.h"

#define NAME_PATTERN  "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"
#define ALNUM         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define ENDPOINT      "docker"
#define META_FILE     "meta.json"
#define TLS_DIRECTORY "tls/" ENDPOINT "/"

enum {
    FILE_LIMIT = 4 * 1024 * 1024,
    ARCHIVE_LIMIT = 10 * 1024 * 1024,
    TAR_RECORD = 512,
    END_OF_ARCHIVE = 2 * TAR_RECORD
};

static const char *const tls_files[] = { "ca.pem", "cert.pem", "key.pem" };

static void free_file(void *value)
{
    str_done(value);
    free(value);
}

void engine_context_done(struct engine_context *context)
{
    json_free(context->document);
    free(context->name);
    free(context->description);
    free(context->host);
    map_done(&context->tls);
    free(context->meta_path);
    free(context->tls_path);
    *context = (struct engine_context){};
}

int context_check_name(const char *name, struct error *err)
{
    if (strcmp(name, DEFAULT_CONTEXT) == 0)
        return error_set(err, ERROR_INVALID, "\"%s\" is a reserved context name", name);
    if (strlen(name) < 2 || !strchr(ALNUM, *name) || name[strspn(name, ALNUM "_.+-")])
        return error_set(
            err, ERROR_INVALID,
            "context name \"%s\" is invalid, names are validated against regexp \"%s\"", name,
            NAME_PATTERN);
    return 0;
}

void context_begin(const char *name, struct engine_context *out)
{
    char digest[DIGEST_SIZE];

    sha256_digest(name, strlen(name), digest);
    *out = (struct engine_context){
        .name = xstrdup(name),
        .tls = { .free_value = free_file },
        .meta_path = xasprintf("%s/contexts/meta/%s", settings_directory(), digest_hex(digest)),
        .tls_path = xasprintf("%s/contexts/tls/%s", settings_directory(), digest_hex(digest)),
    };
}

bool context_exists(const char *name)
{
    CLEANUP(engine_context_done) struct engine_context context = {};

    context_begin(name, &context);
    return file_exists(context.meta_path);
}

/* ---- reading ---- */

static int read_document(struct engine_context *context, const char *text, size_t size,
                         struct error *err)
{
    if (json_parse(text, size, &context->document, err) < 0)
        return -1;
    const struct json *endpoint = json_get(json_get(context->document, "Endpoints"), ENDPOINT);
    const char *description =
                   json_text(json_get(json_get(context->document, "Metadata"), "Description")),
               *host = json_text(json_get(endpoint, "Host"));
    if (json_type(context->document) != JSON_DICT)
        return error_set(err, ERROR_INVALID, META_FILE " is no object");
    context->description = text_is_empty(description) ? NULL : xstrdup(description);
    context->host = text_is_empty(host) ? NULL : xstrdup(host);
    context->skip_tls_verify = json_is_true(json_get(endpoint, "SkipTLSVerify"));
    return 0;
}

static int read_tls(struct engine_context *context, struct error *err)
{
    for (size_t i = 0; i < COUNT(tls_files); i++) {
        CLEANUP(free)
        char *path = xasprintf("%s/" ENDPOINT "/%s", context->tls_path, tls_files[i]);

        if (file_exists(path) && context_set_tls(context, tls_files[i], path, err) < 0)
            return -1;
    }
    return 0;
}

int context_load(const char *name, struct engine_context *out, struct error *err)
{
    CLEANUP(engine_context_done) struct engine_context context = {};
    CLEANUP(str_done) struct str text = {};

    context_begin(name, &context);
    CLEANUP(free) char *path = path_join(context.meta_path, META_FILE);
    if (!file_exists(path))
        return error_set(err, ERROR_NOT_FOUND,
                         "context \"%s\": context not found: open %s: no such file or directory",
                         name, path);
    if (file_read(path, FILE_LIMIT, &text, err) < 0 ||
        read_document(&context, str_text(&text), text.length, err) < 0 ||
        read_tls(&context, err) < 0)
        return error_context(err, "context \"%s\"", name);
    *out = context;
    context = (struct engine_context){};
    return 0;
}

/* The name that a directory's meta.json says, if the directory is that name's. */
static char *name_in(const char *directory, const char *digest)
{
    CLEANUP(free) char *path = xasprintf("%s/%s/" META_FILE, directory, digest);
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *document = NULL;
    char own_digest[DIGEST_SIZE];
    struct error ignored = {};

    if (file_read(path, FILE_LIMIT, &text, &ignored) < 0 ||
        json_parse(str_text(&text), text.length, &document, &ignored) < 0)
        return NULL;
    const char *name = json_text(json_get(document, "Name"));
    if (!name)
        return NULL;
    sha256_digest(name, strlen(name), own_digest);
    return strcmp(digest_hex(own_digest), digest) == 0 ? xstrdup(name) : NULL;
}

int context_list(struct strv *out, struct error *err)
{
    CLEANUP(free) char *path = path_join(settings_directory(), "contexts/meta");
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (!directory)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", path);
    while ((entry = readdir(directory))) {
        char *name = text_is_hex(entry->d_name, 64) ? name_in(path, entry->d_name) : NULL;

        if (name)
            strv_add_take(out, name);
    }
    closedir(directory);
    strv_sort(out);
    return 0;
}

/* ---- writing ---- */

static void write_metadata(const struct engine_context *context, struct json_writer *w)
{
    const struct json *old = json_get(context->document, "Metadata");

    json_begin_dict(w, "Metadata");
    if (context->description)
        json_add_text(w, "Description", context->description);
    JSON_EACH (old, key)
        if (strcmp(key, "Description") != 0)
            json_add_value(w, key, json_get(old, key));
    json_end_dict(w);
}

static void write_endpoints(const struct engine_context *context, struct json_writer *w)
{
    const struct json *old = json_get(context->document, "Endpoints");

    json_begin_dict(w, "Endpoints");
    json_begin_dict(w, ENDPOINT);
    if (context->host)
        json_add_text(w, "Host", context->host);
    json_add_bool(w, "SkipTLSVerify", context->skip_tls_verify);
    json_end_dict(w);
    JSON_EACH (old, key)
        if (strcmp(key, ENDPOINT) != 0)
            json_add_value(w, key, json_get(old, key));
    json_end_dict(w);
}

static void write_document(const struct engine_context *context, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", context->name);
    write_metadata(context, &w);
    write_endpoints(context, &w);
    json_end_dict(&w);
}

static int store_tls(const struct engine_context *context, struct error *err)
{
    CLEANUP(free) char *directory = path_join(context->tls_path, ENDPOINT);

    if (!context->tls.count)
        return tree_remove(directory, err);
    if (dir_make(directory, 0700, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT(tls_files); i++) {
        const struct str *file = map_get(&context->tls, tls_files[i]);
        CLEANUP(free) char *path = path_join(directory, tls_files[i]);

        if (file ? file_write_atomic(path, file->data, file->length, 0600, true, err) < 0
                 : tree_remove(path, err) < 0)
            return -1;
    }
    return 0;
}

int context_store(const struct engine_context *context, struct error *err)
{
    CLEANUP(free) char *path = path_join(context->meta_path, META_FILE);
    CLEANUP(str_done) struct str text = {};

    write_document(context, &text);
    if (store_tls(context, err) < 0 || dir_make(context->meta_path, 0755, err) < 0)
        return -1;
    return file_write_atomic(path, text.data, text.length, 0644, true, err);
}

int context_remove(const char *name, struct error *err)
{
    CLEANUP(engine_context_done) struct engine_context context = {};

    context_begin(name, &context);
    if (!file_exists(context.meta_path))
        return error_set(err, ERROR_NOT_FOUND, "context \"%s\" does not exist", name);
    return tree_remove(context.meta_path, err) < 0 ? -1 : tree_remove(context.tls_path, err);
}

/* ---- changing ---- */

static void set_file(struct engine_context *context, const char *name, const char *data,
                     size_t size)
{
    struct str *file = NEW(struct str);

    str_add_bytes(file, data, size);
    map_set(&context->tls, name, file);
}

void context_copy_endpoint(struct engine_context *context, const struct engine_context *from)
{
    free(context->host);
    context->host = xstrdup(from->host);
    context->skip_tls_verify = from->skip_tls_verify;
    map_done(&context->tls);
    context->tls = (struct map){ .free_value = free_file };
    MAP_EACH (&from->tls, entry) {
        const struct str *file = entry->value;

        set_file(context, entry->key, file->data, file->length);
    }
}

int context_set_tls(struct engine_context *context, const char *name, const char *path,
                    struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    map_remove(&context->tls, name);
    if (!path)
        return 0;
    if (file_read(path, FILE_LIMIT, &text, err) < 0)
        return -1;
    set_file(context, name, text.data, text.length);
    return 0;
}

/* ---- archives ---- */

static int add_entry(struct tar_writer *writer, const char *name, enum tar_type type, mode_t mode,
                     const struct str *content, struct error *err)
{
    CLEANUP(tar_entry_done)
    struct tar_entry entry = { .name = xstrdup(name), .type = type, .mode = mode };

    entry.size = content ? (int64_t)content->length : 0;
    if (tar_writer_entry(writer, &entry, err) < 0)
        return -1;
    return entry.size ? tar_writer_data(writer, content->data, content->length, err) : 0;
}

int context_export(const struct engine_context *context, struct stream *out, struct error *err)
{
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(out, false, err);
    CLEANUP(str_done) struct str text = {};

    write_document(context, &text);
    if (!writer || add_entry(writer, META_FILE, TAR_FILE, 0644, &text, err) < 0 ||
        add_entry(writer, "tls", TAR_DIRECTORY, 0700, NULL, err) < 0)
        return -1;
    if (context->tls.count &&
        add_entry(writer, "tls/" ENDPOINT, TAR_DIRECTORY, 0700, NULL, err) < 0)
        return -1;
    MAP_EACH (&context->tls, entry) {
        CLEANUP(free) char *name = xasprintf(TLS_DIRECTORY "%s", entry->key);

        if (add_entry(writer, name, TAR_FILE, 0600, entry->value, err) < 0)
            return -1;
    }
    return tar_writer_finish(writer, err);
}

static int read_content(struct tar_reader *reader, size_t limit, struct str *out, struct error *err)
{
    const void *data;
    size_t size;
    int64_t offset;
    int more;

    while ((more = tar_reader_block(reader, &data, &size, &offset, err)) > 0) {
        if (out->length + size > limit)
            return error_set(err, ERROR_INVALID, "the archive of a context is too large");
        str_add_bytes(out, data, size);
    }
    return more;
}

static bool is_tls_file(const char *name)
{
    for (size_t i = 0; i < COUNT(tls_files); i++)
        if (strcmp(name, tls_files[i]) == 0)
            return true;
    return false;
}

static int import_entry(struct engine_context *context, const struct tar_entry *entry,
                        const struct str *content, struct error *err)
{
    const char *name = entry->name;

    if (entry->type == TAR_DIRECTORY)
        return 0;
    if (entry->type == TAR_FILE && strcmp(name, META_FILE) == 0 && !context->document)
        return read_document(context, str_text(content), content->length, err);
    if (entry->type == TAR_FILE && text_starts(name, TLS_DIRECTORY) &&
        is_tls_file(name + strlen(TLS_DIRECTORY))) {
        if (content->length && memchr(content->data, 0, content->length))
            return error_set(err, ERROR_INVALID, "%s is not whole", name);
        set_file(context, name + strlen(TLS_DIRECTORY), content->data, content->length);
        return 0;
    }
    return error_set(err, ERROR_INVALID, "unexpected context file: %s", name);
}

/* Docker's client leaves out what fills the last record, and the end of the archive. */
struct padded_stream {
    struct stream stream;
    struct stream *inner;
    size_t total, padding;
    bool is_at_end;
};

static ssize_t padded_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct padded_stream *self = CONTAINER_OF(stream, struct padded_stream, stream);
    ssize_t count = self->is_at_end ? 0 : stream_read(self->inner, data, size, err);

    if (count != 0) {
        self->total += count > 0 ? (size_t)count : 0;
        return count;
    }
    if (!self->is_at_end && self->total % TAR_RECORD)
        self->padding = TAR_RECORD - self->total % TAR_RECORD + END_OF_ARCHIVE;
    self->is_at_end = true;
    size = MIN(size, self->padding);
    self->padding -= size;
    memset(data, 0, size);
    return (ssize_t)size;
}

static void padded_close(struct stream *stream)
{
    struct padded_stream *self = CONTAINER_OF(stream, struct padded_stream, stream);

    stream_close(self->inner);
    free(self);
}

static struct stream *stream_padded(struct stream *inner)
{
    struct padded_stream *self = NEW(struct padded_stream);

    self->stream = (struct stream){ .read = padded_read, .close = padded_close };
    self->inner = inner;
    return &self->stream;
}

int context_import(struct stream *stream, const char *name, struct engine_context *out,
                   struct error *err)
{
    CLEANUP(tar_reader_free) struct tar_reader *reader = tar_reader_new(stream_padded(stream), err);
    CLEANUP(engine_context_done) struct engine_context context = {};
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    size_t left = ARCHIVE_LIMIT;
    int more = -1;

    context_begin(name, &context);
    while (reader && (more = tar_reader_next(reader, &entry, err)) > 0) {
        CLEANUP(str_done) struct str content = {};

        if (read_content(reader, left, &content, err) < 0 ||
            import_entry(&context, &entry, &content, err) < 0)
            return -1;
        left -= content.length;
    }
    if (more < 0)
        return -1;
    if (!context.document)
        return error_set(err, ERROR_INVALID, "invalid context: no metadata found");
    *out = context;
    context = (struct engine_context){};
    return 0;
}
