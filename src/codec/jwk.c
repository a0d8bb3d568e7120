/* Numbers of a key as base64url, made a key of OpenSSL's. */
#include "codec/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/base64.h"
#include "codec/json.h"

#include "base/banned.h"

enum { KEY_LIMIT = 100, RSA_BITS_LEAST = 2048, RSA_BITS_MOST = 8192, COORDINATE_SIZE = 32 };

struct jwk {
    char *kid; /* NULL: none */
    EVP_PKEY *key;
    bool is_rsa;
};

struct jwk_set {
    struct jwk *keys;
    size_t count;
};

static int decode_member(const struct json *value, const char *name, struct buf *out,
                         struct error *err)
{
    const char *text = json_text(json_get(value, name));

    if (!text)
        return error_set(err, ERROR_INVALID, "a key has no \"%s\"", name);
    return base64_decode(text, out, err);
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params && context && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(context);
    return key;
}

static int read_rsa(const struct json *value, EVP_PKEY **out, struct error *err)
{
    CLEANUP(buf_done) struct buf n = {}, e = {};

    if (decode_member(value, "n", &n, err) < 0 || decode_member(value, "e", &e, err) < 0)
        return -1;
    if (n.size < RSA_BITS_LEAST / 8 || n.size > RSA_BITS_MOST / 8 + 1 || e.size > 8)
        return error_set(err, ERROR_INVALID, "an RSA key must have %d to %d bits",
                         (int)RSA_BITS_LEAST, (int)RSA_BITS_MOST);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(buf_bytes(&n), (int)n.size, NULL);
    BIGNUM *exponent = BN_bin2bn(buf_bytes(&e), (int)e.size, NULL);

    if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        *out = make_key("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return *out ? 0 : error_set(err, ERROR_INVALID, "an RSA key is broken");
}

static int read_ec(const struct json *value, EVP_PKEY **out, struct error *err)
{
    CLEANUP(buf_done) struct buf x = {}, y = {};
    unsigned char point[1 + 2 * COORDINATE_SIZE] = { POINT_CONVERSION_UNCOMPRESSED };

    if (decode_member(value, "x", &x, err) < 0 || decode_member(value, "y", &y, err) < 0)
        return -1;
    if (x.size != COORDINATE_SIZE || y.size != COORDINATE_SIZE)
        return error_set(err, ERROR_INVALID, "an EC key is broken");
    memcpy(point + 1, buf_bytes(&x), COORDINATE_SIZE);
    memcpy(point + 1 + COORDINATE_SIZE, buf_bytes(&y), COORDINATE_SIZE);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
        *out = make_key("EC", build);
    OSSL_PARAM_BLD_free(build);
    return *out ? 0 : error_set(err, ERROR_INVALID, "an EC key is broken");
}

static int read_key(const struct json *value, struct jwk_set *set, struct error *err)
{
    const char *type = json_text(json_get(value, "kty"));
    const char *use = json_text(json_get(value, "use"));
    bool is_rsa = type && strcmp(type, "RSA") == 0;
    bool is_ec = type && strcmp(type, "EC") == 0 &&
                 text_equal(json_text(json_get(value, "crv")), "P-256");
    EVP_PKEY *key = NULL;

    if (!(is_rsa || is_ec) || (use && strcmp(use, "sig") != 0))
        return 0;
    if ((is_rsa ? read_rsa : read_ec)(value, &key, err) < 0)
        return -1;
    set->keys = xrealloc(set->keys, set->count + 1, sizeof(*set->keys));
    set->keys[set->count++] = (struct jwk){ xstrdup(json_text(json_get(value, "kid"))), key,
                                            is_rsa };
    return 0;
}

int jwk_set_parse(const char *text, size_t size, struct jwk_set **out, struct error *err)
{
    CLEANUP(jwk_set_free) struct jwk_set *set = NEW(struct jwk_set);
    CLEANUP(json_free) struct json *root = NULL;

    /* When the process ends, threads that are just ending may still be using it. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    if (json_parse(text, size, &root, err) < 0)
        return -1;
    const struct json *keys = json_get(root, "keys");
    if (!keys && read_key(root, set, err) < 0)
        return -1;
    if (json_count(keys) > KEY_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d keys", (int)KEY_LIMIT);
    for (size_t i = 0; json_type(keys) == JSON_LIST && i < json_count(keys); i++)
        if (read_key(json_at(keys, i), set, err) < 0)
            return -1;
    if (set->count == 0)
        return error_set(err, ERROR_INVALID, "no RSA or P-256 keys for signatures");
    *out = TAKE(set);
    return 0;
}

void jwk_set_free(struct jwk_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++) {
        EVP_PKEY_free(set->keys[i].key);
        free(set->keys[i].kid);
    }
    free(set->keys);
    free(set);
}

/* ---- verifying ---- */

/* Two numbers side by side become the form that OpenSSL reads; yours. */
static unsigned char *to_der(const struct buf *signature, size_t *out_size)
{
    unsigned char *der = NULL;

    if (signature->size != 2 * COORDINATE_SIZE)
        return NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(buf_bytes(signature), COORDINATE_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(buf_bytes(signature) + COORDINATE_SIZE, COORDINATE_SIZE, NULL);
    int size = -1;

    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1)
        size = i2d_ECDSA_SIG(pair, &der);
    else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    *out_size = size > 0 ? (size_t)size : 0;
    return size > 0 ? der : NULL;
}

static bool verify_with(EVP_PKEY *key, const unsigned char *signature, size_t signature_size,
                        const void *data, size_t size)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestVerify(context, signature, signature_size, data, size) == 1;

    EVP_MD_CTX_free(context);
    return is_good;
}

bool jwk_set_verify(const struct jwk_set *set, const char *kid, const char *algorithm,
                    const void *data, size_t size, const struct buf *signature)
{
    bool is_rsa = strcmp(algorithm, "RS256") == 0;
    size_t der_size = 0;
    unsigned char *der = NULL;
    bool is_good = false;

    if (!is_rsa && strcmp(algorithm, "ES256") != 0)
        return false;
    if (!is_rsa && !(der = to_der(signature, &der_size)))
        return false;
    for (size_t i = 0; i < set->count && !is_good; i++) {
        const struct jwk *key = &set->keys[i];

        if (key->is_rsa == is_rsa && (!kid || text_equal(key->kid, kid)))
            is_good = verify_with(key->key, der ?: buf_bytes(signature),
                                  der ? der_size : signature->size, data, size);
    }
    OPENSSL_free(der);
    return is_good;
}
