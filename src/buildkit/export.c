/* Where results go: names here, registries, and files or directories of the client's. An option of
 * an exporter that is not known is refused. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "buildkit/offer.h"
#include "buildkit/send.h"
#include "codec/base64.h"
#include "engine/image.h"
#include "engine/image_archive.h"
#include "engine/image_files.h"
#include "engine/image_registry.h"
#include "spec/descriptor.h"

#include "base/banned.h"

#define KEY "export"

/* One exporter at work. */
struct export
{
    struct buildkit *buildkit;
    struct solve *solve;
    const struct exporter *exporter;
    const char *image_id;
    bool hides_attestations;
    size_t index;
    int cancel_fd;
    struct strv names; /* from the option "name", familiar */
    struct map *response;
};

static const char *option(const struct export *export, const char *name)
{
    return map_get(&export->exporter->attributes, name);
}

static bool is_on(const struct export *export, const char *name, bool otherwise)
{
    bool value = otherwise;

    if (option(export, name))
        text_parse_bool(option(export, name), &value);
    return value;
}

static void amount(const struct export *export, const char *what, bool is_done)
{
    trace_amount(&export->solve->progress, KEY, what, 0, 0, is_done);
}

static int find_session(const struct export *export, struct peer **out, struct error *err)
{
    return peers_find(&export->buildkit->sessions, export->solve->session_id, export->cancel_fd,
                      out, err);
}

/* ---- an image here, and in registries ---- */

static int tag(struct export *export, struct error *err)
{
    CLEANUP(free) char *writing = xasprintf("writing image %s", export->image_id);

    amount(export, writing, true);
    for (size_t i = 0; i < export->names.count; i++) {
        CLEANUP(reference_done) struct reference reference = {};

        if (reference_parse(export->names.items[i], &reference, err) < 0)
            return -1;
        CLEANUP(free)
        char *what = xasprintf("naming to %s/%s:%s", reference.domain, reference.path,
                               reference.tag ?: "latest");
        CLEANUP(free) char *name = xasprintf("%s/%s", reference.domain, reference.path);
        if (engine_image_tag(export->buildkit->engine, export->image_id, name,
                             reference.tag ?: "latest", err) < 0)
            return -1;
        amount(export, what, true);
    }
    return 0;
}

/* What pushing tells, as output of the step. */
struct push {
    struct export *export;
    struct push_result result;
};

static void push_head(void *data UNUSED, const char *id UNUSED, const char *status UNUSED)
{
}

static void push_layer(void *data, const char *id, const char *status)
{
    struct push *push = data;
    CLEANUP(free) char *what = xasprintf("pushing layer %s", id);
    bool is_over = strcmp(status, "Pushed") == 0 || strcmp(status, "Layer already exists") == 0 ||
                   text_starts(status, "Mounted");

    if (is_over)
        amount(push->export, what, true);
}

static void push_amount(void *data, const char *id, const char *status UNUSED, int64_t current,
                        int64_t total)
{
    struct push *push = data;
    CLEANUP(free) char *what = xasprintf("pushing layer %s", id);

    trace_amount(&push->export->solve->progress, KEY, what, current, total, false);
}

static void push_line(void *data UNUSED, const char *status UNUSED)
{
}

static bool push_is_cancelled(void *data)
{
    return fd_is_readable(((struct push *)data)->export->cancel_fd);
}

static void pushed(void *data, const char *tag_name UNUSED, const struct push_result *result)
{
    struct push *push = data;

    push->result = *result;
}

static int push_one(struct export *export, struct peer *session, const char *text,
                    struct push *push, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(credentials_done) struct credentials credentials = {};
    const struct push_watcher watcher = {
        .registry = { push, push_head, push_layer, push_amount, push_line, push_is_cancelled },
        .pushed = pushed,
    };

    if (reference_parse(text, &reference, err) < 0)
        return -1;
    if (!reference.tag)
        reference.tag = xstrdup("latest");
    int known = offer_credentials(session, reference.domain, export->cancel_fd, &credentials, err);
    if (known < 0 || engine_image_push(export->buildkit->engine, &reference, false, NULL,
                                       known ? &credentials : NULL, &watcher, err) < 0)
        return error_context(err, "failed to push %s", text);
    CLEANUP(free)
    char *what = xasprintf("pushing manifest for %s/%s:%s@%s", reference.domain, reference.path,
                           reference.tag, push->result.digest);
    amount(export, what, true);
    return 0;
}

static int push_all(struct export *export, struct error *err)
{
    CLEANUP(peer_unref) struct peer *session = NULL;
    CLEANUP(str_done) struct str json = {};
    struct json_writer w = { .out = &json };
    struct push push = { .export = export };

    if (export->names.count == 0)
        return error_set(err, ERROR_INVALID, "a name is needed to push to a registry");
    if (find_session(export, &session, err) < 0)
        return -1;
    for (size_t i = 0; i < export->names.count; i++)
        if (push_one(export, session, export->names.items[i], &push, err) < 0)
            return -1;
    map_set_text(export->response, "containerimage.digest", push.result.digest);
    descriptor_add(&w, NULL,
                   push.result.is_index ? MEDIA_TYPE_OCI_INDEX : MEDIA_TYPE_DOCKER_MANIFEST,
                   push.result.digest, push.result.size);
    CLEANUP(free) char *descriptor = base64_encode(str_text(&json), json.length);
    map_set_text(export->response, "containerimage.descriptor", descriptor);
    return 0;
}

static void answer_image(struct export *export)
{
    CLEANUP(free) char *names = strv_join(&export->names, ",");

    map_set_text(export->response, "containerimage.config.digest", export->image_id);
    map_set_text(export->response, "containerimage.digest", export->image_id);
    if (*names)
        map_set_text(export->response, "image.name", names);
}

static int export_image(struct export *export, struct error *err)
{
    if (!is_on(export, "unpack", true))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the output %s with unpack=false is not supported by this engine: its "
                         "images are unpacked as they are built",
                         export->exporter->type);
    amount(export, "exporting layers", true);
    if (tag(export, err) < 0)
        return -1;
    answer_image(export);
    return is_on(export, "push", false) ? push_all(export, err) : 0;
}

/* ---- files of the client's ---- */

typedef int export_writer(struct export *export, struct stream *out, struct error *err);

static int write_archive(struct export *export, struct stream *out, struct error *err)
{
    CLEANUP(image_selection_done) struct image_selection selection = {};

    if (engine_images_select_as(export->buildkit->engine, export->image_id, &export->names,
                                &selection, err) < 0)
        return -1;
    return engine_images_save(&selection, out, err);
}

static int write_files(struct export *export, struct stream *out, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (engine_image_get(export->buildkit->engine, export->image_id, &image, err) < 0)
        return -1;
    return engine_image_files(export->buildkit->engine, image, !export->hides_attestations,
                              export->cancel_fd, out, err);
}

static int export_file(struct export *export, export_writer *writer, const char *what,
                       struct error *err)
{
    CLEANUP(peer_unref) struct peer *session = NULL;
    CLEANUP(offer_file_free) struct offer_file *file = NULL;

    amount(export, what, false);
    if (find_session(export, &session, err) < 0 ||
        offer_file_new(session, export->index, export->cancel_fd, &file, err) < 0 ||
        writer(export, offer_file_stream(file), err) < 0 || offer_file_finish(file, err) < 0)
        return -1;
    amount(export, what, true);
    return 0;
}

static int export_archive(struct export *export, struct error *err)
{
    if (!is_on(export, "tar", true))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the output %s with tar=false is not supported by this engine",
                         export->exporter->type);
    if (export_file(export, write_archive, "sending tarball", err) < 0)
        return -1;
    answer_image(export);
    return 0;
}

static int export_tar(struct export *export, struct error *err)
{
    return export_file(export, write_files, "sending tarball", err);
}

static int send_files(void *data, int tree_fd, struct error *err)
{
    struct export *export = data;
    CLEANUP(peer_unref) struct peer *session = NULL;

    if (find_session(export, &session, err) < 0)
        return -1;
    return send_directory(session, export->index, tree_fd, export->cancel_fd, err);
}

/* What is attested of the image goes into a directory of its own, which is sent after the files. */
static int send_statements(struct export *export, const struct image *image, struct error *err)
{
    CLEANUP(map_done) struct map statements = {};
    CLEANUP(free) char *path = NULL;
    CLEANUP(close) int fd = -1;
    int result = 0;

    if (engine_image_statements(export->buildkit->engine, image, &statements, err) < 0)
        return -1;
    if (statements.count == 0 || export->hides_attestations)
        return 0;
    path = engine_temporary_directory(export->buildkit->engine, err);
    if (!path)
        return -1;
    MAP_EACH (&statements, entry) {
        CLEANUP(free) char *file = path_join(path, entry->key);

        if (result == 0)
            result = file_write_atomic(file, entry->value, strlen(entry->value), 0644, false, err);
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (result == 0)
        result = fd < 0 ? error_sys(err, "open %s", path) : send_files(export, fd, err);
    tree_remove(path, NULL);
    return result;
}

static int export_local(struct export *export, struct error *err)
{
    struct engine *engine = export->buildkit->engine;
    CLEANUP(image_unref) struct image *image = NULL;

    amount(export, "copying files", false);
    if (engine_image_get(engine, export->image_id, &image, err) < 0 ||
        engine_image_lend(engine, image, send_files, export, err) < 0 ||
        send_statements(export, image, err) < 0)
        return -1;
    amount(export, "copying files", true);
    return 0;
}

/* ---- the table ---- */

/* clang-format off */
static const struct kind {
    const char *type, *step;
    bool keeps;                 /* the image has a place here afterwards */
    const char *options;        /* that it knows, between blanks */
    int (*run)(struct export *export, struct error *err);
} kinds[] = {
    { "docker", "exporting to docker image format", false, " name tar ",            export_archive },
    { "image",  "exporting to image",               true,  " name push unpack ",    export_image   },
    { "local",  "exporting to client directory",    false, " ",                     export_local   },
    { "moby",   "exporting to image",               true,  " name push unpack ",    export_image   },
    { "oci",    "exporting to oci image format",    false, " name tar ",            export_archive },
    { "tar",    "exporting to client tarball",      false, " ",                     export_tar     },
};
/* clang-format on */

static const struct kind *find_kind(const char *type)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

bool export_keeps(const char *type)
{
    const struct kind *kind = find_kind(type);

    return kind && kind->keeps;
}

static int check_options(const struct export *export, const struct kind *kind, struct error *err)
{
    MAP_EACH (&export->exporter->attributes, entry) {
        CLEANUP(free) char *word = xasprintf(" %s ", entry->key);

        if (!strstr(kind->options, word))
            return error_set(err, ERROR_UNSUPPORTED,
                             "the option %s of the output type=%s is not supported by this engine",
                             entry->key, kind->type);
    }
    return 0;
}

static int read_names(struct export *export, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    strv_split(&names, option(export, "name") ?: "", ',');
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(reference_done) struct reference reference = {};

        if (reference_parse(names.items[i], &reference, err) < 0)
            return error_context(err, "%s", names.items[i]);
        if (reference.digest)
            return error_set(err, ERROR_INVALID, "%s: a name for an image has no digest",
                             names.items[i]);
        strv_add_take(&export->names, reference_familiar(&reference));
    }
    return 0;
}

int export_result(struct buildkit *buildkit, struct solve *solve, const struct built *built,
                  const struct exporter *exporter, size_t index, int cancel_fd,
                  struct map *response, struct error *err)
{
    const struct kind *kind = find_kind(exporter->type);
    struct export export = { .buildkit = buildkit,
                             .solve = solve,
                             .exporter = exporter,
                             .image_id = built->image_id,
                             .hides_attestations = built->hides_attestations,
                             .index = index,
                             .cancel_fd = cancel_fd,
                             .response = response };

    if (!kind)
        return error_set(err, ERROR_UNSUPPORTED, "the output type=%s is not supported",
                         exporter->type);
    if (check_options(&export, kind, err) < 0)
        return -1;
    trace_begin(&solve->progress, KEY, kind->step);
    int result = read_names(&export, err);
    if (result == 0)
        result = kind->run(&export, err);
    trace_end(&solve->progress, KEY, result < 0 ? err->text : NULL);
    strv_done(&export.names);
    return result;
}
