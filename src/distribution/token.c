/* Three parts of base64url between dots; the signature is over the first two as they stand. */
#include "distribution/token.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "distribution/access.h"

#include "base/banned.h"

enum { LEEWAY_S = 60, GRANT_LIMIT = 1000 };

static int refuse(struct error *err, const char *why)
{
    return error_set(err, ERROR_UNAUTHORIZED, "token: %s", why);
}

static int decode_json(const char *text, size_t length, struct json **out, struct error *err)
{
    CLEANUP(free) char *part = xstrndup(text, length);
    CLEANUP(buf_done) struct buf bytes = {};

    if (base64_decode(part, &bytes, NULL) < 0 ||
        json_parse((const char *)buf_bytes(&bytes), bytes.size, out, NULL) < 0 ||
        json_type(*out) != JSON_DICT)
        return refuse(err, "it is malformed");
    return 0;
}

static int check_signature(const char *text, size_t signed_size, const char *signature_text,
                           const struct json *header, const struct token_trust *trust,
                           struct error *err)
{
    CLEANUP(buf_done) struct buf signature = {};
    const char *algorithm = json_text(json_get(header, "alg"));
    const char *kid = json_text(json_get(header, "kid"));

    if (!algorithm || json_get(header, "crit"))
        return refuse(err, "its header is not understood");
    if (base64_decode(signature_text, &signature, NULL) < 0)
        return refuse(err, "it is malformed");
    if (trust->keys && !jwk_set_verify(trust->keys, kid, algorithm, text, signed_size, &signature))
        return refuse(err, "its signature is of no key that is trusted");
    return 0;
}

static bool is_for(const struct json *audience, const char *service)
{
    if (text_equal(json_text(audience), service))
        return true;
    for (size_t i = 0; json_type(audience) == JSON_LIST && i < json_count(audience); i++)
        if (text_equal(json_text(json_at(audience, i)), service))
            return true;
    return false;
}

/* A time of the claims; 'fallback' if there is none. Fractions do not matter. */
static int64_t claim_time(const struct json *claims, const char *name, int64_t fallback)
{
    const struct json *value = json_get(claims, name);
    double seconds = json_type(value) == JSON_INTEGER || json_type(value) == JSON_REAL
                         ? json_to_double(value)
                         : (double)fallback;

    return seconds < 0 || seconds > 1e12 ? 0 : (int64_t)seconds;
}

static int check_claims(const struct json *claims, const struct token_trust *trust, int64_t now_s,
                        struct error *err)
{
    if (!text_equal(json_text(json_get(claims, "iss")), trust->issuer))
        return refuse(err, "it is of another issuer");
    if (!is_for(json_get(claims, "aud"), trust->service))
        return refuse(err, "it is for another service");
    if (claim_time(claims, "exp", 0) + LEEWAY_S <= now_s)
        return refuse(err, "it has expired");
    if (claim_time(claims, "nbf", now_s) - LEEWAY_S > now_s)
        return refuse(err, "it is not valid yet");
    return 0;
}

static int read_grant(const struct json *value, struct token *out, struct error *err)
{
    const char *type = json_text(json_get(value, "type"));
    const char *name = json_text(json_get(value, "name"));
    const struct json *actions = json_get(value, "actions");
    unsigned int bits = 0;

    if (!type || !name || json_type(actions) != JSON_LIST)
        return refuse(err, "its list of access is malformed");
    for (size_t i = 0; i < json_count(actions); i++)
        bits |= action_bits(json_text(json_at(actions, i)));
    out->grants = xrealloc(out->grants, out->grant_count + 1, sizeof(*out->grants));
    out->grants[out->grant_count++] = (struct token_grant){ xstrdup(type), xstrdup(name), bits };
    return 0;
}

static int read_grants(const struct json *claims, struct token *out, struct error *err)
{
    const struct json *list = json_get(claims, "access");

    if (json_type(list) == JSON_NULL)
        return 0;
    if (json_type(list) != JSON_LIST || json_count(list) > GRANT_LIMIT)
        return refuse(err, "its list of access is malformed");
    for (size_t i = 0; i < json_count(list); i++)
        if (read_grant(json_at(list, i), out, err) < 0)
            return -1;
    return 0;
}

int token_read(const char *text, const struct token_trust *trust, int64_t now_s, struct token *out,
               struct error *err)
{
    CLEANUP(token_done) struct token token = {};
    CLEANUP(json_free) struct json *header = NULL;
    CLEANUP(json_free) struct json *claims = NULL;

    if (strnlen(text, TOKEN_SIZE_LIMIT + 1) > TOKEN_SIZE_LIMIT)
        return refuse(err, "it is too large");
    size_t header_length = strcspn(text, ".");
    const char *body = text[header_length] ? text + header_length + 1 : NULL;
    size_t body_length = body ? strcspn(body, ".") : 0;
    if (!body || !body[body_length])
        return refuse(err, "it is malformed");
    if (decode_json(text, header_length, &header, err) < 0 ||
        check_signature(text, (size_t)(body + body_length - text), body + body_length + 1, header,
                        trust, err) < 0 ||
        decode_json(body, body_length, &claims, err) < 0 ||
        check_claims(claims, trust, now_s, err) < 0 || read_grants(claims, &token, err) < 0)
        return -1;
    token.subject = xstrdup(json_text(json_get(claims, "sub")));
    *out = token;
    token = (struct token){};
    return 0;
}

void token_done(struct token *token)
{
    for (size_t i = 0; i < token->grant_count; i++) {
        free(token->grants[i].type);
        free(token->grants[i].name);
    }
    free(token->grants);
    free(token->subject);
    *token = (struct token){};
}
