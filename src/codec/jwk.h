/* JSON web keys (RFC 7517): public keys for signatures of the kinds RS256 and ES256 (OpenSSL). */
#ifndef BERTH_CODEC_JWK_H
#define BERTH_CODEC_JWK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct jwk_set;

/* {"keys":[…]} or one key. Keys of other kinds, or for encryption, are left out; INVALID if none is
 * left, or one is broken. */
int jwk_set_parse(const char *text, size_t size, struct jwk_set **out, struct error *err);
void jwk_set_free(struct jwk_set *set);
CLEANUP_POINTER(jwk_set_free, struct jwk_set)

/* Whether the signature over 'data' is of the key 'kid' (NULL: of any) by the algorithm "RS256" or
 * "ES256". */
bool jwk_set_verify(const struct jwk_set *set, const char *kid, const char *algorithm,
                    const void *data, size_t size, const struct buf *signature);

#endif
