/* Directories of the client become directories here: each is a step that clients see. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/frontend.h"
#include "buildkit/offer.h"
#include "buildkit/receive.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define UPLOAD_SCHEME "http://buildkit-session/"

struct transfer {
    struct frontend *frontend;
    const char *key, *what;
    int64_t bytes;
};

static void tell_transfer(void *data, int64_t bytes)
{
    struct transfer *transfer = data;

    transfer->bytes = bytes;
    trace_amount(transfer->frontend->progress, transfer->key, transfer->what, bytes, 0, false);
}

/* Brings 'request' into 'path', shown as a step of its own. */
static int bring(struct frontend *frontend, struct receive_request *request, const char *path,
                 const char *key, const char *step, const char *what, struct error *err)
{
    struct transfer transfer = { frontend, key, what, 0 };
    struct error local = {};

    if (!err)
        err = &local;
    request->cancel_fd = frontend->cancel_fd;
    request->progress = tell_transfer;
    request->data = &transfer;
    trace_begin(frontend->progress, key, step);
    int result = receive_directory(frontend->session, request, path, err);
    trace_amount(frontend->progress, key, what, transfer.bytes, 0, true);
    trace_end(frontend->progress, key, result < 0 ? err->text : NULL);
    return result;
}

static char *temporary(struct frontend *frontend, const char *name, struct error *err)
{
    CLEANUP(free) char *path = path_join(frontend->temporary_path, name);

    return dir_make(path, 0700, err) < 0 ? NULL : TAKE(path);
}

/* A file that was brought; false if it was not there. */
static bool read_brought(const char *path, const char *name, struct str *out)
{
    CLEANUP(free) char *file = xasprintf("%s/" RECEIVE_TREE "/%s", path, name);

    return file_read(file, DOCKERFILE_LIMIT, out, NULL) == 0;
}

/* The Dockerfile, and what it says to leave out ('out_ignore'; false: nothing). */
static int bring_dockerfile(struct frontend *frontend, struct str *out_ignore, bool *out_has_ignore,
                            struct error *err)
{
    const char *name = frontend_file_name(frontend);
    CLEANUP(free) char *path = temporary(frontend, "dockerfile", err);
    CLEANUP(free) char *step = xasprintf("[internal] load build definition from %s", name);
    CLEANUP(free) char *ignore = xasprintf("%s.dockerignore", name);
    CLEANUP(strv_done) struct strv wanted = {};
    struct receive_request request = { .name = frontend_attribute(frontend, "dockerfilekey")
                                                   ?: "dockerfile",
                                       .follow = &wanted,
                                       .size_limit = DOCKERFILE_LIMIT };

    strv_add(&wanted, name);
    strv_add(&wanted, ignore);
    if (strcmp(name, "Dockerfile") == 0)
        strv_add(&wanted, "dockerfile");
    if (!path ||
        bring(frontend, &request, path, "dockerfile", step, "transferring dockerfile:", err) < 0)
        return -1;
    if (!read_brought(path, name, &frontend->file_text) &&
        (strcmp(name, "Dockerfile") != 0 ||
         !read_brought(path, "dockerfile", &frontend->file_text)))
        return error_set(err, ERROR_INVALID,
                         "failed to read dockerfile: open %s: no such file or directory", name);
    frontend->has_file = true;
    trace_set_file(frontend->progress, name, str_text(&frontend->file_text));
    *out_has_ignore = read_brought(path, ignore, out_ignore);
    return 0;
}

/* .dockerignore of a directory. */
static int bring_ignore(struct frontend *frontend, const char *name, struct str *out,
                        struct error *err)
{
    CLEANUP(free) char *place = xasprintf("ignore-%zu", frontend->directories.count);
    CLEANUP(free) char *path = temporary(frontend, place, err);
    CLEANUP(strv_done) struct strv wanted = {};
    struct receive_request request = { .name = name,
                                       .follow = &wanted,
                                       .size_limit = DOCKERFILE_LIMIT };

    strv_add(&wanted, ".dockerignore");
    if (!path || bring(frontend, &request, path, place, "[internal] load .dockerignore",
                       "transferring context:", err) < 0)
        return -1;
    read_brought(path, ".dockerignore", out);
    return 0;
}

static int exclusions(const struct str *ignore, struct dockerignore **out_patterns,
                      struct strv *out_lines, struct error *err)
{
    if (dockerignore_parse(str_text(ignore), out_patterns, err) < 0)
        return error_context(err, "checking context");
    dockerignore_lines(*out_patterns, out_lines);
    return 0;
}

static int open_tree(const char *path, struct error *err)
{
    CLEANUP(free) char *tree = path_join(path, RECEIVE_TREE);
    int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, "open %s", tree) : fd;
}

/* The main context: kept for the next time if the client says what it is. */
static int bring_context(struct frontend *frontend, const struct str *ignore, struct error *err)
{
    const char *name = frontend_attribute(frontend, "contextkey") ?: "context";
    CLEANUP(strv_done) struct strv exclude = {};
    CLEANUP(free) char *path = NULL;
    struct receive_request request = { .name = name, .exclude = &exclude };

    if (exclusions(ignore, &frontend->ignored, &exclude, err) < 0)
        return -1;
    if (*frontend->session->shared_key) {
        CLEANUP(free) char *key = xasprintf("%s of %s", name, frontend->session->shared_key);

        if (engine_context_take(frontend->buildkit->engine, key, &frontend->kept, err) < 0)
            return -1;
        request.size_bytes = &frontend->kept_size;
        path = xstrdup(frontend->kept.path);
    } else {
        path = temporary(frontend, "context", err);
    }
    if (!path || bring(frontend, &request, path, "context", "[internal] load build context",
                       "transferring context:", err) < 0)
        return -1;
    frontend->context_fd = open_tree(path, err);
    return frontend->context_fd < 0 ? -1 : 0;
}

static int bring_named(struct frontend *frontend, const char *name, const char *directory,
                       struct error *err)
{
    CLEANUP(str_done) struct str ignore = {};
    CLEANUP(dockerignore_free) struct dockerignore *patterns = NULL;
    CLEANUP(strv_done) struct strv exclude = {};
    CLEANUP(free) char *place = xasprintf("named-%zu", frontend->directories.count);
    CLEANUP(free) char *step = xasprintf("[context %s] load from client", name);
    CLEANUP(free) char *path = temporary(frontend, place, err);
    struct receive_request request = { .name = directory, .exclude = &exclude };

    if (!path || bring_ignore(frontend, directory, &ignore, err) < 0 ||
        exclusions(&ignore, &patterns, &exclude, err) < 0 ||
        bring(frontend, &request, path, place, step, "transferring:", err) < 0)
        return -1;
    int fd = open_tree(path, err);
    if (fd < 0)
        return -1;
    map_set(&frontend->directories, name, (void *)((intptr_t)fd + 1));
    return 0;
}

/* An image that another build of the client has made, or one for each platform: a build looks for
 * "name::linux/arm64" before "name". */
static int take_input(struct frontend *frontend, const char *name, const char *input,
                      struct error *err)
{
    const char *id = map_get(frontend->request->inputs, input);
    struct built built;

    if (!id || !built_find(frontend->buildkit, id, &built))
        return error_set(err, ERROR_NOT_FOUND, "the input %s of the build is not there", input);
    CLEANUP(free) char *text = xasprintf("docker-image://%s", built.image_id);
    map_set_text(&frontend->contexts, name, text);
    for (size_t i = 0; i < built.image_count; i++) {
        CLEANUP(free) char *key = xasprintf("%s::%s", name, built.images[i].platform);
        CLEANUP(free) char *own = xasprintf("docker-image://%s", built.images[i].image_id);

        map_set_text(&frontend->contexts, key, own);
    }
    return 0;
}

static int take_named(struct frontend *frontend, const char *name, const char *text,
                      struct error *err)
{
    const char *colon = strchr(text, ':');

    if (text_starts(text, "local:"))
        return bring_named(frontend, name, colon + 1, err);
    if (text_starts(text, "input:"))
        return take_input(frontend, name, colon + 1, err);
    if (text_starts(text, "oci-layout:"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "build context %s: OCI layouts as contexts are not supported by this "
                         "engine: load the image and name it with docker-image://",
                         name);
    map_set_text(&frontend->contexts, name, text);
    return 0;
}

static int take_contexts(struct frontend *frontend, struct error *err)
{
    map_init_empty(&frontend->contexts, free);
    MAP_EACH (frontend->request->attributes, entry)
        if (text_starts(entry->key, "context:") &&
            take_named(frontend, entry->key + strlen("context:"), entry->value, err) < 0)
            return -1;
    return 0;
}

int frontend_bring(struct frontend *frontend, struct error *err)
{
    const char *context = frontend_attribute(frontend, "context");
    CLEANUP(str_done) struct str ignore = {};
    bool has_ignore = false;

    if (take_contexts(frontend, err) < 0)
        return -1;
    /* A remote context has its own Dockerfile, unless the client sends one. */
    if (((!context && !frontend->request->archive) ||
         frontend_attribute(frontend, "dockerfilekey")) &&
        bring_dockerfile(frontend, &ignore, &has_ignore, err) < 0)
        return -1;
    if (frontend->request->archive)
        return 0;
    if (context && text_starts(context, UPLOAD_SCHEME))
        return offer_upload(frontend->session, context + strlen(UPLOAD_SCHEME), frontend->cancel_fd,
                            &frontend->archive, err);
    if (context)
        return 0;
    if (!has_ignore && bring_ignore(frontend, "context", &ignore, err) < 0)
        return -1;
    return bring_context(frontend, &ignore, err);
}
