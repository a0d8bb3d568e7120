/* Manifests as they are kept while a list of them is made, and the list that comes of it. */
#ifndef BERTH_CLI_MANIFEST_ENTRY_H
#define BERTH_CLI_MANIFEST_ENTRY_H

#include <stdbool.h>

#include "codec/json.h"
#include "spec/reference.h"

/* What the engine answers about a manifest, and what is kept of one, names its type in the same
 * place; "" if it does not. */
const char *manifest_media_type(const struct json *entry);
bool manifest_is_index(const char *media_type);

/* {"Ref","Descriptor","Raw","SchemaV2Manifest"|"OCIManifest"}: Docker's own form. 'raw' is base64;
 * 'platform' may be NULL. */
void manifest_describe(const char *name, const struct json *descriptor, const struct json *platform,
                       const char *raw, const struct json *manifest, struct str *out);
/* A member with a value that was read elsewhere. */
void manifest_add_value(struct json_writer *w, const char *key, const struct json *value);

/* A list that is being made. */
struct manifest_list {
    struct json **entries;
    size_t count;
};
/* NOT_FOUND if none was begun. */
int manifest_list_load(const struct reference *reference, struct manifest_list *out,
                       struct error *err);
/* The first manifest's family decides how the list is called. */
const char *manifest_list_type(const struct manifest_list *list);
/* As it is sent. */
void manifest_list_write(const struct manifest_list *list, struct str *out);
void manifest_list_done(struct manifest_list *list);
CLEANUP_VALUE(manifest_list_done, struct manifest_list)

#endif
