/* Where results go: names here, registries, and files or directories of the client's. An option of
 * an exporter that is not known is refused. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
    const struct built *built;
    struct strv image_ids;
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

/* Is the result one for several platforms? */
static bool is_several(const struct export *export)
{
    return export->built->image_count > 0;
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
    CLEANUP(free) char *writing = xasprintf("writing image %s", export->built->image_id);

    amount(export, writing, true);
    for (size_t i = 0; i < export->names.count; i++) {
        CLEANUP(reference_done) struct reference reference = {};

        if (reference_parse(export->names.items[i], &reference, err) < 0)
            return -1;
        CLEANUP(free)
        char *what = xasprintf("naming to %s/%s:%s", reference.domain, reference.path,
                               reference.tag ?: "latest");
        CLEANUP(free) char *name = xasprintf("%s/%s", reference.domain, reference.path);
        if (engine_image_tag(export->buildkit->engine, export->built->image_id, name,
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
    const struct credentials *given = known > 0 ? &credentials : NULL;
    int result = known < 0            ? -1
                 : is_several(export) ? engine_images_push(export->buildkit->engine, &reference,
                                                           &export->image_ids, given, &watcher, err)
                                      : engine_image_push(export->buildkit->engine, &reference,
                                                          false, NULL, given, &watcher, err);
    if (result < 0)
        return error_context(err, "failed to push %s", text);
    CLEANUP(free)
    char *what = xasprintf("pushing manifest for %s/%s:%s@%s", reference.domain, reference.path,
                           reference.tag, push->result.digest);
    amount(export, what, true);
    return 0;
}

/* What left: a manifest or an index. */
static void answer_descriptor(struct export *export, const char *media_type, const char *digest,
                              int64_t size)
{
    CLEANUP(str_done) struct str json = {};
    struct json_writer w = { .out = &json };

    descriptor_add(&w, NULL, media_type, digest, size);
    CLEANUP(free) char *descriptor = base64_encode(str_text(&json), json.length);
    map_set_text(export->response, "containerimage.digest", digest);
    map_set_text(export->response, "containerimage.descriptor", descriptor);
}

static int push_all(struct export *export, struct error *err)
{
    CLEANUP(peer_unref) struct peer *session = NULL;
    struct push push = { .export = export };

    if (export->names.count == 0)
        return error_set(err, ERROR_INVALID, "a name is needed to push to a registry");
    if (find_session(export, &session, err) < 0)
        return -1;
    for (size_t i = 0; i < export->names.count; i++)
        if (push_one(export, session, export->names.items[i], &push, err) < 0)
            return -1;
    answer_descriptor(export,
                      push.result.is_index ? MEDIA_TYPE_OCI_INDEX : MEDIA_TYPE_DOCKER_MANIFEST,
                      push.result.digest, push.result.size);
    return 0;
}

static void answer_image(struct export *export)
{
    CLEANUP(free) char *names = strv_join(&export->names, ",");

    map_set_text(export->response, "containerimage.config.digest", export->built->image_id);
    map_set_text(export->response, "containerimage.digest", export->built->image_id);
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
    if (is_several(export) && (is_on(export, "load", false) || !is_on(export, "push", false)))
        return error_set(err, ERROR_UNSUPPORTED,
                         "images for several platforms have one name in a registry or in an "
                         "archive, but not here: push them, or choose an output of type oci, local "
                         "or tar");
    if (!is_several(export)) {
        if (tag(export, err) < 0)
            return -1;
        answer_image(export);
    }
    return is_on(export, "push", false) ? push_all(export, err) : 0;
}

/* ---- files of the client's ---- */

typedef int export_writer(struct export *export, struct stream *out, struct error *err);

struct index_target {
    struct stream *out;
    struct archive_index index;
};

static struct stream *open_target(void *data, const struct archive_index *index,
                                  struct error *err UNUSED)
{
    struct index_target *target = data;

    target->index = *index;
    return target->out;
}

/* Images for several platforms. */
static int write_index(struct export *export, struct stream *out, struct error *err)
{
    struct engine *engine = export->buildkit->engine;
    CLEANUP(image_selection_done) struct image_selection selection = {};
    CLEANUP(free) char *names = strv_join(&export->names, ",");
    struct index_target target = { .out = out };
    const struct archive_target place = { &target, open_target };

    if (engine_images_select(engine, &export->image_ids, NULL, &selection, err) < 0 ||
        engine_images_save_index(&selection, &export->names, &place, err) < 0)
        return -1;
    answer_descriptor(export, MEDIA_TYPE_OCI_INDEX, target.index.digest, target.index.size);
    if (*names)
        map_set_text(export->response, "image.name", names);
    return 0;
}

static int write_archive(struct export *export, struct stream *out, struct error *err)
{
    struct engine *engine = export->buildkit->engine;
    CLEANUP(image_selection_done) struct image_selection selection = {};

    if (is_several(export))
        return write_index(export, out, err);
    if (engine_images_select_as(engine, export->built->image_id, &export->names, &selection, err) <
        0)
        return -1;
    return engine_images_save(&selection, out, err);
}

/* The images, 'use' them, and let go of them. */
static int with_images(struct export *export,
                       int (*use)(struct export *export, const struct image_files *files,
                                  void *data, struct error *err),
                       void *data, struct error *err)
{
    struct image *images[BUILD_PLATFORM_LIMIT] = {};
    struct image_files files = { .images = images,
                                 .is_split = is_several(export) &&
                                             is_on(export, "platform-split", true),
                                 .attested = !export->built->hides_attestations,
                                 .cancel_fd = export->cancel_fd };
    int result = 0;

    for (; files.count < export->image_ids.count && result == 0; files.count++)
        result = engine_image_get(export->buildkit->engine, export->image_ids.items[files.count],
                                  &images[files.count], err);
    if (result == 0)
        result = use(export, &files, data, err);
    for (size_t i = 0; i < files.count; i++)
        image_unref(images[i]);
    return result;
}

static int collect_files(struct export *export, const struct image_files *files, void *out,
                         struct error *err)
{
    return engine_images_files(export->buildkit->engine, files, out, err);
}

static int write_files(struct export *export, struct stream *out, struct error *err)
{
    return with_images(export, collect_files, out, err);
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
    if (is_several(export) && strcmp(export->exporter->type, "docker") == 0)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "the output docker has no place for images for several platforms: oci has");
    if (export_file(export, write_archive, "sending tarball", err) < 0)
        return -1;
    if (!is_several(export))
        answer_image(export);
    return 0;
}

static int export_tar(struct export *export, struct error *err)
{
    return export_file(export, write_files, "sending tarball", err);
}

/* One tree on its way. */
struct sending {
    struct export *export;
    const char *prefix; /* a directory of the client's that it goes into; NULL: none */
};

static int send_files(void *data, int tree_fd, struct error *err)
{
    const struct sending *sending = data;
    const struct export *export = sending->export;
    CLEANUP(peer_unref) struct peer *session = NULL;

    if (find_session(export, &session, err) < 0)
        return -1;
    return send_directory(session, export->index, tree_fd, sending->prefix, export->cancel_fd, err);
}

/* What is attested of the image goes into a directory of its own, which is sent after the files.
 * 'word' (may be NULL) gets into the names. */
static int send_statements(struct sending *sending, const struct image *image, const char *word,
                           struct error *err)
{
    struct engine *engine = sending->export->buildkit->engine;
    CLEANUP(map_done) struct map statements = {};
    CLEANUP(free) char *path = NULL;
    CLEANUP(close) int fd = -1;
    int result = 0;

    if (engine_image_statements(engine, image, word, &statements, err) < 0)
        return -1;
    if (statements.count == 0)
        return 0;
    path = engine_temporary_directory(engine, err);
    if (!path)
        return -1;
    MAP_EACH (&statements, entry) {
        CLEANUP(free) char *file = path_join(path, entry->key);

        if (result == 0)
            result = file_write_atomic(file, entry->value, strlen(entry->value), 0644, false, err);
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fchmod(fd, 0755); /* it may become a directory of the client's */
    if (result == 0)
        result = fd < 0 ? error_sys(err, "open %s", path) : send_files(sending, fd, err);
    tree_remove(path, NULL);
    return result;
}

static int send_image(struct export *export, const struct image_files *files, size_t index,
                      struct error *err)
{
    const struct image *image = files->images[index];
    CLEANUP(free) char *word = image_platform_word(image);
    struct sending sending = { export, files->is_split ? word : NULL };
    bool is_named = files->count > 1 && !files->is_split;

    if (engine_image_lend(export->buildkit->engine, image, send_files, &sending, err) < 0)
        return -1;
    return files->attested ? send_statements(&sending, image, is_named ? word : NULL, err) : 0;
}

static int send_images(struct export *export, const struct image_files *files, void *data UNUSED,
                       struct error *err)
{
    if (!files->is_split &&
        engine_images_overlap_check(export->buildkit->engine, files->images, files->count, err) < 0)
        return -1;
    for (size_t i = 0; i < files->count; i++)
        if (send_image(export, files, i, err) < 0)
            return -1;
    return 0;
}

static int export_local(struct export *export, struct error *err)
{
    amount(export, "copying files", false);
    if (with_images(export, send_images, NULL, err) < 0)
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
    { "image",  "exporting to image",               true,  " load name push unpack ", export_image   },
    { "local",  "exporting to client directory",    false, " platform-split ",      export_local   },
    { "moby",   "exporting to image",               true,  " load name push unpack ", export_image   },
    { "oci",    "exporting to oci image format",    false, " name tar ",            export_archive },
    { "tar",    "exporting to client tarball",      false, " platform-split ",      export_tar     },
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
                             .built = built,
                             .index = index,
                             .cancel_fd = cancel_fd,
                             .response = response };

    if (!kind)
        return error_set(err, ERROR_UNSUPPORTED, "the output type=%s is not supported",
                         exporter->type);
    if (check_options(&export, kind, err) < 0)
        return -1;
    for (size_t i = 0; i < built->image_count; i++)
        strv_add(&export.image_ids, built->images[i].image_id);
    if (built->image_count == 0)
        strv_add(&export.image_ids, built->image_id);
    trace_begin(&solve->progress, KEY, kind->step);
    int result = read_names(&export, err);
    if (result == 0)
        result = kind->run(&export, err);
    trace_end(&solve->progress, KEY, result < 0 ? err->text : NULL);
    strv_done(&export.names);
    strv_done(&export.image_ids);
    return result;
}
