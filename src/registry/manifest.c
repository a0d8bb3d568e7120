/* Documents are parsed once, strictly, and turned into plain structs; nobody looks at the JSON
 * again. https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md */
#include "registry/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define LAYER_COUNT_LIMIT ((size_t)500) /* what an overlay mount can hold */
#define ENTRY_COUNT_LIMIT ((size_t)4096)
#define BLOB_SIZE_LIMIT   (INT64_C(1) << 40)
#define SCHEMA_1          "application/vnd.docker.distribution.manifest.v1+"
#define URL_COUNT_LIMIT   ((size_t)8)
#define URL_LENGTH_LIMIT  ((size_t)4096)
#define REFERENCE_NAME    "org.opencontainers.image.ref.name"
#define IMAGE_NAME        "io.containerd.image.name"
#define REFERENCE_TYPE    "vnd.docker.reference.type"

/* clang-format off */
static const char *const layer_types[] = {
    MEDIA_TYPE_OCI_LAYER,
    MEDIA_TYPE_OCI_LAYER_GZIP,
    MEDIA_TYPE_OCI_LAYER_ZSTD,
    MEDIA_TYPE_DOCKER_LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
};
static const char *const manifest_keys[] = {
    "schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers", "subject", "artifactType",
};
static const char *const descriptor_keys[] = { "mediaType", "digest", "size", "platform", "urls", "data" };
/* clang-format on */

bool media_type_is_manifest(const char *media_type)
{
    return text_equal(media_type, MEDIA_TYPE_OCI_MANIFEST) ||
           text_equal(media_type, MEDIA_TYPE_DOCKER_MANIFEST);
}

bool media_type_is_index(const char *media_type)
{
    return text_equal(media_type, MEDIA_TYPE_OCI_INDEX) ||
           text_equal(media_type, MEDIA_TYPE_DOCKER_LIST);
}

bool media_type_is_layer(const char *media_type)
{
    for (size_t i = 0; i < COUNT(layer_types); i++)
        if (text_equal(media_type, layer_types[i]))
            return true;
    return false;
}

static void descriptor_done(struct descriptor *descriptor)
{
    free(descriptor->media_type);
    free(descriptor->reference_name);
    strv_done(&descriptor->urls);
    platform_done(&descriptor->platform);
}

void manifest_done(struct manifest *manifest)
{
    free(manifest->media_type);
    descriptor_done(&manifest->config);
    for (size_t i = 0; i < manifest->child_count; i++)
        descriptor_done(&manifest->children[i]);
    free(manifest->children);
    *manifest = (struct manifest){};
}

/* Readers that do not mind the case of keys would see another document. */
static int check_keys(const struct json *dict, const char *const *names, size_t count,
                      struct error *err)
{
    JSON_EACH (dict, key)
        for (size_t i = 0; i < count; i++)
            if (strcasecmp(key, names[i]) == 0 && strcmp(key, names[i]) != 0)
                return error_set(err, ERROR_INVALID, "invalid manifest: ambiguous key %s", key);
    return 0;
}

/* ---- descriptors ---- */

static void read_annotations(const struct json *value, struct descriptor *out)
{
    const struct json *annotations = json_get(value, "annotations");
    const char *name = json_text(json_get(annotations, IMAGE_NAME));

    out->reference_name = xstrdup(name ?: json_text(json_get(annotations, REFERENCE_NAME)));
    out->is_attestation = json_get(annotations, REFERENCE_TYPE) ||
                          (strcmp(out->platform.os, "unknown") == 0 &&
                           strcmp(out->platform.architecture, "unknown") == 0);
}

/* Of layers that may not be distributed only: an image is no reason to ask around in this machine's
 * network, and for nothing with plain HTTP. */
static void read_urls(const struct json *list, struct descriptor *out)
{
    if (!strstr(out->media_type, ".foreign.") && !strstr(out->media_type, ".nondistributable."))
        return;
    for (size_t i = 0; i < json_count(list) && out->urls.count < URL_COUNT_LIMIT; i++) {
        const char *url = json_text(json_at(list, i));

        if (url && text_starts(url, "https://") && strlen(url) <= URL_LENGTH_LIMIT)
            strv_add(&out->urls, url);
    }
}

static int read_descriptor(const struct json *value, const char *what, struct descriptor *out,
                           struct error *err)
{
    const char *digest = json_text(json_get(value, "digest"));
    const char *media_type = json_text(json_get(value, "mediaType"));
    const struct json *size = json_get(value, "size");

    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "invalid manifest: %s is no descriptor", what);
    if (check_keys(value, descriptor_keys, COUNT(descriptor_keys), err) < 0)
        return -1;
    if (text_is_empty(media_type))
        return error_set(err, ERROR_INVALID, "invalid manifest: %s has no media type", what);
    if (digest && text_starts(digest, "sha512:"))
        return error_set(err, ERROR_UNSUPPORTED, "%s has a digest other than sha256: %.150s", what,
                         digest);
    if (!digest || !digest_is_valid(digest))
        return error_set(err, ERROR_INVALID, "invalid manifest: invalid digest of %s: %.100s", what,
                         digest ?: "");
    if (json_type(size) != JSON_INTEGER || json_to_int64(size) < 0 ||
        json_to_int64(size) > BLOB_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid manifest: invalid size of %s", what);
    out->media_type = xstrdup(media_type);
    snprintf(out->digest, sizeof(out->digest), "%s", digest);
    out->size = json_to_int64(size);
    platform_from_json(json_get(value, "platform"), &out->platform);
    read_annotations(value, out);
    read_urls(json_get(value, "urls"), out);
    return 0;
}

static int read_children(const struct json *list, size_t limit, const char *what,
                         struct manifest *out, struct error *err)
{
    size_t count = json_count(list);

    if (json_type(list) != JSON_LIST)
        return error_set(err, ERROR_INVALID, "invalid manifest: it has no list of %ss", what);
    if (count > limit)
        return error_set(err, ERROR_INVALID, "invalid manifest: more than %zu %ss", limit, what);
    out->children = xcalloc(count + 1, sizeof(*out->children));
    for (size_t i = 0; i < count; i++, out->child_count++)
        if (read_descriptor(json_at(list, i), what, &out->children[i], err) < 0) {
            descriptor_done(&out->children[i]);
            return -1;
        }
    return 0;
}

/* ---- the two kinds ---- */

static int read_image(const struct json *value, struct manifest *out, struct error *err)
{
    if (read_descriptor(json_get(value, "config"), "the configuration", &out->config, err) < 0)
        return -1;
    const char *type = out->config.media_type;
    if (strcmp(type, MEDIA_TYPE_OCI_CONFIG) != 0 && strcmp(type, MEDIA_TYPE_DOCKER_CONFIG) != 0) {
        const char *artifact = json_text(json_get(value, "artifactType"));

        return error_set(err, ERROR_UNSUPPORTED, "it is an artifact (%.200s), not an image",
                         artifact ?: type);
    }
    if (out->config.size > CONFIG_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "the configuration is larger than %" PRId64 " bytes",
                         CONFIG_SIZE_LIMIT);
    if (read_children(json_get(value, "layers"), LAYER_COUNT_LIMIT, "layer", out, err) < 0)
        return -1;
    for (size_t i = 0; i < out->child_count; i++)
        if (!media_type_is_layer(out->children[i].media_type))
            return error_set(err, ERROR_UNSUPPORTED, "a layer of an unknown type: %.200s",
                             out->children[i].media_type);
    return 0;
}

static int read_index(const struct json *value, struct manifest *out, struct error *err)
{
    out->is_index = true;
    return read_children(json_get(value, "manifests"), ENTRY_COUNT_LIMIT, "manifest", out, err);
}

/* What the document says it is, what the sender says, and what it looks like have to agree. */
static int settle_type(const struct json *value, const char *sent, struct manifest *out,
                       struct error *err)
{
    const struct json *said_value = json_get(value, "mediaType");
    const char *said = json_text(said_value);
    bool has_index = json_get(value, "manifests"),
         has_image = json_get(value, "layers") || json_get(value, "config");

    if ((sent && text_starts(sent, SCHEMA_1)) ||
        json_to_int64(json_get(value, "schemaVersion")) == 1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "Docker image manifest version 2, schema 1 is not supported: push the "
                         "image again with a current client");
    if (json_to_int64(json_get(value, "schemaVersion")) != 2)
        return error_set(err, ERROR_INVALID, "invalid manifest: its schema version is not 2");
    if (said_value && !said)
        return error_set(err, ERROR_INVALID, "invalid manifest: invalid media type");
    if ((has_index && has_image) || json_get(value, "fsLayers"))
        return error_set(err, ERROR_INVALID,
                         "invalid manifest: it is both a manifest and an index");
    if (sent && said && strcmp(sent, said) != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid manifest: it was sent as %.200s and calls itself %.200s", sent,
                         said);
    const char *guess = has_index ? MEDIA_TYPE_OCI_INDEX : MEDIA_TYPE_OCI_MANIFEST;
    const char *type = sent ?: said ?: guess;
    if (!media_type_is_index(type) && !media_type_is_manifest(type))
        return error_set(err, ERROR_UNSUPPORTED, "a manifest of an unknown type: %.200s", type);
    if (media_type_is_index(type) != has_index)
        return error_set(err, ERROR_INVALID, "invalid manifest: it is not what it is sent as: %s",
                         type);
    out->media_type = xstrdup(type);
    return 0;
}

/* Types that say nothing: the document has to speak for itself. */
static char *clean_type(const char *content_type)
{
    static const char *const vague[] = { "", "application/json", "application/octet-stream",
                                         "text/plain" };

    if (!content_type)
        return NULL;
    char *type = xstrndup(content_type, strcspn(content_type, "; "));
    for (size_t i = 0; i < COUNT(vague); i++)
        if (strcmp(type, vague[i]) == 0) {
            free(type);
            return NULL;
        }
    return type;
}

int manifest_parse(const void *bytes, size_t size, const char *content_type, struct manifest *out,
                   struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(manifest_done) struct manifest manifest = {};
    CLEANUP(free) char *sent = clean_type(content_type);

    if (size > MANIFEST_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "the manifest is larger than %zu bytes",
                         MANIFEST_SIZE_LIMIT);
    if (json_parse_strict(bytes, size, &value, err) < 0)
        return error_context(err, "invalid manifest");
    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "invalid manifest: it is no object");
    if (check_keys(value, manifest_keys, COUNT(manifest_keys), err) < 0 ||
        settle_type(value, sent, &manifest, err) < 0)
        return -1;
    if ((media_type_is_index(manifest.media_type) ? read_index(value, &manifest, err)
                                                  : read_image(value, &manifest, err)) < 0)
        return -1;
    *out = manifest;
    manifest = (struct manifest){};
    return 0;
}

const struct descriptor *manifest_choose(const struct manifest *index,
                                         const struct platform *wanted)
{
    const struct descriptor *best = NULL;
    int best_match = 0;

    for (size_t i = 0; i < index->child_count; i++) {
        const struct descriptor *entry = &index->children[i];

        if (entry->is_attestation ||
            (!media_type_is_manifest(entry->media_type) && !media_type_is_index(entry->media_type)))
            continue;
        /* An entry that names no platform may be anything: only for want of a better one. */
        int match = *entry->platform.os ? platform_match(wanted, &entry->platform) : 1;
        if (match > best_match) {
            best_match = match;
            best = entry;
        }
    }
    return best;
}
