/* Documents as Docker's command line keeps and sends them. */
#include "cli/manifest_entry.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/manifest_store.h"
#include "spec/descriptor.h"
#include "spec/image.h"

#include "base/banned.h"

const char *manifest_media_type(const struct json *answer)
{
    return json_text(json_get(json_get(answer, "Descriptor"), "mediaType")) ?: "";
}

bool manifest_is_index(const char *media_type)
{
    return strcmp(media_type, MEDIA_TYPE_OCI_INDEX) == 0 ||
           strcmp(media_type, MEDIA_TYPE_DOCKER_LIST) == 0;
}

static bool is_oci(const char *media_type)
{
    return text_starts(media_type, "application/vnd.oci.");
}

void manifest_add_value(struct json_writer *w, const char *key, const struct json *value)
{
    CLEANUP(str_done) struct str text = {};

    json_write(value, &text);
    json_add_raw(w, key, str_text(&text));
}

static void add_platform(struct json_writer *w, const struct json *platform)
{
    json_begin_dict(w, "platform");
    json_add_text(w, "architecture", json_text(json_get(platform, "architecture")) ?: "");
    json_add_text(w, "os", json_text(json_get(platform, "os")) ?: "");
    if (!text_is_empty(json_text(json_get(platform, "os.version"))))
        json_add_text(w, "os.version", json_text(json_get(platform, "os.version")));
    if (json_count(json_get(platform, "os.features")))
        manifest_add_value(w, "os.features", json_get(platform, "os.features"));
    if (!text_is_empty(json_text(json_get(platform, "variant"))))
        json_add_text(w, "variant", json_text(json_get(platform, "variant")));
    json_end_dict(w);
}

static void add_descriptor(struct json_writer *w, const char *key, const struct json *descriptor,
                           const struct json *platform)
{
    descriptor_begin(w, key, json_text(json_get(descriptor, "mediaType")),
                     json_text(json_get(descriptor, "digest")),
                     json_to_int64(json_get(descriptor, "size")));
    if (platform)
        add_platform(w, platform);
    json_end_dict(w);
}

void manifest_describe(const char *name, const struct json *descriptor, const struct json *platform,
                       const char *raw, const struct json *manifest, struct str *out)
{
    struct json_writer w = { .out = out };
    const char *type = json_text(json_get(descriptor, "mediaType")) ?: "";

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Ref", name);
    add_descriptor(&w, "Descriptor", descriptor, platform);
    json_add_text(&w, "Raw", raw);
    manifest_add_value(&w, is_oci(type) ? "OCIManifest" : "SchemaV2Manifest", manifest);
    json_end_dict(&w);
}

/* ---- a list out of what is kept ---- */

void manifest_list_done(struct manifest_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        json_free(list->entries[i]);
    free(list->entries);
}

int manifest_list_load(const struct reference *reference, struct manifest_list *out,
                       struct error *err)
{
    CLEANUP(free) char *name = reference_canonical(reference);

    if (!manifest_store_has(reference))
        return error_set(err, ERROR_NOT_FOUND, "No such manifest: %s", name);
    out->entries = manifest_store_all(reference, &out->count, err);
    return out->entries ? 0 : -1;
}

const char *manifest_list_type(const struct manifest_list *list)
{
    return list->count && is_oci(manifest_media_type(list->entries[0])) ? MEDIA_TYPE_OCI_INDEX
                                                                        : MEDIA_TYPE_DOCKER_LIST;
}

void manifest_list_write(const struct manifest_list *list, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", manifest_list_type(list));
    json_begin_list(&w, "manifests");
    for (size_t i = 0; i < list->count; i++) {
        const struct json *descriptor = json_get(list->entries[i], "Descriptor");

        add_descriptor(&w, NULL, descriptor, json_get(descriptor, "platform"));
    }
    json_end_list(&w);
    json_end_dict(&w);
}
