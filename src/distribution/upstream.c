/* Asked without a token first, unless one is known for the repository. */
#include "distribution/upstream.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/json.h"
#include "distribution/challenge.h"
#include "http/server.h"

#include "base/banned.h"

enum {
    TOKEN_LIMIT = 10000,
    TOKEN_LIFE_S = 60, /* if its service does not say; also the least that is believed */
    TOKEN_LIFE_MOST_S = 24 * 3600,
    TOKEN_MARGIN_S = 10,
    CREDENTIALS_LIMIT = 4096,
    TOKEN_TIMEOUT_S = 30,
};

#define ACCEPT                                                                                     \
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json," \
    " application/vnd.docker.distribution.manifest.list.v2+json,"                                  \
    " application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1"

struct kept_token {
    char *text;
    uint64_t deadline_ns;
};

struct upstream {
    char *url;
    char *credentials; /* NULL: none */
    struct mutex lock; /* guards what follows */
    struct map tokens; /* repository → struct kept_token */
    bool wants_basic;
};

static void free_token(void *pointer)
{
    struct kept_token *token = pointer;

    free(token->text);
    free(token);
}

static int read_credentials(const char *path, char **out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, CREDENTIALS_LIMIT, &text, err) < 0)
        return -1;
    size_t length = strcspn(str_text(&text), "\r\n");
    if (!memchr(str_text(&text), ':', length))
        return error_set(err, ERROR_INVALID, "%s must have user:password", path);
    *out = xstrndup(text.data, length);
    return 0;
}

int upstream_new(const char *url, const char *credentials_path, struct upstream **out,
                 struct error *err)
{
    CLEANUP(upstream_free) struct upstream *upstream = NEW(struct upstream);
    size_t length = strlen(url);

    mutex_init(&upstream->lock);
    map_init_empty(&upstream->tokens, free_token);
    if (!text_starts(url, "http://") && !text_starts(url, "https://"))
        return error_set(err, ERROR_INVALID, "the other registry must be http:// or https://");
    while (length > 0 && url[length - 1] == '/')
        length--;
    upstream->url = xstrndup(url, length);
    if (credentials_path && read_credentials(credentials_path, &upstream->credentials, err) < 0)
        return -1;
    *out = TAKE(upstream);
    return 0;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    map_done(&upstream->tokens);
    mutex_done(&upstream->lock);
    free(upstream->credentials);
    free(upstream->url);
    free(upstream);
}

/* ---- tokens ---- */

/* NULL if there is none; yours. */
static char *known_token(struct upstream *upstream, const char *repository)
{
    mutex_lock(&upstream->lock);
    const struct kept_token *token = map_get(&upstream->tokens, repository);
    bool is_good = token && token->deadline_ns > clock_monotonic_ns();
    char *text = is_good ? xstrdup(token->text) : NULL;
    mutex_unlock(&upstream->lock);
    return text;
}

static void keep_token(struct upstream *upstream, const char *repository, const char *text,
                       int64_t life_s)
{
    struct kept_token *token = NEW(struct kept_token);

    life_s = MIN(MAX(life_s, TOKEN_LIFE_S), TOKEN_LIFE_MOST_S) - TOKEN_MARGIN_S;
    token->text = xstrdup(text);
    token->deadline_ns = clock_monotonic_ns() + (uint64_t)life_s * NS_PER_S;
    mutex_lock(&upstream->lock);
    if (upstream->tokens.count >= TOKEN_LIMIT) {
        map_done(&upstream->tokens);
        map_init_empty(&upstream->tokens, free_token);
    }
    map_set(&upstream->tokens, repository, token);
    mutex_unlock(&upstream->lock);
}

static int read_token(struct upstream *upstream, const char *repository, const struct str *body,
                      struct error *err)
{
    CLEANUP(json_free) struct json *root = NULL;

    if (json_parse(str_text(body), body->length, &root, err) < 0)
        return error_context(err, "token service");
    const char *text = json_text(json_get(root, "token"))
                           ?: json_text(json_get(root, "access_token"));
    const struct json *life = json_get(root, "expires_in");
    if (!text || strpbrk(text, "\r\n"))
        return error_set(err, ERROR_UNAUTHORIZED, "token service: no token in its answer");
    keep_token(upstream, repository, text,
               json_type(life) == JSON_INTEGER ? json_to_int64(life) : TOKEN_LIFE_S);
    return 0;
}

/* Our password goes to a token service over TLS only, unless the registry has none either. */
static bool may_tell(const struct upstream *upstream, const char *realm)
{
    return text_starts(realm, "https://") || text_starts(upstream->url, "http://");
}

static int get_token(struct upstream *upstream, const char *repository,
                     const struct challenge *challenge, struct error *err)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};
    CLEANUP(free) char *plain_scope = xasprintf("repository:%s:pull", repository);
    CLEANUP(free) char *service = http_url_encode(challenge->service ?: "");
    CLEANUP(free) char *scope = http_url_encode(challenge->scope ?: plain_scope);
    CLEANUP(free)
    char *url = xasprintf("%s%cservice=%s&scope=%s", challenge->realm,
                          strchr(challenge->realm, '?') ? '&' : '?', service, scope);
    const struct ask question = { .method = "GET",
                                  .url = url,
                                  .follows = true,
                                  .timeout_s = TOKEN_TIMEOUT_S,
                                  .user = may_tell(upstream, challenge->realm)
                                              ? upstream->credentials
                                              : NULL };

    if (ask(&question, &answer, err) < 0)
        return -1;
    if (answer.status != 200)
        return error_set(err, ERROR_UNAUTHORIZED, "token service: status %d", answer.status);
    return read_token(upstream, repository, &answer.body, err);
}

/* ---- questions ---- */

static int ask_once(struct upstream *upstream, const struct upstream_question *question,
                    struct ask_answer *out, struct error *err)
{
    CLEANUP(strv_done) struct strv headers = {};
    CLEANUP(free) char *url = xasprintf("%s%s", upstream->url, question->path);
    CLEANUP(free) char *token = known_token(upstream, question->repository);

    strv_add(&headers, ACCEPT);
    if (token)
        strv_add_format(&headers, "Authorization: Bearer %s", token);
    mutex_lock(&upstream->lock);
    bool tells_password = upstream->wants_basic && !token;
    mutex_unlock(&upstream->lock);
    const struct ask asked = { .method = question->method,
                               .url = url,
                               .headers = &headers,
                               .follows = true,
                               .user = tells_password ? upstream->credentials : NULL,
                               .begin = question->begin,
                               .take = question->take,
                               .data = question->data };
    return ask(&asked, out, err);
}

/* Does what the challenge asks for, so that asking again has a chance. */
static int answer_challenge(struct upstream *upstream, const char *repository,
                            const struct ask_answer *answer, struct error *err)
{
    CLEANUP(challenge_done) struct challenge challenge = {};
    const char *header = map_get(&answer->headers, "www-authenticate");

    challenge_parse(header ?: "", &challenge);
    if (challenge.wants_bearer)
        return get_token(upstream, repository, &challenge, err);
    if (!challenge.wants_basic || !upstream->credentials)
        return error_set(err, ERROR_UNAUTHORIZED, "the other registry wants to know who asks");
    mutex_lock(&upstream->lock);
    upstream->wants_basic = true;
    mutex_unlock(&upstream->lock);
    return 0;
}

int upstream_ask(struct upstream *upstream, const struct upstream_question *question,
                 struct ask_answer *out, struct error *err)
{
    CLEANUP(ask_answer_done) struct ask_answer first = {};

    if (ask_once(upstream, question, &first, err) < 0)
        return -1;
    if (first.status != 401) {
        *out = first;
        first = (struct ask_answer){};
        return 0;
    }
    if (answer_challenge(upstream, question->repository, &first, err) < 0 ||
        ask_once(upstream, question, out, err) < 0)
        return -1;
    if (out->status != 401)
        return 0;
    ask_answer_done(out);
    return error_set(err, ERROR_UNAUTHORIZED, "the other registry does not take our credentials");
}
