/* The body of a build's request, or what stands for it. */
#include "cli/build_input.h"

#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/context.h"

#include "base/banned.h"

#define CONTEXTS_NAME    ".berth-contexts" /* the engine takes it out of the context */
#define CONTEXTS_LIMIT   64
#define DOCKERFILE_LIMIT ((size_t)16 << 20)
#define TAR_MAGIC_AT     257

bool build_context_is_remote(const char *text)
{
    static const char *const prefixes[] = { "http://", "https://", "git://",
                                            "git@",    "ssh://",   "github.com/" };

    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (text_starts(text, prefixes[i]))
            return true;
    return false;
}

void build_input_done(struct build_input *input)
{
    stream_close(input->body);
    str_done(&input->archive);
    strv_done(&input->directories);
    strv_done(&input->places);
    strv_done(&input->contexts);
    free(input->dockerfile);
    str_done(&input->extra);
    context_syncing_done(&input->synced);
    strv_done(&input->cache_from);
    strv_done(&input->attestations);
    strv_done(&input->cache_to);
}

static int read_contexts(const struct strv *given, struct build_input *out, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        const char *entry = given->items[i], *equals = strchr(entry, '=');

        if (!equals || equals == entry || !equals[1])
            return error_set(err, ERROR_INVALID, "invalid context value: %s, expected key=value",
                             entry);
        if (build_context_is_remote(equals + 1) || text_starts(equals + 1, "docker-image://")) {
            strv_add(&out->contexts, entry);
            continue;
        }
        if (text_starts(equals + 1, "oci-layout://") || text_starts(equals + 1, "target:"))
            return error_set(err, ERROR_UNSUPPORTED, "build context %s is not supported", entry);
        if (out->directories.count >= CONTEXTS_LIMIT)
            return error_set(err, ERROR_INVALID, "more than %d build contexts", CONTEXTS_LIMIT);
        strv_add_format(&out->contexts, "%.*s=dir:%zu", (int)(equals - entry), entry,
                        out->directories.count);
        strv_add_format(&out->places, "%s/%zu", CONTEXTS_NAME, out->directories.count);
        strv_add(&out->directories, equals + 1);
    }
    return 0;
}

/* What 'path' is below 'root'; NULL: it is elsewhere. */
static const char *path_below(const char *path, const char *root)
{
    size_t length = strlen(root);

    if (!text_starts(path, root) || (path[length] != '/' && length > 1))
        return NULL;
    return path + length + (length > 1);
}

/* Does it lead out of the context, by a link? */
static bool leads_out(const char *dockerfile, const char *context)
{
    CLEANUP(free) char *file = realpath(dockerfile, NULL), *root = realpath(context, NULL);

    return file && root && !path_below(file, root);
}

/* A Dockerfile that is no file of the context: the engine takes it out of it (BUILD_CONTEXTS_NAME)
 * before COPY sees it. */
static void name_extra(struct build_input *out, const char *name)
{
    out->has_extra = true;
    out->dockerfile = xasprintf("%s/%s", CONTEXTS_NAME, name);
}

/* What a shell's <(...) gives: a number is no name to speak of in messages. */
static bool is_descriptor(const char *path)
{
    return text_starts(path, "/proc/self/fd/") || text_starts(path, "/dev/fd/");
}

/* A Dockerfile inside the context is named by its path there; one from outside is sent along. */
static int place_dockerfile(const char *context, const char *dockerfile, struct build_input *out,
                            struct error *err)
{
    CLEANUP(free) char *absolute = path_absolute(dockerfile);
    CLEANUP(free) char *root = path_absolute(context);
    const char *below = path_below(absolute, root);

    if (!file_exists(absolute))
        return error_set(err, ERROR_NOT_FOUND,
                         "unable to prepare context: unable to evaluate symlinks in Dockerfile "
                         "path: lstat %s: no such file or directory",
                         absolute);
    if (below && !leads_out(absolute, root)) {
        out->dockerfile = xstrdup(below);
        return 0;
    }
    name_extra(out, is_descriptor(absolute) ? "Dockerfile" : path_base(dockerfile));
    return file_read(dockerfile, DOCKERFILE_LIMIT, &out->extra, err);
}

static bool is_archive(const struct str *text)
{
    static const struct {
        const char *magic;
        size_t size;
    } heads[] = { { "\x1f\x8b", 2 },
                  { "BZh", 3 },
                  { "\xfd"
                    "7zXZ",
                    5 },
                  { "\x28\xb5\x2f\xfd", 4 } };

    for (size_t i = 0; i < COUNT(heads); i++)
        if (text->length > heads[i].size && memcmp(text->data, heads[i].magic, heads[i].size) == 0)
            return true;
    return text->length > TAR_MAGIC_AT + 5 && memcmp(text->data + TAR_MAGIC_AT, "ustar", 5) == 0;
}

/* What was read of stdin already, then the rest of it. */
struct joined {
    struct stream stream;
    const struct str *head;
    size_t at;
};

static ssize_t joined_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct joined *joined = CONTAINER_OF(stream, struct joined, stream);
    size_t left = joined->head->length - joined->at;

    if (left == 0) {
        ssize_t count = read(STDIN_FILENO, data, size);

        return count < 0 ? error_sys(err, "read stdin") : count;
    }
    size = MIN(size, left);
    memcpy(data, joined->head->data + joined->at, size);
    joined->at += size;
    return (ssize_t)size;
}

static void joined_close(struct stream *stream)
{
    free(CONTAINER_OF(stream, struct joined, stream));
}

/* "-": an archive, or a Dockerfile on nothing. */
static int read_stdin(struct build_input *out, struct error *err)
{
    struct joined *joined = NULL;
    ssize_t count;

    str_reserve(&out->archive, 512);
    count = fd_read_full(STDIN_FILENO, out->archive.data, 512, err);
    if (count < 0)
        return -1;
    out->archive.length = (size_t)count;
    out->archive.data[count] = 0;
    if (!is_archive(&out->archive)) {
        CLEANUP(str_done) struct str text = {};

        str_add_bytes(&text, str_text(&out->archive), out->archive.length);
        str_clear(&out->archive);
        if (count == 512 && file_read_fd(STDIN_FILENO, DOCKERFILE_LIMIT, &text, err) < 0)
            return error_context(err, "Dockerfile on stdin");
        if (context_of_dockerfile(&text, &out->archive, err) < 0)
            return -1;
        out->body = stream_from_memory(out->archive.data, out->archive.length);
        return 0;
    }
    joined = NEW(struct joined);
    joined->stream.read = joined_read;
    joined->stream.close = joined_close;
    joined->head = &out->archive;
    out->body = &joined->stream;
    return 0;
}

static int find_dockerfile(const char *context, const char *given, struct build_input *out,
                           struct error *err)
{
    CLEANUP(free) char *usual = path_join(context, "Dockerfile");

    if (text_equal(given, "-")) {
        name_extra(out, "Dockerfile");
        return file_read_fd(STDIN_FILENO, DOCKERFILE_LIMIT, &out->extra, err) < 0
                   ? error_context(err, "Dockerfile on stdin")
                   : 0;
    }
    if (given || leads_out(usual, context))
        return place_dockerfile(context, given ?: usual, out, err);
    return 0;
}

static int open_directory(const char *context, const char *dockerfile, struct build_input *out,
                          struct error *err)
{
    struct context_part parts[CONTEXTS_LIMIT + 1] = { { context, "" } };

    if (find_dockerfile(context, dockerfile, out, err) < 0)
        return -1;
    for (size_t i = 0; i < out->directories.count; i++)
        parts[i + 1] = (struct context_part){ out->directories.items[i], out->places.items[i] };
    return context_stream(parts, out->directories.count + 1, &out->extra,
                          out->has_extra ? out->dockerfile : NULL, &out->body, err);
}

/* The engine keeps the context: 1; or it has to be sent whole: 0. The Dockerfile comes by itself,
 * and is shown under its name in the context. */
static int sync_input(struct cli *cli, const struct build_options *options, const char *context,
                      struct build_input *out, struct error *err)
{
    const char *given = options->file, *name = given ? given : "Dockerfile";
    CLEANUP(free) char *path = given ? xstrdup(given) : path_join(context, name);
    CLEANUP(free) char *other = path_join(context, "dockerfile");

    if (out->directories.count > 0 || text_equal(given, "-"))
        return 0;
    if (!given && !file_exists(path) && file_exists(other)) {
        free(path);
        path = TAKE(other);
        name = "dockerfile";
    }
    int result = context_sync(cli, context, path, options->build_context.count > 0, &out->synced,
                              err);
    if (result > 0)
        out->dockerfile = xstrdup(given ? path_base(given) : name);
    return result;
}

int build_input_open(struct cli *cli, const struct build_options *options, const char *context,
                     struct build_input *out, struct error *err)
{
    bool has_files = !build_context_is_remote(context) && strcmp(context, "-") != 0;

    if (read_contexts(&options->build_context, out, err) < 0)
        return -1;
    int synced = has_files ? sync_input(cli, options, context, out, err) : 0;
    if (synced != 0)
        return MIN(synced, 0);
    if (has_files)
        return open_directory(context, options->file, out, err);
    if (out->directories.count > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "directories as further contexts need a directory as context");
    if (text_equal(options->file, "-"))
        return error_set(err, ERROR_INVALID,
                         "invalid argument: can't use stdin for both build context and Dockerfile");
    out->dockerfile = xstrdup(options->file);
    return build_context_is_remote(context) ? 0 : read_stdin(out, err);
}
