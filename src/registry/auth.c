/* https://distribution.github.io/distribution/spec/auth/token/ and /oauth/ */
#include "registry/auth.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "http/server.h"
#include "registry/challenge.h"

#include "base/banned.h"

#define TOKEN_ANSWER_LIMIT ((size_t)1 << 20)
#define TOKEN_LIMIT        ((size_t)64 * 1024)
#define CLIENT_ID          "docker"

struct session {
    atomic_int references;
    struct transport *transport;
    struct endpoint endpoint;
    char *repository;
    enum session_action action;
    struct strv sources;
    struct credentials credentials;
    bool has_credentials, wants_identity_token;
    struct mutex lock;
    char *authorization GUARDED_BY(lock); /* NULL: nothing was asked for yet */
    char *identity_token GUARDED_BY(lock);
};

/* ---- credentials ---- */

void credentials_done(struct credentials *credentials)
{
    free(credentials->username);
    free(credentials->password);
    free(credentials->identity_token);
    free(credentials->registry_token);
    free(credentials->server_address);
    *credentials = (struct credentials){};
}

/* "auth" is base64 of user:password. */
static void read_pair(const char *text, struct credentials *out)
{
    CLEANUP(buf_done) struct buf pair = {};

    if (text_is_empty(text) || base64_decode(text, &pair, NULL) < 0)
        return;
    CLEANUP(free) char *both = xstrndup((const char *)buf_bytes(&pair), pair.size);
    char *colon = strchr(both, ':');
    if (!colon)
        return;
    *colon = 0;
    free(out->username);
    free(out->password);
    out->username = xstrdup(both);
    out->password = xstrdup(colon + 1);
}

void credentials_from_json(const struct json *value, struct credentials *out)
{
    out->username = xstrdup(json_text(json_get(value, "username")) ?: "");
    out->password = xstrdup(json_text(json_get(value, "password")) ?: "");
    out->identity_token = xstrdup(json_text(json_get(value, "identitytoken")) ?: "");
    out->registry_token = xstrdup(json_text(json_get(value, "registrytoken")) ?: "");
    out->server_address = xstrdup(json_text(json_get(value, "serveraddress")) ?: "");
    if (!*out->username && !*out->password)
        read_pair(json_text(json_get(value, "auth")), out);
}

void credentials_decode(const char *header, struct credentials *out)
{
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(json_free) struct json *value = NULL;

    if (!text_is_empty(header) && base64_decode(header, &text, NULL) == 0 && text.size)
        (void)json_parse((const char *)buf_bytes(&text), text.size, &value, NULL);
    credentials_from_json(value, out);
}

static bool credentials_are_given(const struct credentials *given)
{
    return given && (!text_is_empty(given->username) || !text_is_empty(given->identity_token) ||
                     !text_is_empty(given->registry_token));
}

static void credentials_copy(const struct credentials *from, struct credentials *out)
{
    out->username = xstrdup(from->username ?: "");
    out->password = xstrdup(from->password ?: "");
    out->identity_token = xstrdup(from->identity_token ?: "");
    out->registry_token = xstrdup(from->registry_token ?: "");
    out->server_address = xstrdup(from->server_address ?: "");
}

/* ---- sessions ---- */

struct session *session_new(struct transport *transport, const struct endpoint *endpoint,
                            const char *repository, enum session_action action,
                            const struct credentials *credentials)
{
    struct session *session = NEW(struct session);

    atomic_init(&session->references, 1);
    session->transport = transport;
    session->endpoint = *endpoint;
    session->endpoint.base = xstrdup(endpoint->base);
    session->repository = xstrdup(repository);
    session->action = action;
    mutex_init(&session->lock);
    if (endpoint->is_mirror || !credentials_are_given(credentials))
        return session;
    session->has_credentials = true;
    credentials_copy(credentials, &session->credentials);
    if (*session->credentials.registry_token)
        session->authorization = xasprintf("Bearer %s", session->credentials.registry_token);
    return session;
}

struct session *session_ref(struct session *session)
{
    atomic_fetch_add(&session->references, 1);
    return session;
}

void session_unref(struct session *session)
{
    if (!session || atomic_fetch_sub(&session->references, 1) > 1)
        return;
    free(session->endpoint.base);
    free(session->repository);
    strv_done(&session->sources);
    credentials_done(&session->credentials);
    free(session->authorization);
    free(session->identity_token);
    mutex_done(&session->lock);
    free(session);
}

char *session_url(const struct session *session, const char *format, ...)
{
    CLEANUP(str_done) struct str url = {};
    va_list arguments;

    str_add_format(&url, "%s/v2/%s", session->endpoint.base, session->repository);
    va_start(arguments, format);
    str_add_vformat(&url, format, arguments);
    va_end(arguments);
    return str_take(&url);
}

const char *session_base(const struct session *session)
{
    return session->endpoint.base;
}

const char *session_repository(const struct session *session)
{
    return session->repository;
}

void session_identity(const struct session *session, char out[DIGEST_TEXT_SIZE])
{
    const struct credentials *own = &session->credentials;
    CLEANUP(free)
    char *text = session->has_credentials
                     ? xasprintf("%s\n%s\n%s\n%s", own->username, own->password,
                                 own->identity_token, own->registry_token)
                     : xstrdup("");

    sha256_digest(text, strlen(text), out);
}

int session_attempt_limit(const struct session *session)
{
    return transport_options(session->transport)->attempt_limit;
}

void session_add_source(struct session *session, const char *repository)
{
    strv_add(&session->sources, repository);
}

void session_want_identity_token(struct session *session)
{
    session->wants_identity_token = true;
}

char *session_identity_token(struct session *session)
{
    mutex_lock(&session->lock);
    char *token = xstrdup(session->identity_token);
    mutex_unlock(&session->lock);
    return token;
}

/* ---- tokens ---- */

static void add_field(struct str *out, const char *name, const char *value)
{
    CLEANUP(free) char *encoded = http_url_encode(value);

    str_add_format(out, "%s%s=%s", out->length ? "&" : "", name, encoded);
}

/* What the session is going to do, and what the server asked for on top of it. */
static void list_scopes(const struct session *session, const char *asked, struct strv *out)
{
    if (*session->repository)
        strv_add_format(out, "repository:%s:%s", session->repository,
                        session->action == SESSION_PUSH ? "pull,push" : "pull");
    for (size_t i = 0; i < session->sources.count; i++)
        strv_add_format(out, "repository:%s:pull", session->sources.items[i]);
    CLEANUP(strv_done) struct strv words = {};
    strv_split(&words, asked, ' ');
    for (size_t i = 0; i < words.count; i++) {
        CLEANUP(free) char *own = xasprintf("repository:%s:", session->repository);

        if (*words.items[i] && !text_starts(words.items[i], own) &&
            !strv_contains(out, words.items[i]))
            strv_add(out, words.items[i]);
    }
}

static char *basic(const struct credentials *credentials)
{
    CLEANUP(free) char *pair = xasprintf("%s:%s", credentials->username, credentials->password);
    CLEANUP(free) char *encoded = base64_encode(pair, strlen(pair));

    return xasprintf("Basic %s", encoded);
}

/* A registry whose identity was proved may name any token server that is spoken to by TLS. One that
 * could be anybody may only name itself: else whoever answers for it would choose where the
 * credentials go. */
static int check_realm(const struct session *session, const char *realm, struct error *err)
{
    CLEANUP(url_done) struct url own = {}, named = {};
    const struct strv *insecure = transport_options(session->transport)->insecure_registries;

    if (url_split(session->endpoint.base, &own, err) < 0)
        return -1;
    if (url_split(realm, &named, err) < 0)
        return error_context(err, "realm of %s", own.host_port);
    if (!named.is_tls && !host_is_insecure(named.host_port, insecure))
        return error_set(err, ERROR_INVALID,
                         "refused: %s names a token server with plain HTTP: %.300s", own.host_port,
                         realm);
    bool is_proved = own.is_tls && !session->endpoint.is_insecure;
    bool keeps_level = named.is_tls && !host_is_insecure(named.host_port, insecure);
    if (session->has_credentials && strcmp(own.host, named.host) != 0 &&
        (!is_proved || !keeps_level))
        return error_set(err, ERROR_INVALID,
                         "refused: %s wants its credentials to be sent to another host: %.300s",
                         own.host_port, realm);
    return 0;
}

static int read_token(struct session *session, const struct answer *answer, char **out,
                      struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;

    if (json_parse(str_text(&answer->body), answer->body.length, &value, err) < 0)
        return error_context(err, "invalid answer of the token server");
    const char *token = json_text(json_get(value, "token"));
    if (text_is_empty(token))
        token = json_text(json_get(value, "access_token"));
    if (text_is_empty(token) || strlen(token) > TOKEN_LIMIT || token[strcspn(token, "\r\n")])
        return error_set(err, ERROR_INVALID,
                         "authorization server did not include a token in the "
                         "response");
    const char *refresh = json_text(json_get(value, "refresh_token"));
    if (!text_is_empty(refresh)) {
        free(session->identity_token);
        session->identity_token = xstrdup(refresh);
    }
    *out = xasprintf("Bearer %s", token);
    return 0;
}

static int token_failed(const struct answer *answer, struct error *err)
{
    if (answer->status == 401 || answer->status == 403)
        return error_set(err, ERROR_UNAUTHORIZED, "unauthorized: %s", "authentication required");
    return answer_error(answer, "token server", err);
}

/* With a refresh token. False if the server does not know of this way. */
static int ask_by_post(struct session *session, const char *realm, const char *service,
                       const struct strv *scopes, bool *out_knows, char **out, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(str_done) struct str form = {};
    CLEANUP(free) char *scope = strv_join(scopes, " ");

    add_field(&form, "grant_type", "refresh_token");
    add_field(&form, "refresh_token", session->credentials.identity_token);
    add_field(&form, "service", service);
    add_field(&form, "client_id", CLIENT_ID);
    add_field(&form, "scope", scope);
    struct call call = { .method = "POST",
                         .url = realm,
                         .content_type = "application/x-www-form-urlencoded",
                         .body = form.data,
                         .body_size = form.length,
                         .answer_limit = TOKEN_ANSWER_LIMIT };
    if (transport_call(session->transport, &call, &answer, err) < 0)
        return -1;
    *out_knows = answer.status != 404 && answer.status != 405;
    if (!*out_knows)
        return 0;
    return answer.status == 200 ? read_token(session, &answer, out, err)
                                : token_failed(&answer, err);
}

static int ask_by_get(struct session *session, const char *realm, const char *service,
                      const struct strv *scopes, char **out, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(str_done) struct str query = {};
    CLEANUP(free) char *authorization = NULL;
    const struct credentials *credentials = &session->credentials;

    if (!text_is_empty(service))
        add_field(&query, "service", service);
    for (size_t i = 0; i < scopes->count; i++)
        add_field(&query, "scope", scopes->items[i]);
    if (session->has_credentials && *credentials->username) {
        add_field(&query, "account", credentials->username);
        authorization = basic(credentials);
    }
    if (session->wants_identity_token) {
        add_field(&query, "offline_token", "true");
        add_field(&query, "client_id", CLIENT_ID);
    }
    CLEANUP(free)
    char *url = xasprintf("%s%s%s", realm, strchr(realm, '?') ? "&" : "?", str_text(&query));
    struct call call = { .method = "GET",
                         .url = url,
                         .authorization = authorization,
                         .answer_limit = TOKEN_ANSWER_LIMIT };
    if (transport_call(session->transport, &call, &answer, err) < 0)
        return -1;
    return answer.status == 200 ? read_token(session, &answer, out, err)
                                : token_failed(&answer, err);
}

static int get_token(struct session *session, const struct challenge *challenge, char **out,
                     struct error *err) REQUIRES(session->lock)
{
    CLEANUP(strv_done) struct strv scopes = {};
    const char *realm = challenge_get(challenge, "realm"),
               *service = challenge_get(challenge, "service");
    bool knows = false;

    if (!*realm)
        return error_set(err, ERROR_INVALID, "no realm specified for token auth challenge");
    if (check_realm(session, realm, err) < 0)
        return -1;
    list_scopes(session, challenge_get(challenge, "scope"), &scopes);
    if (session->has_credentials && *session->credentials.identity_token &&
        ask_by_post(session, realm, service, &scopes, &knows, out, err) < 0)
        return -1;
    return knows ? 0 : ask_by_get(session, realm, service, &scopes, out, err);
}

/* ---- calls ---- */

static int no_credentials(const struct call *call, struct error *err)
{
    return error_set(err, ERROR_INTERNAL, "%c%s \"%.500s\": no basic auth credentials",
                     call->method[0],
                     strcmp(call->method, "GET") == 0    ? "et"
                     : strcmp(call->method, "HEAD") == 0 ? "ead"
                                                         : "ost",
                     call->url);
}

/* What 'answer' asks for. */
static int authorize(struct session *session, const struct call *call, const struct answer *answer,
                     struct error *err) REQUIRES(session->lock)
{
    CLEANUP(challenges_done) struct challenges challenges = {};
    const char *header = answer_header(answer, "www-authenticate");
    char *authorization = NULL;

    if (!header)
        return answer_error(answer, call->url, err);
    if (challenges_parse(header, &challenges, err) < 0)
        return -1;
    const struct challenge *bearer = challenges_find(&challenges, "bearer");
    if (bearer) {
        if (get_token(session, bearer, &authorization, err) < 0)
            return -1;
    } else if (challenges_find(&challenges, "basic")) {
        if (!session->has_credentials || !*session->credentials.username)
            return no_credentials(call, err);
        authorization = basic(&session->credentials);
    } else {
        return error_set(err, ERROR_UNSUPPORTED, "%s wants an unknown kind of authorization",
                         session->endpoint.base);
    }
    free(session->authorization);
    session->authorization = authorization;
    return 0;
}

static char *current(struct session *session)
{
    mutex_lock(&session->lock);
    char *authorization = xstrdup(session->authorization);
    mutex_unlock(&session->lock);
    return authorization;
}

/* Another thread may have got what is wanted meanwhile. */
static int renew(struct session *session, const struct call *call, const struct answer *answer,
                 const char *used, struct error *err)
{
    int result = 0;

    mutex_lock(&session->lock);
    if (text_equal(used, session->authorization) || !session->authorization)
        result = authorize(session, call, answer, err);
    mutex_unlock(&session->lock);
    return result;
}

static bool is_own_origin(const struct session *session, const char *text)
{
    CLEANUP(url_done) struct url own = {}, other = {};

    return url_split(session->endpoint.base, &own, NULL) == 0 &&
           url_split(text, &other, NULL) == 0 && url_same_origin(&own, &other);
}

/* A redirect's target does not get to ask for credentials. */
static bool may_answer(const struct session *session, const struct answer *answer)
{
    return is_own_origin(session, answer->url);
}

int session_call(struct session *session, struct call *call, struct answer *out, struct error *err)
{
    bool is_own = is_own_origin(session, call->url);

    for (int i = 0;; i++) {
        CLEANUP(free) char *authorization = is_own ? current(session) : NULL;

        call->authorization = authorization;
        int result = transport_call(session->transport, call, out, err);
        call->authorization = NULL;
        if (result < 0)
            return -1;
        if (out->status != 401 || !is_own || !may_answer(session, out))
            return 0;
        if (i > 0 || (session->has_credentials && *session->credentials.registry_token))
            return answer_error(out, call->url, err);
        if (renew(session, call, out, authorization, err) < 0)
            return -1;
    }
}
