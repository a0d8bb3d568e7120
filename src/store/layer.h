/* The way from a finished directory to a layer. */
#ifndef BERTH_STORE_LAYER_H
#define BERTH_STORE_LAYER_H

#include "store/internal.h"
#include "store/outline.h"

/* The digest of the directory's canonical archive, and the size of its files. With 'known' (may be
 * NULL) the bytes up to the first file that differs from an archive made before are not read.
 * 'late' (NULL, and not together with 'known') are contents that the directory lacks: they are in
 * it afterwards. */
int layer_digest(struct store *store, int diff_fd, const struct layer_contents *known,
                 struct late_copies *late, char out_digest[DIGEST_TEXT_SIZE], int64_t *out_size,
                 struct error *err);

/* Makes 'directory_path' (under tmp/, with a directory "diff" in it; used up) the layer that
 * 'layer' describes; its chain id is filled in. A layer that is there already wins. */
int layer_publish(struct store *store, const char *directory_path, struct layer *layer,
                  struct error *err);

/* Of the blob that a layer names when that is no archive but an outline (store/outline.h). */
#define MEDIA_TYPE_OUTLINE "application/vnd.berth.layer-outline.v1+zstd"

/* What is remembered of a layer's plain bytes. */
bool layer_plain_form(struct store *store, const char *diff_id, struct plain_form *out);
int layer_note_plain_form(struct store *store, const char *diff_id, struct plain_form form,
                          struct error *err);

#endif
