/* Lists of manifests that are being made, before they are pushed: a directory per list below
 * <config>/manifests, a file per manifest, as Docker's command line keeps them. */
#ifndef BERTH_CLI_MANIFEST_STORE_H
#define BERTH_CLI_MANIFEST_STORE_H

#include <stdbool.h>

#include "codec/json.h"
#include "spec/reference.h"

bool manifest_store_has(const struct reference *list);
/* All manifests of a list, by file name; NULL if there is no such list. Yours, with json_free for
 * each. */
struct json **manifest_store_all(const struct reference *list, size_t *out_count,
                                 struct error *err);
/* NOT_FOUND if it is not in the list. */
int manifest_store_get(const struct reference *list, const struct reference *manifest,
                       struct json **out, struct error *err);
int manifest_store_put(const struct reference *list, const struct reference *manifest,
                       const struct str *document, struct error *err);
int manifest_store_remove(const struct reference *list, struct error *err);

#endif
