/* Manifests are read strictly where a client could be led to see another thing in them than we do:
 * types must agree, and one document is a manifest or an index, never both. */
#include "distribution/document.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/hash.h"
#include "codec/json.h"

#include "base/banned.h"

#define OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX       "application/vnd.oci.image.index.v1+json"
#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_LIST     "application/vnd.docker.distribution.manifest.list.v2+json"

static const struct {
    const char *media_type;
    bool is_index;
} types[] = {
    { OCI_MANIFEST, false },
    { OCI_INDEX, true },
    { DOCKER_MANIFEST, false },
    { DOCKER_LIST, true },
};

bool document_type_is_known(const char *media_type)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (strcmp(types[i].media_type, media_type) == 0)
            return true;
    return false;
}

bool document_type_is_index(const char *media_type)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (strcmp(types[i].media_type, media_type) == 0)
            return types[i].is_index;
    return false;
}

/* The type without parameters; yours. */
static char *bare_type(const char *content_type)
{
    size_t length = strcspn(content_type, ";, \t");

    return xstrndup(content_type, length);
}

static const char *guess_type(const struct json *root)
{
    return json_get(root, "manifests") ? OCI_INDEX : OCI_MANIFEST;
}

static int choose_type(const char *content_type, const struct json *root, struct document *out,
                       struct error *err)
{
    const char *own = json_text(json_get(root, "mediaType"));
    CLEANUP(free) char *given = content_type && *content_type ? bare_type(content_type) : NULL;

    if (given && own && strcmp(given, own) != 0)
        return error_set(err, ERROR_INVALID, "mediaType \"%.100s\" is sent as \"%.100s\"", own,
                         given);
    const char *type = given ?: own ?: guess_type(root);
    if (!document_type_is_known(type))
        return error_set(err, ERROR_UNSUPPORTED, "manifests of type \"%.100s\" are not stored here",
                         type);
    out->media_type = xstrdup(type);
    return 0;
}

static int read_descriptor(const struct json *value, const char *what, const char **out_digest,
                           int64_t *out_size, struct error *err)
{
    const char *digest = json_text(json_get(value, "digest"));
    const struct json *size = json_get(value, "size");

    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "%s is no descriptor", what);
    if (!content_digest_is_valid(digest))
        return error_set(err, ERROR_INVALID, "%s has no valid digest", what);
    if (json_type(size) != JSON_INTEGER || json_to_int64(size) < 0)
        return error_set(err, ERROR_INVALID, "%s has no valid size", what);
    *out_digest = digest;
    *out_size = json_to_int64(size);
    return 0;
}

/* Nondistributable layers, by their types: they may be here, but need not. */
static bool is_foreign(const struct json *value)
{
    const char *type = json_text(json_get(value, "mediaType"));

    return type && json_count(json_get(value, "urls")) > 0 &&
           (strstr(type, ".nondistributable.") || strstr(type, ".foreign."));
}

static int add_target(struct document *out, const struct json *value, const char *what,
                      bool is_manifest, struct error *err)
{
    const char *digest;
    int64_t size;

    if (read_descriptor(value, what, &digest, &size, err) < 0)
        return -1;
    out->targets = xrealloc(out->targets, out->target_count + 1, sizeof(*out->targets));
    out->targets[out->target_count++] = (struct document_target){
        xstrdup(digest), size, is_manifest, !is_manifest && is_foreign(value)
    };
    return 0;
}

static int add_targets(struct document *out, const struct json *list, const char *what,
                       bool is_manifest, struct error *err)
{
    if (json_type(list) != JSON_LIST)
        return error_set(err, ERROR_INVALID, "%s must be a list", what);
    if (json_count(list) > DOCUMENT_TARGET_LIMIT)
        return error_set(err, ERROR_INVALID, "%s has more than %d entries", what,
                         (int)DOCUMENT_TARGET_LIMIT);
    for (size_t i = 0; i < json_count(list); i++)
        if (add_target(out, json_at(list, i), what, is_manifest, err) < 0)
            return -1;
    return 0;
}

static int read_manifest(const struct json *root, struct document *out, struct error *err)
{
    const struct json *config = json_get(root, "config");
    const char *artifact = json_text(json_get(root, "artifactType"));

    if (json_get(root, "manifests"))
        return error_set(err, ERROR_INVALID, "a manifest cannot have \"manifests\"");
    if (add_target(out, config, "config", false, err) < 0 ||
        add_targets(out, json_get(root, "layers"), "layers", false, err) < 0)
        return -1;
    if (!artifact || !*artifact)
        artifact = json_text(json_get(config, "mediaType"));
    out->artifact_type = xstrdup(artifact);
    return 0;
}

static int read_index(const struct json *root, struct document *out, struct error *err)
{
    if (json_get(root, "config") || json_get(root, "layers"))
        return error_set(err, ERROR_INVALID, "an index cannot have \"config\" or \"layers\"");
    out->artifact_type = xstrdup(json_text(json_get(root, "artifactType")));
    return add_targets(out, json_get(root, "manifests"), "manifests", true, err);
}

static int read_common(const struct json *root, struct document *out, struct error *err)
{
    const struct json *version = json_get(root, "schemaVersion");
    const struct json *subject = json_get(root, "subject");
    const struct json *annotations = json_get(root, "annotations");
    CLEANUP(str_done) struct str text = {};
    const char *digest;
    int64_t size;

    if (json_type(version) != JSON_INTEGER || json_to_int64(version) != 2)
        return error_set(err, ERROR_INVALID, "schemaVersion must be 2");
    if (json_type(subject) != JSON_NULL) {
        if (read_descriptor(subject, "subject", &digest, &size, err) < 0)
            return -1;
        out->subject = xstrdup(digest);
    }
    if (json_type(annotations) != JSON_NULL) {
        if (json_type(annotations) != JSON_DICT)
            return error_set(err, ERROR_INVALID, "annotations must be an object");
        json_write_plain(annotations, &text);
        out->annotations = str_take(&text);
    }
    return 0;
}

int document_parse(const char *content_type, const void *bytes, size_t size, struct document *out,
                   struct error *err)
{
    CLEANUP(document_done) struct document document = {};
    CLEANUP(json_free) struct json *root = NULL;

    if (json_parse(bytes, size, &root, err) < 0)
        return -1;
    if (json_type(root) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "a manifest is a JSON object");
    if (choose_type(content_type, root, &document, err) < 0 ||
        read_common(root, &document, err) < 0 ||
        (document_type_is_index(document.media_type) ? read_index(root, &document, err)
                                                     : read_manifest(root, &document, err)) < 0)
        return -1;
    *out = document;
    document = (struct document){};
    return 0;
}

void document_done(struct document *document)
{
    for (size_t i = 0; i < document->target_count; i++)
        free(document->targets[i].digest);
    free(document->targets);
    free(document->media_type);
    free(document->artifact_type);
    free(document->subject);
    free(document->annotations);
    *document = (struct document){};
}
