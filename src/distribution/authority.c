/* What was read from the files is one immutable, counted set, so that a reload disturbs nobody. */
#include "distribution/authority.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "distribution/htpasswd.h"

#include "base/banned.h"

enum { FILE_SIZE_LIMIT = 4 << 20 };

struct trust {
    int references;
    struct htpasswd *passwords; /* NULL: none */
    struct jwk_set *keys;       /* NULL: none */
    struct access_rules rules;
    bool has_rules;
};

struct authority {
    char *htpasswd_path, *realm, *token_realm, *token_service, *token_issuer, *token_keys_path,
        *rules_path;
    struct mutex lock; /* guards which set 'trust' is */
    struct trust *trust;
};

static void trust_unref(struct trust *trust)
{
    if (!trust || __atomic_sub_fetch(&trust->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    htpasswd_free(trust->passwords);
    jwk_set_free(trust->keys);
    access_rules_done(&trust->rules);
    free(trust);
}
CLEANUP_POINTER(trust_unref, struct trust)

static struct trust *current(struct authority *authority)
{
    mutex_lock(&authority->lock);
    struct trust *trust = authority->trust;
    __atomic_add_fetch(&trust->references, 1, __ATOMIC_RELAXED);
    mutex_unlock(&authority->lock);
    return trust;
}

/* ---- reading the files ---- */

static int read_keys(const char *path, struct trust *trust, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, FILE_SIZE_LIMIT, &text, err) < 0)
        return -1;
    if (jwk_set_parse(str_text(&text), text.length, &trust->keys, err) < 0)
        return error_context(err, "%s", path);
    return 0;
}

static int read_rules(const char *path, struct trust *trust, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, FILE_SIZE_LIMIT, &text, err) < 0)
        return -1;
    if (access_rules_parse(str_text(&text), text.length, &trust->rules, err) < 0)
        return error_context(err, "%s", path);
    trust->has_rules = true;
    return 0;
}

static int read_files(const struct authority *authority, struct trust **out, struct error *err)
{
    CLEANUP(trust_unref) struct trust *trust = NEW(struct trust);

    trust->references = 1;
    if ((authority->htpasswd_path &&
         htpasswd_open(authority->htpasswd_path, &trust->passwords, err) < 0) ||
        (authority->token_keys_path && read_keys(authority->token_keys_path, trust, err) < 0) ||
        (authority->rules_path && read_rules(authority->rules_path, trust, err) < 0))
        return -1;
    *out = TAKE(trust);
    return 0;
}

static int check_options(const struct authority_options *options, struct error *err)
{
    bool has_token = options->token_realm || options->token_service || options->token_issuer ||
                     options->token_keys_path;
    bool is_whole = options->token_realm && options->token_service && options->token_issuer &&
                    options->token_keys_path;

    if (has_token && !is_whole)
        return error_set(err, ERROR_INVALID,
                         "tokens need --token-realm, --token-service, --token-issuer and "
                         "--token-keys");
    if (has_token && (options->htpasswd_path || options->rules_path))
        return error_set(err, ERROR_INVALID,
                         "tokens say themselves what they allow: neither --htpasswd nor --rules "
                         "goes with them");
    return 0;
}

int authority_new(const struct authority_options *options, struct authority **out,
                  struct error *err)
{
    CLEANUP(authority_free) struct authority *authority = NEW(struct authority);

    mutex_init(&authority->lock);
    authority->htpasswd_path = xstrdup(options->htpasswd_path);
    authority->realm = xstrdup(options->realm ?: "berth-registry");
    authority->token_realm = xstrdup(options->token_realm);
    authority->token_service = xstrdup(options->token_service);
    authority->token_issuer = xstrdup(options->token_issuer);
    authority->token_keys_path = xstrdup(options->token_keys_path);
    authority->rules_path = xstrdup(options->rules_path);
    if (check_options(options, err) < 0 || read_files(authority, &authority->trust, err) < 0)
        return -1;
    *out = TAKE(authority);
    return 0;
}

int authority_reload(struct authority *authority, struct error *err)
{
    CLEANUP(trust_unref) struct trust *trust = NULL;

    if (read_files(authority, &trust, err) < 0)
        return -1;
    mutex_lock(&authority->lock);
    struct trust *earlier = authority->trust;
    authority->trust = TAKE(trust);
    mutex_unlock(&authority->lock);
    trust_unref(earlier);
    return 0;
}

void authority_free(struct authority *authority)
{
    if (!authority)
        return;
    trust_unref(authority->trust);
    mutex_done(&authority->lock);
    free(authority->htpasswd_path);
    free(authority->realm);
    free(authority->token_realm);
    free(authority->token_service);
    free(authority->token_issuer);
    free(authority->token_keys_path);
    free(authority->rules_path);
    free(authority);
}

/* ---- who ---- */

void subject_done(struct subject *subject)
{
    free(subject->user);
    token_done(&subject->token);
    *subject = (struct subject){};
}

static int unauthorized(struct problem *problem)
{
    return problem_set(problem, PROBLEM_UNAUTHORIZED, NULL, NULL);
}

static int identify_basic(const struct trust *trust, const char *encoded, struct subject *out,
                          struct problem *problem)
{
    CLEANUP(buf_done) struct buf bytes = {};
    struct error err = {};

    if (base64_decode(encoded, &bytes, NULL) < 0 || bytes.size == 0 ||
        memchr(buf_bytes(&bytes), 0, bytes.size))
        return unauthorized(problem);
    CLEANUP(free) char *text = xstrndup((const char *)buf_bytes(&bytes), bytes.size);
    char *colon = strchr(text, ':');
    if (!colon)
        return unauthorized(problem);
    *colon = 0;
    if (htpasswd_check(trust->passwords, text, colon + 1, &err) < 0)
        return err.kind == ERROR_UNAUTHORIZED ? unauthorized(problem)
                                              : problem_from_error(problem, &err, "password");
    out->user = xstrdup(text);
    return 0;
}

static int identify_bearer(const struct authority *authority, const struct trust *trust,
                           const char *text, struct subject *out, struct problem *problem)
{
    const struct token_trust token_trust = { trust->keys, authority->token_issuer,
                                             authority->token_service };
    struct error err = {};

    out->has_token = true;
    if (token_read(text, &token_trust, clock_wall_ns() / NS_PER_S, &out->token, &err) < 0)
        return problem_set(problem, PROBLEM_UNAUTHORIZED, NULL, "%s", err.text);
    out->user = xstrdup(out->token.subject);
    return 0;
}

int authority_identify(struct authority *authority, const char *header, struct subject *out,
                       struct problem *problem)
{
    CLEANUP(trust_unref) struct trust *trust = current(authority);

    if (!header || (!trust->passwords && !trust->keys))
        return 0;
    size_t length = strcspn(header, " ");
    const char *rest = header + length + strspn(header + length, " ");
    if (trust->passwords && length == 5 && strncasecmp(header, "Basic", 5) == 0)
        return identify_basic(trust, rest, out, problem);
    if (trust->keys && length == 6 && strncasecmp(header, "Bearer", 6) == 0)
        return identify_bearer(authority, trust, rest, out, problem);
    return unauthorized(problem);
}

/* ---- what ---- */

static bool token_allows(const struct token *token, const char *repository, enum action action)
{
    const char *type = action == ACTION_CATALOG ? "registry" : "repository";
    const char *name = action == ACTION_CATALOG ? "catalog" : repository;

    for (size_t i = 0; i < token->grant_count; i++)
        if (strcmp(token->grants[i].type, type) == 0 && strcmp(token->grants[i].name, name) == 0 &&
            token->grants[i].actions & 1U << action)
            return true;
    return false;
}

/* Clients ask for the base to learn whether they must say who they are. */
static bool is_allowed(const struct trust *trust, const struct subject *subject,
                       const char *repository, enum action action)
{
    if (trust->keys)
        return subject->has_token &&
               (action == ACTION_NONE || token_allows(&subject->token, repository, action));
    if (trust->has_rules) {
        if (action == ACTION_NONE)
            return subject->user || !trust->passwords ||
                   access_is_allowed(&trust->rules, NULL, NULL, ACTION_PULL);
        return access_is_allowed(&trust->rules, subject->user, repository, action);
    }
    return subject->user || !trust->passwords;
}

int authority_check(struct authority *authority, const struct subject *subject,
                    const char *repository, enum action action, struct problem *problem)
{
    CLEANUP(trust_unref) struct trust *trust = current(authority);

    if (is_allowed(trust, subject, repository, action))
        return 0;
    /* Another token, or another user, might be allowed to. */
    if (trust->keys || (trust->passwords && !subject->user))
        return unauthorized(problem);
    return problem_set(problem, PROBLEM_DENIED, repository, NULL);
}

static void add_scope(struct str *out, const char *repository, enum action action)
{
    static const char *const actions[] = {
        [ACTION_PULL] = "pull", [ACTION_PUSH] = "pull,push", [ACTION_DELETE] = "delete"
    };

    if (action == ACTION_CATALOG)
        str_add(out, ",scope=\"registry:catalog:*\"");
    else if (action != ACTION_NONE && repository)
        str_add_format(out, ",scope=\"repository:%s:%s\"", repository, actions[action]);
}

char *authority_challenge(struct authority *authority, const struct subject *subject,
                          const char *repository, enum action action)
{
    CLEANUP(str_done) struct str out = {};

    if (!authority->token_realm)
        return authority->htpasswd_path ? xasprintf("Basic realm=\"%s\"", authority->realm) : NULL;
    str_add_format(&out, "Bearer realm=\"%s\",service=\"%s\"", authority->token_realm,
                   authority->token_service);
    add_scope(&out, repository, action);
    if (subject->has_token)
        str_add_format(&out, ",error=\"%s\"",
                       subject->token.grants || subject->user ? "insufficient_scope"
                                                              : "invalid_token");
    return str_take(&out);
}
