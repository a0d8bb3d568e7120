/* SHA-256 and SHA-512 behind one face. */
#include "codec/hash.h"

#include <nettle/nettle-meta.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

static const struct nettle_hash *const algorithms[] = { &nettle_sha256, &nettle_sha512 };

struct hash {
    const struct nettle_hash *algorithm;
    union {
        struct sha256_ctx sha256;
        struct sha512_ctx sha512;
    } context;
};

static const struct nettle_hash *find(const char *text)
{
    size_t length = strcspn(text, ":");

    for (size_t i = 0; i < COUNT(algorithms); i++)
        if (strlen(algorithms[i]->name) == length &&
            strncmp(text, algorithms[i]->name, length) == 0)
            return algorithms[i];
    return NULL;
}

struct hash *hash_new(const char *text)
{
    const struct nettle_hash *algorithm = find(text);

    if (!algorithm)
        return NULL;
    struct hash *hash = NEW(struct hash);
    hash->algorithm = algorithm;
    algorithm->init(&hash->context);
    return hash;
}

void hash_add(struct hash *hash, const void *data, size_t size)
{
    hash->algorithm->update(&hash->context, size, data);
}

void hash_finish(struct hash *hash, char out[CONTENT_DIGEST_SIZE])
{
    unsigned char bytes[SHA512_DIGEST_SIZE];
    size_t length = strlen(hash->algorithm->name);

    hash->algorithm->digest(&hash->context, hash->algorithm->digest_size, bytes);
    memcpy(out, hash->algorithm->name, length);
    out[length] = ':';
    hex_encode(bytes, hash->algorithm->digest_size, out + length + 1);
}

bool hash_is_of(const struct hash *hash, const char *digest)
{
    return find(digest) == hash->algorithm;
}

void hash_free(struct hash *hash)
{
    free(hash);
}

void hash_digest(const char *like, const void *data, size_t size, char out[CONTENT_DIGEST_SIZE])
{
    CLEANUP(hash_free) struct hash *hash = hash_new(like);

    hash_add(hash, data, size);
    hash_finish(hash, out);
}

bool content_digest_is_valid(const char *text)
{
    const struct nettle_hash *algorithm = text ? find(text) : NULL;

    return algorithm && text[strlen(algorithm->name)] == ':' &&
           text_is_hex(text + strlen(algorithm->name) + 1, algorithm->digest_size * 2);
}
