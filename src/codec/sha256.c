/* SHA-256 through Nettle (SHA-NI where the processor has it). */
#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>
#undef sha256_digest /* Nettle renames its function by a macro; the name is ours */

#include "codec/sha256.h"

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define PREFIX "sha256:"

struct sha256 {
    struct sha256_ctx context;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *hash = NEW(struct sha256);

    sha256_init(&hash->context);
    return hash;
}

void sha256_add(struct sha256 *hash, const void *data, size_t size)
{
    sha256_update(&hash->context, size, data);
}

void sha256_finish(struct sha256 *hash, char out_digest[DIGEST_SIZE])
{
    unsigned char bytes[SHA256_DIGEST_SIZE];

    nettle_sha256_digest(&hash->context, sizeof(bytes), bytes);
    memcpy(out_digest, PREFIX, sizeof(PREFIX));
    hex_encode(bytes, sizeof(bytes), out_digest + sizeof(PREFIX) - 1);
}

void sha256_free(struct sha256 *hash)
{
    free(hash);
}

bool sha256_save(const struct sha256 *hash, struct sha256_state *out)
{
    if (hash->context.index != 0)
        return false;
    memcpy(out->words, hash->context.state, sizeof(out->words));
    out->size = hash->context.count * SHA256_BLOCK_LENGTH;
    return true;
}

void sha256_resume(struct sha256 *hash, const struct sha256_state *state)
{
    sha256_init(&hash->context);
    memcpy(hash->context.state, state->words, sizeof(state->words));
    hash->context.count = state->size / SHA256_BLOCK_LENGTH;
}

void sha256_digest(const void *data, size_t size, char out_digest[DIGEST_SIZE])
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();

    sha256_add(hash, data, size);
    sha256_finish(hash, out_digest);
}

bool digest_is_valid(const char *text)
{
    return text && text_starts(text, PREFIX) && text_is_hex(text + sizeof(PREFIX) - 1, 64);
}

const char *digest_hex(const char *digest)
{
    return digest + sizeof(PREFIX) - 1;
}

struct hashing_stream {
    struct stream stream;
    struct stream *inner;
    struct sha256 *hash;
};

static ssize_t hashing_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct hashing_stream *self = CONTAINER_OF(stream, struct hashing_stream, stream);
    ssize_t count = stream_read(self->inner, data, size, err);

    if (count > 0)
        sha256_add(self->hash, data, (size_t)count);
    return count;
}

static void hashing_close(struct stream *stream)
{
    struct hashing_stream *self = CONTAINER_OF(stream, struct hashing_stream, stream);

    stream_close(self->inner);
    free(self);
}

struct stream *stream_hash_read(struct stream *inner, struct sha256 *hash)
{
    struct hashing_stream *self = NEW(struct hashing_stream);

    *self = (struct hashing_stream){ { hashing_read, NULL, hashing_close }, inner, hash };
    return &self->stream;
}
