/* Digests of content as registries write them: "<algorithm>:<lower-case hex>", where the algorithm
 * is sha256 or sha512 (Nettle). */
#ifndef BERTH_CODEC_HASH_H
#define BERTH_CODEC_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

#define CONTENT_DIGEST_SIZE 136 /* "sha512:" + 128 + NUL */

struct hash; /* in progress */

/* A hash of the algorithm that 'text' begins with ("sha256", "sha512:…"); NULL for an unknown one.
 */
struct hash *hash_new(const char *text);
void hash_add(struct hash *hash, const void *data, size_t size);
void hash_finish(struct hash *hash, char out[CONTENT_DIGEST_SIZE]); /* no add afterwards */
bool hash_is_of(const struct hash *hash, const char *digest);       /* the same algorithm */
void hash_free(struct hash *hash);
CLEANUP_POINTER(hash_free, struct hash)

/* The digest of bytes by the algorithm that 'like' begins with, which must be known. */
void hash_digest(const char *like, const void *data, size_t size, char out[CONTENT_DIGEST_SIZE]);

/* A whole digest of a known algorithm, nothing else. Only text that passed this may become part of
 * a path. */
bool content_digest_is_valid(const char *text);

#endif
