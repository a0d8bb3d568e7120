/* SHA-256 (Nettle) and digests written as "sha256:<64 hex>". */
#ifndef BERTH_CODEC_SHA256_H
#define BERTH_CODEC_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/stream.h"

#define DIGEST_SIZE 72 /* "sha256:" + 64 + NUL, rounded up */

struct sha256; /* a hash in progress */
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
void sha256_finish(struct sha256 *hash, char out_digest[DIGEST_SIZE]); /* no add afterwards */
void sha256_free(struct sha256 *hash);
CLEANUP_POINTER(sha256_free, struct sha256)

/* A hash after a whole number of blocks, from where it can go on at another time. */
#define SHA256_BLOCK_LENGTH ((size_t)64)
struct sha256_state {
    uint32_t words[8];
    uint64_t size; /* of what was added */
};
bool sha256_save(const struct sha256 *hash, struct sha256_state *out); /* false: within a block */
void sha256_resume(struct sha256 *hash, const struct sha256_state *state);

void sha256_digest(const void *data, size_t size, char out_digest[DIGEST_SIZE]);

/* "sha256:" and 64 lower-case hex digits, nothing else. Only text that passed this may become part
 * of a path. */
bool digest_is_valid(const char *text);
/* The hex part of a valid digest (borrowed). */
const char *digest_hex(const char *digest);

/* A readable stream over 'inner' (taken) that feeds 'hash' (borrowed) with all that is read. */
struct stream *stream_hash_read(struct stream *inner, struct sha256 *hash);

#endif
