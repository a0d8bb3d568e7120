/* A build's files: from the client or from elsewhere, into a directory that is gone afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/context_needs.h"
#include "build/verify.h"
#include "engine/build.h"
#include "engine/image.h"
#include "engine/internal.h"
#include "linux/path.h"

#include "base/banned.h"

#define IMAGE_SCHEME          "docker-image://"
#define OTHER_HOSTNAME        "another-host"
#define SENT_DOCKERFILE_LIMIT ((size_t)16 << 20)

/* All directories of one build. */
struct build_files {
    char *path; /* holds "main", the context; "sent", further ones; "fetched-<n>" */
    int context_fd;
    struct map contexts;         /* struct build_context */
    struct build_origin origin;  /* uri NULL: the context came from the client */
    struct str dockerfile;       /* one that came along */
    const char *dockerfile_name; /* NULL: it is a file of the context */
};

static void free_context(void *value)
{
    struct build_context *context = value;

    if (context->fd >= 0)
        close(context->fd);
    free(context->image);
    free(context);
}

static void build_files_done(struct build_files *files)
{
    struct error err;

    if (files->context_fd >= 0)
        close(files->context_fd);
    map_done(&files->contexts);
    str_done(&files->dockerfile);
    if (tree_remove(files->path, &err) < 0)
        log_warn("cannot remove a build context", "path", files->path, "error", err.text);
    free(files->path);
}
CLEANUP_VALUE(build_files_done, struct build_files)

static int make_files(struct engine *engine, struct build_files *out, struct error *err)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    *out = (struct build_files){ .context_fd = -1 };
    map_init_empty(&out->contexts, free_context);
    out->path = xasprintf("%s/tmp/context-%.16s", engine->options.data_path, id);
    CLEANUP(free) char *main_path = path_join(out->path, "main");
    return dir_make(main_path, 0755, err);
}

/* -1: there is none, or it is no directory. */
static int open_sent(const struct build_files *files)
{
    CLEANUP(free) char *path = path_join(files->path, "sent");

    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int read_sent_dockerfile(struct build_files *files, const char *name, struct error *err)
{
    CLEANUP(close) int sent_fd = open_sent(files);
    CLEANUP(close) int fd = -1;

    if (sent_fd < 0)
        return error_set(err, ERROR_INVALID, "the archive holds no Dockerfile %s", name);
    fd = openat(sent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open the Dockerfile");
    if (file_read_fd(fd, SENT_DOCKERFILE_LIMIT, &files->dockerfile, err) < 0)
        return error_context(err, "read the Dockerfile");
    files->dockerfile_name = name;
    return 0;
}

/* Before anything is copied from the main context. */
static int take_sent(struct build_files *files, const struct build_input *input,
                     const struct build_options *options, struct error *err)
{
    static const char prefix[] = BUILD_CONTEXTS_NAME "/";
    const char *name = options->dockerfile;
    bool is_sent = name && text_starts(name, prefix) && !strchr(name + strlen(prefix), '/');
    CLEANUP(free) char *from = xasprintf("%s/main/%s", files->path, BUILD_CONTEXTS_NAME);
    CLEANUP(free) char *to = path_join(files->path, "sent");

    if (!is_sent && (!input->contexts || input->contexts->count == 0))
        return 0;
    if (rename(from, to) < 0 && errno != ENOENT)
        return error_sys(err, "take further contexts out of the archive");
    return is_sent ? read_sent_dockerfile(files, name + strlen(prefix), err) : 0;
}

static int bring_context(struct build_files *files, const struct build_input *input,
                         const struct build_options *options, struct error *err)
{
    CLEANUP(free) char *path = path_join(files->path, "main");

    if (input->directories) {
        files->context_fd = fcntl(input->directories->context_fd, F_DUPFD_CLOEXEC, 0);
        return files->context_fd < 0 ? error_sys(err, "open the context") : 0;
    }
    if (input->synced) {
        files->context_fd = fcntl(context_sync_fd(input->synced), F_DUPFD_CLOEXEC, 0);
        return files->context_fd < 0 ? error_sys(err, "open the build context") : 0;
    }
    if (input->remote) {
        files->origin.uri = input->remote;
        return build_context_fetch(input->remote, options->arguments, path, options->cancel_fd,
                                   &files->context_fd, files->origin.commit, err);
    }
    files->context_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->context_fd < 0)
        return error_sys(err, "open %s", path);
    return build_context_unpack(input->archive, files->context_fd, err) < 0
               ? -1
               : take_sent(files, input, options, err);
}

/* A directory that came along in the archive. */
static int open_sent_context(const struct build_files *files, const char *number, struct error *err)
{
    CLEANUP(close) int sent_fd = -1;
    int64_t index;

    if (parse_int64(number, 0, BUILD_CONTEXTS_LIMIT, &index, err) < 0)
        return -1;
    sent_fd = open_sent(files);
    if (sent_fd < 0)
        return error_set(err, ERROR_INVALID, "the archive holds no further contexts");
    return path_open(sent_fd, number, O_RDONLY | O_DIRECTORY, 0, err);
}

static int fetch_context(struct build_files *files, const char *remote,
                         const struct build_options *options, struct error *err)
{
    CLEANUP(free) char *path = xasprintf("%s/fetched-%zu", files->path, files->contexts.count);
    int fd = -1;

    if (dir_make(path, 0755, err) < 0 ||
        build_context_fetch(remote, options->arguments, path, options->cancel_fd, &fd, NULL, err) <
            0)
        return -1;
    return fd;
}

static int add_context(struct build_files *files, const char *name, const char *text,
                       const struct build_options *options, struct error *err)
{
    struct build_context *context = NEW(struct build_context);

    context->fd = -1;
    if (text_starts(text, IMAGE_SCHEME))
        context->image = xstrdup(text + strlen(IMAGE_SCHEME));
    else if (text_starts(text, "dir:"))
        context->fd = open_sent_context(files, text + strlen("dir:"), err);
    else
        context->fd = fetch_context(files, text, options, err);
    if (context->fd < 0 && !context->image) {
        free_context(context);
        return error_context(err, "build context %s", name);
    }
    map_set(&files->contexts, name, context);
    return 0;
}

static int add_directories(struct build_files *files, const struct build_directories *directories,
                           struct error *err)
{
    if (!directories || !directories->contexts)
        return 0;
    MAP_EACH (directories->contexts, entry) {
        int fd = fcntl((int)((intptr_t)entry->value - 1), F_DUPFD_CLOEXEC, 0);
        struct build_context *context;

        if (fd < 0)
            return error_sys(err, "open build context %s", entry->key);
        context = NEW(struct build_context);
        context->fd = fd;
        map_set(&files->contexts, entry->key, context);
    }
    return 0;
}

static int bring_files(struct build_files *files, const struct build_input *input,
                       const struct build_options *options, struct error *err)
{
    if (bring_context(files, input, options, err) < 0 ||
        add_directories(files, input->directories, err) < 0)
        return -1;
    if (!input->contexts)
        return 0;
    if (input->contexts->count > BUILD_CONTEXTS_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d build contexts", BUILD_CONTEXTS_LIMIT);
    MAP_EACH (input->contexts, entry)
        if (!entry->value || add_context(files, entry->key, entry->value, options, err) < 0)
            return -1;
    return 0;
}

/* ---- twice ---- */

static void no_text(void *data UNUSED, const char *text UNUSED, size_t size UNUSED)
{
}

static int build_again(struct engine *engine, const struct build_options *options,
                       struct build_result *out, struct error *err)
{
    CLEANUP(build_result_done) struct build_result again = {};
    CLEANUP(str_done) struct str difference = {};
    struct build_options second = *options;

    second.no_cache = true;
    second.hostname = OTHER_HOSTNAME;
    second.tags = NULL;
    second.holds_image = true;
    second.stream = no_text;
    second.aux_id = NULL;
    second.event = NULL;
    if (builder_build(engine->builder, &second, &again, err) < 0)
        return error_context(err, "building again");
    int equal = verify_compare(engine->store, out->image_id, again.image_id, &difference, err);
    engine_image_let_go(engine, again.image_id, false);
    if (equal == 0)
        return error_set(err, ERROR_CONFLICT, "the build is not reproducible: %s",
                         str_text(&difference));
    return equal < 0 ? -1 : 0;
}

static int build_verified(struct engine *engine, const struct build_options *options,
                          struct build_result *out, struct error *err)
{
    CLEANUP(map_done) struct map arguments = {};
    struct build_options dated = *options;
    char now[24];

    map_init_empty(&arguments, free);
    if (options->arguments)
        MAP_EACH (options->arguments, entry)
            map_set(&arguments, entry->key, xstrdup(entry->value));
    snprintf(now, sizeof(now), "%lld", (long long)(clock_wall_ns() / NS_PER_S));
    if (!map_get(&arguments, "SOURCE_DATE_EPOCH"))
        map_set_text(&arguments, "SOURCE_DATE_EPOCH", now);
    dated.arguments = &arguments;
    dated.no_cache = true; /* What the cache has may be from another time. */
    if (builder_build(engine->builder, &dated, out, err) < 0)
        return -1;
    int result = build_again(engine, &dated, out, err);
    if (result < 0 && options->holds_image)
        engine_image_let_go(engine, out->image_id, false);
    return result;
}

/* ---- contexts that clients keep up to date ---- */

/* An image that is not here may have any. */
static bool may_have_triggers(void *data, const char *name)
{
    struct engine *engine = data;
    CLEANUP(image_unref) struct image *image = NULL;

    return store_image_find(engine->store, name, &image, NULL) < 0 ||
           image->config.config.on_build.count > 0;
}

int engine_context_begin(struct engine *engine, const struct context_offer *offer,
                         struct context_sync **out, struct error *err)
{
    struct context_store *contexts = builder_contexts(engine->builder);
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(strv_done) struct strv needed = {};
    bool is_all = offer->wants_all;

    /* What cannot be parsed needs nothing. */
    if (!is_all &&
        dockerfile_parse(offer->dockerfile, strlen(offer->dockerfile), NULL, &file, NULL) == 0)
        context_needs(&file, offer->manifest, may_have_triggers, engine, &needed);
    strv_add(&needed, ".dockerignore"); /* explains why something is not there */
    return context_sync_begin(contexts, offer->key, offer->manifest, is_all ? NULL : &needed, out,
                              err);
}

int engine_context_find(struct engine *engine, const char *id, struct context_sync **out,
                        struct error *err)
{
    return context_sync_find(builder_contexts(engine->builder), id, out, err);
}

static int carry_out(struct engine *engine, const struct build_input *input,
                     const struct build_options *options, struct build_result *out,
                     struct error *err)
{
    bool is_list = options->platform && strchr(options->platform, ',');

    if (is_list && input->is_verified)
        return error_set(err, ERROR_UNSUPPORTED, "builds are verified for one platform at a time");
    if (is_list)
        return build_for_platforms(engine, options, out, err);
    return input->is_verified ? build_verified(engine, options, out, err)
                              : builder_build(engine->builder, options, out, err);
}

static void tell_created(struct engine *engine, const char *image_id)
{
    CLEANUP(map_done) struct map attributes = {};

    map_set_text(&attributes, "name", image_id);
    engine_event(engine, "image", "create", image_id, &attributes);
}

int engine_build(struct engine *engine, const struct build_input *input,
                 const struct build_options *options, struct build_result *out, struct error *err)
{
    CLEANUP(build_files_done) struct build_files files;
    struct build_options with_files = *options;

    if (make_files(engine, &files, err) < 0 || bring_files(&files, input, options, err) < 0)
        return -1;
    with_files.context_fd = files.context_fd;
    if (files.dockerfile_name) {
        with_files.dockerfile = files.dockerfile_name;
        with_files.dockerfile_text = &files.dockerfile;
    }
    with_files.synced = input->synced;
    with_files.origin = files.origin.uri ? &files.origin : NULL;
    with_files.contexts = &files.contexts;
    with_files.is_filtered = input->directories || input->synced;
    with_files.ignored = input->directories ? input->directories->ignored : NULL;
    if (carry_out(engine, input, &with_files, out, err) < 0)
        return -1;
    if (options->checks_only)
        return 0;
    if (out->image_count == 0)
        tell_created(engine, out->image_id);
    for (size_t i = 0; i < out->image_count; i++)
        tell_created(engine, out->images[i].image_id);
    return 0;
}

int engine_context_take(struct engine *engine, const char *key, struct context_kept *out,
                        struct error *err)
{
    return context_kept_take(builder_contexts(engine->builder), key, out, err);
}

void engine_context_give_back(struct engine *engine, struct context_kept *kept, int64_t size_bytes)
{
    context_kept_give_back(builder_contexts(engine->builder), kept, size_bytes);
}
