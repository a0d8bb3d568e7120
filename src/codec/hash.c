/* SHA-256 and SHA-512 behind one face. */
#include "codec/hash.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

struct algorithm {
    const char *name;
    size_t size;
    const EVP_MD *(*get)(void);
};

static const struct algorithm algorithms[] = {
    { "sha256", 32, EVP_sha256 },
    { "sha512", 64, EVP_sha512 },
};

struct hash {
    const struct algorithm *algorithm;
    EVP_MD_CTX *context;
};

static const struct algorithm *find(const char *text)
{
    size_t length = strcspn(text, ":");

    for (size_t i = 0; i < COUNT(algorithms); i++)
        if (strlen(algorithms[i].name) == length && strncmp(text, algorithms[i].name, length) == 0)
            return &algorithms[i];
    return NULL;
}

struct hash *hash_new(const char *text)
{
    const struct algorithm *algorithm = find(text);

    if (!algorithm)
        return NULL;
    struct hash *hash = NEW(struct hash);
    hash->algorithm = algorithm;
    hash->context = EVP_MD_CTX_new();
    if (!hash->context || EVP_DigestInit_ex(hash->context, algorithm->get(), NULL) != 1)
        abort();
    return hash;
}

void hash_add(struct hash *hash, const void *data, size_t size)
{
    EVP_DigestUpdate(hash->context, data, size);
}

void hash_finish(struct hash *hash, char out[CONTENT_DIGEST_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    size_t length = strlen(hash->algorithm->name);

    EVP_DigestFinal_ex(hash->context, bytes, NULL);
    memcpy(out, hash->algorithm->name, length);
    out[length] = ':';
    hex_encode(bytes, hash->algorithm->size, out + length + 1);
}

bool hash_is_of(const struct hash *hash, const char *digest)
{
    return find(digest) == hash->algorithm;
}

void hash_free(struct hash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
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
    const struct algorithm *algorithm = text ? find(text) : NULL;

    return algorithm && text[strlen(algorithm->name)] == ':' &&
           text_is_hex(text + strlen(algorithm->name) + 1, algorithm->size * 2);
}
