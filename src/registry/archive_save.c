/* Everything is decided first: which blobs the archive has, and what each of them is. Then it is
 * written from front to back, as a pipe wants it. */
#include <stdio.h>
#include <string.h>

#include "base/gather.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "codec/tar.h"
#include "registry/archive.h"
#include "registry/attest.h"
#include "registry/manifest.h"
#include "spec/descriptor.h"

#include "base/banned.h"

/* One file below blobs/sha256. */
struct part {
    char digest[DIGEST_TEXT_SIZE];
    char *media_type;
    int64_t size;
    char chain_id[DIGEST_TEXT_SIZE]; /* a layer to be written as a plain tar */
    struct str text;                 /* a document that is made here; else it is a blob */
};

/* One image: what index.json and manifest.json say of it. */
struct entry {
    const struct archive_item *item;
    const struct part *manifest, *config;
    const struct part *index;    /* of the image and what is attested of it; NULL if nothing is */
    const struct part *attested; /* what is, without the image; NULL */
    const struct part **layers;
    size_t layer_count;
};

struct save {
    struct store *store;
    struct map parts; /* digest → struct part */
    struct entry *entries;
    size_t count;
    const struct strv *index_names; /* of the index of all entries; NULL: each is by itself */
    const struct part *index;
    struct gather gather; /* headers and small files are written together */
    struct tar_writer *writer;
};

static void part_free(void *pointer)
{
    struct part *part = pointer;

    free(part->media_type);
    str_done(&part->text);
    free(part);
}

static void save_done(struct save *save)
{
    for (size_t i = 0; i < save->count; i++)
        free(save->entries[i].layers);
    free(save->entries);
    map_done(&save->parts);
    tar_writer_free(save->writer);
    gather_done(&save->gather);
}
CLEANUP_VALUE(save_done, struct save)

/* ---- deciding ---- */

static struct part *add_part(struct save *save, const char *digest, const char *media_type,
                             int64_t size)
{
    struct part *part = map_get(&save->parts, digest);

    if (part)
        return part;
    part = NEW(struct part);
    snprintf(part->digest, sizeof(part->digest), "%s", digest);
    part->media_type = xstrdup(media_type);
    part->size = size;
    map_set(&save->parts, digest, part);
    return part;
}

static struct part *add_text(struct save *save, const char *media_type, struct str *text)
{
    char digest[DIGEST_TEXT_SIZE];

    sha256_digest(text->data, text->length, digest);
    struct part *part = add_part(save, digest, media_type, (int64_t)text->length);
    if (!part->text.length) {
        part->text = *text;
        *text = (struct str){};
    }
    return part;
}

static bool has_blob(struct store *store, const struct descriptor *descriptor)
{
    CLEANUP(close) int fd = -1;
    int64_t size;

    return blob_open(store, descriptor->digest, &fd, &size, NULL) == 0 && size == descriptor->size;
}

/* True if the image leaves as it came. */
static bool add_original(struct save *save, struct entry *entry, const char *manifest_digest)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    CLEANUP(str_done) struct str text = {};

    if (blob_read(save->store, manifest_digest, MANIFEST_SIZE_LIMIT, &text, NULL) < 0 ||
        manifest_parse(text.data, text.length, NULL, &manifest, NULL) < 0 || manifest.is_index ||
        manifest.child_count != entry->layer_count || !has_blob(save->store, &manifest.config))
        return false;
    for (size_t i = 0; i < manifest.child_count; i++)
        if (!has_blob(save->store, &manifest.children[i]))
            return false;
    for (size_t i = 0; i < manifest.child_count; i++)
        entry->layers[i] = add_part(save, manifest.children[i].digest,
                                    manifest.children[i].media_type, manifest.children[i].size);
    entry->config = add_part(save, manifest.config.digest, manifest.config.media_type,
                             manifest.config.size);
    entry->manifest = add_text(save, manifest.media_type, &text);
    return true;
}

static int add_plain_layers(struct save *save, struct entry *entry, struct error *err)
{
    const struct strv *diff_ids = &entry->item->image->config.rootfs.diff_ids;
    CLEANUP(strv_done) struct strv chain_ids = {};

    image_chain_ids(diff_ids, &chain_ids);
    for (size_t i = 0; i < diff_ids->count; i++) {
        const char *chain_id = chain_ids.items[i];
        int64_t size;

        if (store_layer_plain_size(save->store, chain_id, &size, err) < 0)
            return -1;
        struct part *part = add_part(save, diff_ids->items[i], MEDIA_TYPE_OCI_LAYER, size);
        snprintf(part->chain_id, sizeof(part->chain_id), "%s", chain_id);
        entry->layers[i] = part;
    }
    return 0;
}

static void add_part_descriptor(struct json_writer *w, const char *key, const struct part *part)
{
    descriptor_add(w, key, part->media_type, part->digest, part->size);
}

static void add_manifest(struct save *save, struct entry *entry)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_OCI_MANIFEST);
    add_part_descriptor(&w, "config", entry->config);
    json_begin_list(&w, "layers");
    for (size_t i = 0; i < entry->layer_count; i++)
        add_part_descriptor(&w, NULL, entry->layers[i]);
    json_end_list(&w);
    json_end_dict(&w);
    entry->manifest = add_text(save, MEDIA_TYPE_OCI_MANIFEST, &text);
}

static const struct part *add_document(struct save *save, struct attest_document *document)
{
    return add_text(save, document->media_type, &document->text);
}

/* What is attested of the image goes along. */
static int add_attestations(struct save *save, struct entry *entry, struct error *err)
{
    CLEANUP(attestations_done) struct attestations attestations = {};
    CLEANUP(attest_documents_done) struct attest_documents made = {};
    const struct attest_subject subject = { entry->item->image, entry->manifest->media_type,
                                            entry->manifest->digest, entry->manifest->size,
                                            &entry->item->names };

    if (store_image_attestations(save->store, entry->item->image->id, &attestations, err) < 0)
        return -1;
    if (attestations.count == 0)
        return 0;
    attest_documents_make(&subject, &attestations, &made);
    for (size_t i = 0; i < made.blob_count; i++)
        add_document(save, &made.blobs[i]);
    entry->attested = add_document(save, &made.manifest);
    if (!save->index_names)
        entry->index = add_document(save, &made.index);
    return 0;
}

/* Of images for several platforms. */
static void add_index(struct save *save)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    attest_index_begin(&w);
    for (size_t i = 0; i < save->count; i++) {
        const struct entry *entry = &save->entries[i];
        const struct attest_subject subject = { entry->item->image, entry->manifest->media_type,
                                                entry->manifest->digest, entry->manifest->size,
                                                save->index_names };

        attest_add_descriptors(&w, &subject, entry->attested ? entry->attested->digest : NULL,
                               entry->attested ? entry->attested->size : 0);
    }
    attest_index_end(&w);
    save->index = add_text(save, MEDIA_TYPE_OCI_INDEX, &text);
}

static int add_image_parts(struct save *save, struct entry *entry, const struct archive_item *item,
                           struct error *err)
{
    char manifest_digest[DIGEST_TEXT_SIZE];
    CLEANUP(str_done) struct str config = {};

    entry->item = item;
    entry->layer_count = item->image->config.rootfs.diff_ids.count;
    entry->layers = xcalloc(entry->layer_count + 1, sizeof(*entry->layers));
    if (store_image_manifest(save->store, item->image->id, manifest_digest) &&
        add_original(save, entry, manifest_digest))
        return 0;
    if (blob_read(save->store, item->image->id, (size_t)CONFIG_SIZE_LIMIT, &config, err) < 0 ||
        add_plain_layers(save, entry, err) < 0)
        return -1;
    entry->config = add_text(save, MEDIA_TYPE_OCI_CONFIG, &config);
    add_manifest(save, entry);
    return 0;
}

static int add_entry(struct save *save, const struct archive_item *item, struct error *err)
{
    struct entry *entry = &save->entries[save->count++];

    return add_image_parts(save, entry, item, err) < 0 ? -1 : add_attestations(save, entry, err);
}

/* ---- the documents in front ---- */

static char *part_path(const struct part *part)
{
    return xasprintf("blobs/sha256/%s", digest_hex(part->digest));
}

static void begin_index_entry(struct json_writer *w, const struct part *target, const char *name)
{
    CLEANUP(reference_done) struct reference reference = {};

    descriptor_begin(w, NULL, target->media_type, target->digest, target->size);
    if (name && reference_parse(name, &reference, NULL) == 0) {
        CLEANUP(free) char *canonical = reference_canonical(&reference);

        json_begin_dict(w, "annotations");
        json_add_text(w, "io.containerd.image.name", canonical);
        json_add_text(w, "org.opencontainers.image.ref.name", reference.tag);
        json_end_dict(w);
    }
}

static void add_index_entry(struct json_writer *w, const struct entry *entry, const char *name)
{
    const struct image_config *config = &entry->item->image->config;

    begin_index_entry(w, entry->index ?: entry->manifest, name);
    if (!entry->index)
        descriptor_add_platform(w, config->architecture ?: "", config->os ?: "", config->variant);
    json_end_dict(w);
}

static void add_index_entries(struct json_writer *w, const struct save *save)
{
    for (size_t i = 0; i < save->count; i++) {
        const struct strv *names = &save->entries[i].item->names;

        for (size_t n = 0; n < names->count; n++)
            add_index_entry(w, &save->entries[i], names->items[n]);
        if (!names->count)
            add_index_entry(w, &save->entries[i], NULL);
    }
}

static void make_index(const struct save *save, struct str *out)
{
    struct json_writer w = { .out = out };

    attest_index_begin(&w);
    if (!save->index)
        add_index_entries(&w, save);
    for (size_t i = 0; save->index && i < MAX(save->index_names->count, (size_t)1); i++) {
        begin_index_entry(&w, save->index,
                          i < save->index_names->count ? save->index_names->items[i] : NULL);
        json_end_dict(&w);
    }
    attest_index_end(&w);
}

static void add_image(struct json_writer *w, const struct entry *entry)
{
    const struct strv *diff_ids = &entry->item->image->config.rootfs.diff_ids;
    CLEANUP(free) char *config_path = part_path(entry->config);

    json_begin_dict(w, NULL);
    json_add_text(w, "Config", config_path);
    if (entry->item->names.count)
        json_add_strv(w, "RepoTags", &entry->item->names);
    else
        json_add_null(w, "RepoTags");
    json_begin_list(w, "Layers");
    for (size_t i = 0; i < entry->layer_count; i++) {
        CLEANUP(free) char *path = part_path(entry->layers[i]);

        json_add_text(w, NULL, path);
    }
    json_end_list(w);
    json_begin_dict(w, "LayerSources");
    for (size_t i = 0; i < entry->layer_count; i++)
        add_part_descriptor(w, diff_ids->items[i], entry->layers[i]);
    json_end_dict(w);
    json_end_dict(w);
}

static void make_manifest_list(const struct save *save, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_list(&w, NULL);
    for (size_t i = 0; i < save->count; i++)
        add_image(&w, &save->entries[i]);
    json_end_list(&w);
}

/* repository → tag → top layer: what tools before manifest.json looked for. */
static bool make_repositories(const struct save *save, struct str *out)
{
    struct json_writer w = { .out = out };
    CLEANUP(map_done) struct map repositories;
    bool has_any = false;

    map_init_empty(&repositories, NULL);
    for (size_t i = 0; i < save->count; i++)
        for (size_t n = 0; n < save->entries[i].item->names.count; n++) {
            const char *name = save->entries[i].item->names.items[n];
            CLEANUP(free)
            char *repository = xstrndup(name, (size_t)(strrchr(name, ':') - name));

            map_set(&repositories, repository, NULL);
        }
    json_begin_dict(&w, NULL);
    MAP_EACH (&repositories, wanted) {
        size_t length = strlen(wanted->key);

        has_any = true;
        json_begin_dict(&w, wanted->key);
        for (size_t i = 0; i < save->count; i++) {
            const struct entry *entry = &save->entries[i];
            const struct part *top = entry->layer_count ? entry->layers[entry->layer_count - 1]
                                                        : entry->config;

            for (size_t n = 0; n < entry->item->names.count; n++) {
                const char *name = entry->item->names.items[n];

                if (strncmp(name, wanted->key, length) == 0 && strrchr(name, ':') == name + length)
                    json_add_text(&w, name + length + 1, digest_hex(top->digest));
            }
        }
        json_end_dict(&w);
    }
    json_end_dict(&w);
    return has_any;
}

/* ---- writing ---- */

static int write_directory(struct save *save, const char *name, struct error *err)
{
    struct tar_entry entry = { .name = (char *)name, .type = TAR_DIRECTORY, .mode = 0755 };

    return tar_writer_entry(save->writer, &entry, err);
}

static int write_head(struct save *save, const char *name, int64_t size, struct error *err)
{
    struct tar_entry entry = { .name = (char *)name, .type = TAR_FILE, .mode = 0644, .size = size };

    return tar_writer_entry(save->writer, &entry, err);
}

static int write_text(struct save *save, const char *name, const struct str *text,
                      struct error *err)
{
    if (write_head(save, name, (int64_t)text->length, err) < 0)
        return -1;
    return tar_writer_data(save->writer, text->data, text->length, err);
}

struct entry_sink {
    struct stream stream;
    struct tar_writer *writer;
};

static int entry_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    return tar_writer_data(CONTAINER_OF(stream, struct entry_sink, stream)->writer, data, size,
                           err);
}

static int write_content(const struct save *save, const struct part *part, struct stream *out,
                         struct error *err)
{
    CLEANUP(stream_close) struct stream *blob = NULL;
    int fd;

    if (part->text.length)
        return stream_write(out, part->text.data, part->text.length, err);
    if (*part->chain_id)
        return store_layer_write(save->store, part->chain_id, out, err);
    if (blob_open(save->store, part->digest, &fd, NULL, err) < 0)
        return -1;
    blob = stream_from_fd(fd, 1);
    return stream_copy(blob, out, err) < 0 ? -1 : 0;
}

static int write_part(struct save *save, const struct part *part, struct error *err)
{
    struct entry_sink sink = { { .write = entry_write }, save->writer };
    CLEANUP(free) char *path = part_path(part);

    return write_head(save, path, part->size, err) < 0
               ? -1
               : write_content(save, part, &sink.stream, err);
}

static int write_documents(struct save *save, struct error *err)
{
    CLEANUP(str_done) struct str index = {}, list = {}, repositories = {}, layout = {};

    make_index(save, &index);
    make_manifest_list(save, &list);
    str_add(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    if (write_text(save, "oci-layout", &layout, err) < 0 ||
        write_text(save, "index.json", &index, err) < 0)
        return -1;
    if (save->index) /* docker's list knows no platforms */
        return 0;
    if (write_text(save, "manifest.json", &list, err) < 0)
        return -1;
    return make_repositories(save, &repositories)
               ? write_text(save, "repositories", &repositories, err)
               : 0;
}

static int decide(struct save *save, const struct archive_item *items, size_t count,
                  struct error *err)
{
    map_init_empty(&save->parts, part_free);
    save->entries = xcalloc(count + 1, sizeof(*save->entries));
    for (size_t i = 0; i < count; i++)
        if (add_entry(save, &items[i], err) < 0)
            return -1;
    if (save->index_names)
        add_index(save);
    map_sort(&save->parts);
    return 0;
}

static int write_archive(struct save *save, struct stream *out, struct error *err)
{
    gather_begin(&save->gather, out);
    save->writer = tar_writer_new(&save->gather.stream, false, err);
    if (!save->writer || write_documents(save, err) < 0 ||
        write_directory(save, "blobs", err) < 0 || write_directory(save, "blobs/sha256", err) < 0)
        return -1;
    MAP_EACH (&save->parts, entry)
        if (write_part(save, entry->value, err) < 0)
            return -1;
    if (tar_writer_finish(save->writer, err) < 0)
        return -1;
    return gather_flush(&save->gather, err);
}

int archive_save(struct store *store, const struct archive_item *items, size_t count,
                 struct stream *out, struct error *err)
{
    CLEANUP(save_done) struct save save = { .store = store };

    return decide(&save, items, count, err) < 0 ? -1 : write_archive(&save, out, err);
}

static void tell_index(const struct save *save, struct archive_index *out)
{
    memcpy(out->digest, save->index->digest, sizeof(out->digest));
    out->size = save->index->size;
}

int archive_save_index(struct store *store, const struct archive_item *items, size_t count,
                       const struct strv *names, const struct archive_target *target,
                       struct error *err)
{
    CLEANUP(save_done) struct save save = { .store = store, .index_names = names };
    struct archive_index index;

    if (decide(&save, items, count, err) < 0)
        return -1;
    tell_index(&save, &index);
    struct stream *out = target->open(target->data, &index, err);
    return out ? write_archive(&save, out, err) : -1;
}

static int put_part(const struct save *save, const struct part *part,
                    const struct archive_place *place, struct error *err)
{
    struct stream *out;
    int wanted = place->begin(place->data, part->digest, part->size, &out, err);

    if (wanted <= 0)
        return wanted;
    return write_content(save, part, out, err) < 0 ? -1 : place->end(place->data, err);
}

int archive_save_blobs(struct store *store, const struct archive_item *items, size_t count,
                       const struct archive_place *place, struct archive_index *out_index,
                       struct error *err)
{
    const struct strv no_names = {};
    CLEANUP(save_done) struct save save = { .store = store, .index_names = &no_names };

    if (decide(&save, items, count, err) < 0)
        return -1;
    MAP_EACH (&save.parts, entry)
        if (put_part(&save, entry->value, place, err) < 0)
            return -1;
    tell_index(&save, out_index);
    return 0;
}
