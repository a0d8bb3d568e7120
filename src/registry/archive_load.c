/* The archive is read once, each file becoming a blob for the time being; the documents say
 * afterwards what the files are. What no image took is removed at the end, whatever happened. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "codec/tar.h"
#include "registry/archive.h"
#include "registry/install.h"
#include "registry/manifest.h"
#include "registry/stack.h"

#include "base/banned.h"

#define FILE_COUNT_LIMIT  ((size_t)100000)
#define IMAGE_COUNT_LIMIT ((size_t)1000)
#define DOCUMENT_LIMIT    ((size_t)8 << 20)
#define INFLATE_RATIO     1000
#define INDEX_DEPTH_LIMIT 4
#define LINK_DEPTH_LIMIT  8
#define LOOK_MS           100
#define BLOCK_SIZE        ((size_t)64 << 10)
#define BLOB_DIRECTORY    "blobs/sha256/"

/* One image of the archive. */
struct found_image {
    char *config_digest;
    struct strv layers; /* digests of blobs, base first */
    int64_t *sizes;     /* of the layers, if they come from a source */
    struct strv names;  /* familiar */
    char *manifest_digest, *manifest_type;
    struct strv layer_types; /* as the manifest has them, none: not known */
};

struct load {
    struct store *store;
    struct archive_choice choice;
    const struct archive_watcher *watcher;
    const struct archive_source *source; /* of blobs that are not in 'files' yet; may be NULL */
    struct map files;                    /* name → digest (text) */
    struct map links;                    /* name → name (text) */
    struct found_image *images;
    size_t count;
};

static void found_image_done(struct found_image *image)
{
    free(image->config_digest);
    free(image->manifest_digest);
    free(image->manifest_type);
    free(image->sizes);
    strv_done(&image->layers);
    strv_done(&image->names);
    strv_done(&image->layer_types);
}

static void load_done(struct load *load)
{
    MAP_EACH (&load->files, entry)
        blob_discard(load->store, entry->value);
    map_done(&load->files);
    map_done(&load->links);
    for (size_t i = 0; i < load->count; i++)
        found_image_done(&load->images[i]);
    free(load->images);
}
CLEANUP_VALUE(load_done, struct load)

static struct found_image *add_image(struct load *load)
{
    load->images = xrealloc(load->images, load->count + 1, sizeof(*load->images));
    load->images[load->count] = (struct found_image){};
    return &load->images[load->count++];
}

/* ---- reading the archive ---- */

/* Names are looked up in a map only: they never become paths. */
static char *clean_name(const char *name)
{
    CLEANUP(free) char *rooted = xasprintf("/%s", name);
    CLEANUP(free) char *cleaned = path_clean(rooted);

    return xstrdup(cleaned + 1);
}

/* Holes of sparse files. */
static int add_zeros(struct blob_writer *writer, int64_t size, struct error *err)
{
    static const char zeros[4096];

    for (; size > 0; size -= (int64_t)sizeof(zeros))
        if (blob_writer_add(writer, zeros, MIN(sizeof(zeros), (size_t)size), err) < 0)
            return -1;
    return 0;
}

static int spool_file(struct load *load, struct tar_reader *reader, const struct tar_entry *entry,
                      char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    CLEANUP(blob_writer_free) struct blob_writer *writer = NULL;
    int64_t at = 0, offset;
    const void *data;
    size_t size;
    int more;

    if (blob_writer_new(load->store, &writer, err) < 0)
        return -1;
    while ((more = tar_reader_block(reader, &data, &size, &offset, err)) == 1) {
        if (add_zeros(writer, offset - at, err) < 0 || blob_writer_add(writer, data, size, err) < 0)
            return -1;
        at = offset + (int64_t)size;
    }
    if (more < 0 || add_zeros(writer, entry->size - at, err) < 0)
        return -1;
    return blob_writer_finish(writer, NULL, entry->size, out_digest, err);
}

static int check_name(const char *name, const char *digest, struct error *err)
{
    if (text_starts(name, BLOB_DIRECTORY) &&
        strcmp(name + strlen(BLOB_DIRECTORY), digest_hex(digest)) != 0)
        return error_set(err, ERROR_INVALID, "invalid archive: %.200s has the digest %s", name,
                         digest);
    return 0;
}

static int read_file(struct load *load, struct tar_reader *reader, const struct tar_entry *entry,
                     struct error *err)
{
    CLEANUP(free) char *name = clean_name(entry->name);
    char digest[DIGEST_TEXT_SIZE];

    if (load->files.count >= FILE_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid archive: more than %zu files",
                         FILE_COUNT_LIMIT);
    if (map_has(&load->files, name))
        return error_set(err, ERROR_INVALID, "invalid archive: %.200s is in it twice", name);
    if (spool_file(load, reader, entry, digest, err) < 0)
        return -1;
    map_set(&load->files, name, xstrdup(digest));
    return check_name(name, digest, err);
}

/* docker once wrote a layer that came twice as a link to the first. */
static void read_link(struct load *load, const struct tar_entry *entry)
{
    CLEANUP(free) char *name = clean_name(entry->name);
    const char *slash = strrchr(name, '/');
    CLEANUP(free)
    char *relative = entry->type == TAR_HARDLINK || !slash
                         ? xstrdup(entry->link_target)
                         : xasprintf("%.*s/%s", (int)(slash - name), name, entry->link_target);

    if (load->links.count < FILE_COUNT_LIMIT)
        map_set(&load->links, name, clean_name(relative));
}

static int read_entries(struct load *load, struct tar_reader *reader, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    int more;

    while ((more = tar_reader_next(reader, &entry, err)) == 1) {
        if (entry.type == TAR_FILE && read_file(load, reader, &entry, err) < 0)
            return -1;
        if ((entry.type == TAR_SYMLINK || entry.type == TAR_HARDLINK) && entry.link_target)
            read_link(load, &entry);
    }
    return more;
}

static int read_archive(struct load *load, struct stream *archive, struct error *err)
{
    struct inflate_limits limits = { .ratio = INFLATE_RATIO };
    enum compression compression;
    struct stream *plain = stream_inflate(archive, limits, &compression, err);

    if (!plain)
        return -1;
    CLEANUP(tar_reader_free) struct tar_reader *reader = tar_reader_new(plain, err);
    return reader ? read_entries(load, reader, err) : -1;
}

/* The blob behind a name, NULL if there is none. */
static const char *find_file(const struct load *load, const char *name)
{
    CLEANUP(free) char *at = clean_name(name);

    for (int depth = 0; depth < LINK_DEPTH_LIMIT; depth++) {
        const char *digest = map_get(&load->files, at);
        const char *target = digest ? NULL : map_get(&load->links, at);

        if (!target)
            return digest;
        free(at);
        at = xstrdup(target);
    }
    return NULL;
}

static const char *need_file(const struct load *load, const char *name, struct error *err)
{
    const char *digest = text_is_empty(name) ? NULL : find_file(load, name);

    if (!digest)
        error_set(err, ERROR_INVALID, "invalid archive: open %.300s: no such file or directory",
                  name ?: "");
    return digest;
}

/* No more than 'limit' bytes. */
static int spool_stream(struct blob_writer *writer, struct stream *from, int64_t limit,
                        struct error *err)
{
    CLEANUP(free) uint8_t *block = xmalloc(BLOCK_SIZE);
    ssize_t size;

    while ((size = stream_read(from, block, BLOCK_SIZE, err)) > 0) {
        limit -= size;
        if (limit < 0)
            return error_set(err, ERROR_INVALID, "a blob has more bytes than it may have");
        if (blob_writer_add(writer, block, (size_t)size, err) < 0)
            return -1;
    }
    return (int)size;
}

/* With a source: a blob that has not come yet comes. 'size' -1: it is a document. */
static int bring_blob(struct load *load, const char *digest, int64_t size, struct error *err)
{
    CLEANUP(free) char *name = xasprintf(BLOB_DIRECTORY "%s", digest_hex(digest));
    CLEANUP(blob_writer_free) struct blob_writer *writer = NULL;
    CLEANUP(stream_close) struct stream *from = NULL;
    char got[DIGEST_TEXT_SIZE];

    if (!load->source || map_has(&load->files, name))
        return 0;
    if (load->files.count >= FILE_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %zu blobs", FILE_COUNT_LIMIT);
    if (load->source->open(load->source->data, digest, &from, err) < 0 ||
        blob_writer_new(load->store, &writer, err) < 0 ||
        spool_stream(writer, from, size < 0 ? (int64_t)DOCUMENT_LIMIT : size, err) < 0 ||
        blob_writer_finish(writer, digest, size, got, err) < 0)
        return error_context(err, "%s", digest);
    map_set(&load->files, name, xstrdup(got));
    return 0;
}

static int check_descriptor(struct load *load, const struct descriptor *descriptor,
                            struct error *err)
{
    CLEANUP(close) int fd = -1;
    int64_t size;
    CLEANUP(free) char *name = xasprintf(BLOB_DIRECTORY "%s", digest_hex(descriptor->digest));

    if (bring_blob(load, descriptor->digest, descriptor->size, err) < 0 ||
        !need_file(load, name, err) ||
        blob_open(load->store, descriptor->digest, &fd, &size, err) < 0)
        return -1;
    if (size != descriptor->size)
        return error_set(err, ERROR_INVALID,
                         "invalid archive: blob %s has %lld bytes instead of %lld",
                         descriptor->digest, (long long)size, (long long)descriptor->size);
    return 0;
}

/* ---- an OCI layout ---- */

static int read_document(struct load *load, const char *digest, struct str *out, struct error *err)
{
    return blob_read(load->store, digest, DOCUMENT_LIMIT, out, err);
}

/* Annotations say the whole name, or only a tag, which names nothing. */
static void add_reference_name(struct found_image *image, const char *text)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (!text || !strpbrk(text, ":/") || reference_parse(text, &reference, NULL) < 0 ||
        !reference.tag)
        return;
    CLEANUP(free) char *name = reference_familiar_name(&reference);
    CLEANUP(free) char *familiar = xasprintf("%s:%s", name, reference.tag);
    if (!strv_contains(&image->names, familiar))
        strv_add(&image->names, familiar);
}

static void fill_from_manifest(struct found_image *image, const struct descriptor *descriptor,
                               const struct manifest *manifest)
{
    image->config_digest = xstrdup(manifest->config.digest);
    image->manifest_digest = xstrdup(descriptor->digest);
    image->manifest_type = xstrdup(manifest->media_type);
    image->sizes = xcalloc(manifest->child_count + 1, sizeof(*image->sizes));
    for (size_t i = 0; i < manifest->child_count; i++) {
        image->sizes[i] = manifest->children[i].size;
        strv_add(&image->layers, manifest->children[i].digest);
        strv_add(&image->layer_types, manifest->children[i].media_type);
    }
}

static struct found_image *find_manifest(struct load *load, const char *manifest_digest)
{
    for (size_t i = 0; i < load->count; i++)
        if (text_equal(load->images[i].manifest_digest, manifest_digest))
            return &load->images[i];
    return NULL;
}

static int read_index(struct load *load, const char *digest, const char *media_type,
                      const char *name, int depth, struct error *err);

static int read_image_manifest(struct load *load, const struct descriptor *descriptor,
                               const char *name, struct error *err)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    CLEANUP(str_done) struct str text = {};
    struct found_image *image = find_manifest(load, descriptor->digest);

    if (image) {
        add_reference_name(image, name);
        return 0;
    }
    if (read_document(load, descriptor->digest, &text, err) < 0 ||
        manifest_parse(text.data, text.length, descriptor->media_type, &manifest, err) < 0 ||
        check_descriptor(load, &manifest.config, err) < 0)
        return -1;
    for (size_t i = 0; !load->source && i < manifest.child_count; i++)
        if (check_descriptor(load, &manifest.children[i], err) < 0)
            return -1;
    if (load->count >= IMAGE_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid archive: more than %zu images",
                         IMAGE_COUNT_LIMIT);
    image = add_image(load);
    fill_from_manifest(image, descriptor, &manifest);
    add_reference_name(image, name);
    return 0;
}

static int read_child(struct load *load, const struct descriptor *child, const char *name,
                      int depth, struct error *err)
{
    if (check_descriptor(load, child, err) < 0)
        return -1;
    return media_type_is_index(child->media_type)
               ? read_index(load, child->digest, child->media_type, name, depth + 1, err)
               : read_image_manifest(load, child, name, err);
}

static int read_every(struct load *load, const struct manifest *index, int depth, struct error *err)
{
    for (size_t i = 0; i < index->child_count; i++) {
        const struct descriptor *child = &index->children[i];

        if (child->is_attestation)
            continue;
        if (depth > 0 && !media_type_is_manifest(child->media_type))
            return error_set(err, ERROR_UNSUPPORTED, "it is an index of something else: %.200s",
                             child->media_type);
        if (read_child(load, child, child->reference_name, depth, err) < 0)
            return -1;
    }
    return 0;
}

/* At the top each entry is an image; below, an index is one image for several platforms. */
static int read_index(struct load *load, const char *digest, const char *media_type,
                      const char *name, int depth, struct error *err)
{
    CLEANUP(manifest_done) struct manifest index = {};
    CLEANUP(platform_done) struct platform native = {};
    CLEANUP(str_done) struct str text = {};

    if (depth > INDEX_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid archive: indexes are too deep");
    if (read_document(load, digest, &text, err) < 0 ||
        manifest_parse(text.data, text.length, media_type, &index, err) < 0)
        return -1;
    if (!index.is_index)
        return error_set(err, ERROR_INVALID, "invalid archive: index.json is no index");
    if (depth == 0 || load->choice.is_cache)
        return read_every(load, &index, depth, err);
    platform_native(&native);
    const struct platform *platform = load->choice.platform ?: &native;
    const struct descriptor *chosen = manifest_choose(&index, platform);
    if (!chosen) {
        CLEANUP(free) char *wanted = platform_format(platform);

        return error_set(err, ERROR_NOT_FOUND,
                         "no matching manifest for %s in the manifest list entries", wanted);
    }
    return read_child(load, chosen, name, depth, err);
}

/* ---- manifest.json ---- */

static int read_names(const struct json *list, struct found_image *out, struct error *err)
{
    for (size_t i = 0; i < json_count(list); i++) {
        CLEANUP(reference_done) struct reference reference = {};
        const char *text = json_text(json_at(list, i));

        if (!text || reference_parse(text, &reference, err) < 0)
            return error_set(err, ERROR_INVALID, "invalid tag \"%.300s\"", text ?: "");
        if (reference.digest || !reference.tag)
            return error_set(err, ERROR_INVALID, "invalid tag \"%.300s\"", text);
        strv_add_take(&out->names, reference_familiar(&reference));
    }
    return 0;
}

static int read_docker_image(struct load *load, const struct json *value, struct error *err)
{
    const struct json *layers = json_get(value, "Layers");
    struct found_image *image = add_image(load);
    const char *config = need_file(load, json_text(json_get(value, "Config")), err);

    if (!config)
        return -1;
    image->config_digest = xstrdup(config);
    for (size_t i = 0; i < json_count(layers); i++) {
        const char *layer = need_file(load, json_text(json_at(layers, i)), err);

        if (!layer)
            return -1;
        strv_add(&image->layers, layer);
    }
    return read_names(json_get(value, "RepoTags"), image, err);
}

static int read_docker_list(struct load *load, const char *digest, struct error *err)
{
    CLEANUP(json_free) struct json *list = NULL;
    CLEANUP(str_done) struct str text = {};

    if (read_document(load, digest, &text, err) < 0)
        return -1;
    if (json_parse_strict(str_text(&text), text.length, &list, err) < 0)
        return error_context(err, "invalid manifest.json");
    if (json_type(list) != JSON_LIST || json_count(list) > IMAGE_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid manifest.json: it is no list of images");
    for (size_t i = 0; i < json_count(list); i++)
        if (read_docker_image(load, json_at(list, i), err) < 0)
            return -1;
    return 0;
}

/* A manifest is worth keeping if its layers are compressed: that of plain ones, as docker save
 * writes it, is about this archive only, and no registry should be sent plain layers for its sake.
 */
static bool is_worth_keeping(const struct found_image *image)
{
    for (size_t i = 0; i < image->layer_types.count; i++)
        if (text_ends(image->layer_types.items[i], ".tar"))
            return false;
    return true;
}

static void drop_plain_manifests(struct load *load)
{
    for (size_t i = 0; i < load->count; i++)
        if (!is_worth_keeping(&load->images[i])) {
            free(TAKE(load->images[i].manifest_digest));
            free(TAKE(load->images[i].manifest_type));
            strv_done(&load->images[i].layer_types);
        }
}

/* An archive may have both: then manifest.json says which images there are, and the index which
 * manifests they came with. */
static void adopt_manifests(struct load *load, const struct load *layout)
{
    for (size_t i = 0; i < load->count; i++)
        for (size_t k = 0; k < layout->count; k++) {
            struct found_image *image = &load->images[i], *known = &layout->images[k];

            if (image->manifest_digest || strcmp(image->config_digest, known->config_digest) != 0 ||
                !strv_equal(&image->layers, &known->layers))
                continue;
            image->manifest_digest = xstrdup(known->manifest_digest);
            image->manifest_type = xstrdup(known->manifest_type);
            strv_copy(&image->layer_types, &known->layer_types);
        }
}

static void free_images(struct load *load)
{
    for (size_t i = 0; i < load->count; i++)
        found_image_done(&load->images[i]);
    free(load->images);
}

static int find_images(struct load *load, struct error *err)
{
    const char *list = find_file(load, "manifest.json"), *index = find_file(load, "index.json");
    struct load layout = *load;

    if (!list && !index)
        return error_set(err, ERROR_INVALID,
                         "invalid archive: it has neither manifest.json nor index.json (open "
                         "repositories: no such file or directory)");
    if (!list)
        return read_index(load, index, NULL, NULL, 0, err);
    if (read_docker_list(load, list, err) < 0)
        return -1;
    layout.images = NULL;
    layout.count = 0;
    if (index && read_index(&layout, index, NULL, NULL, 0, NULL) == 0)
        adopt_manifests(load, &layout);
    free_images(&layout);
    return 0;
}

/* ---- taking the images in ---- */

static const char *blob_of(void *data, size_t index, struct error *err UNUSED)
{
    return ((const struct found_image *)data)->layers.items[index];
}

/* Where each layer is, as far as it was not told yet. */
static int tell_progress(struct load *load, struct stack *stack, const struct install *install,
                         size_t first, int64_t *told, struct error *err)
{
    const struct archive_watcher *watcher = load->watcher;
    const struct strv *diff_ids = &install->config.rootfs.diff_ids;

    for (size_t i = first; i < diff_ids->count; i++) {
        int64_t done, total;

        if (stack_look(stack, i, &done, &total) == STACK_WAITING || done == told[i])
            continue;
        told[i] = done;
        if (watcher->layer(watcher->data, diff_ids->items[i], done, total))
            return error_set(err, ERROR_CANCELLED, "cancelled");
    }
    return 0;
}

static int unpack_layers(struct load *load, struct found_image *found, struct install *install,
                         size_t first, struct error *err)
{
    const struct stack_plan plan = {
        .install = install, .first = first, .data = found, .blob = blob_of
    };
    CLEANUP(free) int64_t *told = xcalloc(found->layers.count + 1, sizeof(*told));
    CLEANUP(stack_free) struct stack *stack = stack_new(&plan);
    int result;

    if (stack_start(stack, err) < 0)
        return -1;
    do {
        result = stack_wait(stack, LOOK_MS, err);
        if (result < 0 || tell_progress(load, stack, install, first, told, err) < 0)
            return -1;
    } while (result == 0);
    return 0;
}

static int install_layers(struct load *load, struct found_image *found, struct install *install,
                          struct error *err)
{
    size_t first = 0;

    while (first < found->layers.count && install_hold(install, first))
        first++;
    for (size_t i = first; load->source && i < found->layers.count; i++)
        if (bring_blob(load, found->layers.items[i], found->sizes[i], err) < 0)
            return -1;
    for (size_t i = first; i < found->layer_types.count; i++)
        if (blob_describe(load->store, found->layers.items[i], found->layer_types.items[i], err) <
            0)
            return -1;
    return unpack_layers(load, found, install, first, err);
}

static bool is_wanted(const struct load *load, const struct image_config *config)
{
    CLEANUP(platform_done) struct platform offered = {};

    if (!load->choice.platform)
        return true;
    platform_of(config->os, config->architecture, config->variant, &offered);
    return platform_match(load->choice.platform, &offered);
}

/* Of a cache only what is not here is taken. 1: the image is here, and held. */
static int take_known(struct load *load, const struct found_image *found, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (!load->choice.is_cache || !store_image_hold(load->store, found->config_digest))
        return 0;
    if (store_image_find(load->store, found->config_digest, &image, err) < 0) {
        store_image_let_go(load->store, found->config_digest, false);
        return -1;
    }
    return load->watcher->loaded(load->watcher->data, image, NULL, err) < 0 ? -1 : 1;
}

/* 1: it is there; 0: it is for another platform. */
static int take_image(struct load *load, struct found_image *found, struct error *err)
{
    CLEANUP(install_done) struct install install = {};
    CLEANUP(image_unref) struct image *image = NULL;
    const struct archive_watcher *watcher = load->watcher;
    int known = take_known(load, found, err);

    if (known != 0)
        return known;
    install.holds_image = load->choice.is_cache;
    if (install_begin(&install, load->store, found->config_digest, found->layers.count, err) < 0)
        return -1;
    if (!is_wanted(load, &install.config))
        return 0;
    if (install_layers(load, found, &install, err) < 0)
        return -1;
    if (found->manifest_digest &&
        blob_describe(load->store, found->manifest_digest, found->manifest_type, err) < 0)
        return -1;
    if (install_finish(&install, found->manifest_digest, &image, err) < 0)
        return -1;
    bool has_names = found->names.count > 0 && !load->choice.is_cache;
    for (size_t i = 0; has_names && i < found->names.count; i++)
        if (watcher->loaded(watcher->data, image, found->names.items[i], err) < 0)
            return -1;
    if (!has_names && watcher->loaded(watcher->data, image, NULL, err) < 0)
        return -1;
    return 1;
}

int archive_load(struct store *store, struct stream *archive, const struct archive_choice *choice,
                 const struct archive_watcher *watcher, struct error *err)
{
    CLEANUP(load_done)
    struct load load = { .store = store, .watcher = watcher };
    size_t taken = 0;

    map_init_empty(&load.files, free);
    map_init_empty(&load.links, free);
    if (choice)
        load.choice = *choice;
    if (read_archive(&load, archive, err) < 0 || find_images(&load, err) < 0)
        return -1;
    drop_plain_manifests(&load);
    for (size_t i = 0; i < load.count; i++) {
        int result = take_image(&load, &load.images[i], err);

        if (result < 0)
            return -1;
        taken += (size_t)result;
    }
    if (load.count && !taken) {
        CLEANUP(free) char *wanted = platform_format(load.choice.platform);

        return error_set(err, ERROR_NOT_FOUND, "no image for platform %s in the archive", wanted);
    }
    return 0;
}

/* ---- blobs ---- */

/* The images that an index names: each is one, whatever it is for. */
static int find_listed(struct load *load, const char *digest, struct error *err)
{
    CLEANUP(manifest_done) struct manifest top = {};
    CLEANUP(str_done) struct str text = {};
    struct descriptor self = {};

    if (read_document(load, digest, &text, err) < 0 ||
        manifest_parse(text.data, text.length, NULL, &top, err) < 0)
        return -1;
    if (!top.is_index) {
        self.media_type = top.media_type;
        self.size = (int64_t)text.length;
        snprintf(self.digest, sizeof(self.digest), "%s", digest);
        return read_image_manifest(load, &self, NULL, err);
    }
    for (size_t i = 0; i < top.child_count; i++) {
        const struct descriptor *child = &top.children[i];

        if (child->is_attestation)
            continue;
        if (!media_type_is_manifest(child->media_type))
            return error_set(err, ERROR_UNSUPPORTED, "it is an index of something else: %.200s",
                             child->media_type);
        if (child->size > (int64_t)DOCUMENT_LIMIT)
            return error_set(err, ERROR_INVALID, "the manifest %s is too large", child->digest);
        if (check_descriptor(load, child, err) < 0 ||
            read_image_manifest(load, child, NULL, err) < 0)
            return -1;
    }
    return 0;
}

int archive_load_blobs(struct store *store, const struct archive_source *source, const char *digest,
                       const struct archive_watcher *watcher, struct error *err)
{
    CLEANUP(load_done)
    struct load load = {
        .store = store, .watcher = watcher, .source = source, .choice = { .is_cache = true }
    };

    map_init_empty(&load.files, free);
    map_init_empty(&load.links, free);
    if (!digest_is_valid(digest))
        return error_set(err, ERROR_INVALID, "invalid digest %.100s", digest);
    if (bring_blob(&load, digest, -1, err) < 0 || find_listed(&load, digest, err) < 0)
        return -1;
    drop_plain_manifests(&load);
    for (size_t i = 0; i < load.count; i++)
        if (take_image(&load, &load.images[i], err) < 0)
            return -1;
    return 0;
}
