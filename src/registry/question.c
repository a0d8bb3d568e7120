/* Short questions to registries: who am I, what is this, what is there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"
#include "http/server.h"
#include "registry/fetch.h"
#include "registry/internal.h"

#include "base/banned.h"

#define HUB_KEY             "https://index.docker.io/v1/"
#define SEARCH_ANSWER_LIMIT ((size_t)8 << 20)

/* ---- login ---- */

/* "https://host/v1/" and so on: only the host counts. */
static char *server_domain(const char *server)
{
    if (text_is_empty(server) || strcmp(server, HUB_KEY) == 0)
        return xstrdup("docker.io");
    if (text_starts(server, "https://") || text_starts(server, "http://"))
        server = strstr(server, "://") + 3;
    char *host = xstrndup(server, strcspn(server, "/"));
    if (strcmp(host, "index.docker.io") == 0 || strcmp(host, "registry-1.docker.io") == 0) {
        free(host);
        return xstrdup("docker.io");
    }
    return host;
}

struct login {
    char *token;
};

static int log_in(struct session *session, void *data, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free) char *url = session_url(session, "%s", "");
    struct call call = { .method = "GET", .url = url };
    struct error why = {};

    session_want_identity_token(session);
    int result = session_call(session, &call, &answer, &why);
    const char *challenge = answer_header(&answer, "www-authenticate");
    if (result < 0 && why.kind == ERROR_UNAUTHORIZED && challenge &&
        strncasecmp(challenge, "basic", strlen("basic")) == 0)
        return error_set(err, ERROR_INTERNAL,
                         "login attempt to %s failed with status: 401 Unauthorized", url);
    if (result < 0) {
        *err = why;
        return why.kind == ERROR_UNAUTHORIZED ? error_context(err, "Get \"%s\"", url) : -1;
    }
    if (answer.status != 200)
        return error_set(err, ERROR_INTERNAL, "login attempt to %s failed with status: %d", url,
                         answer.status);
    ((struct login *)data)->token = session_identity_token(session) ?: xstrdup("");
    return 0;
}

int registry_login(struct registry *registry, const char *server,
                   const struct credentials *credentials, char **out_identity_token,
                   struct error *err)
{
    struct login login = {};
    CLEANUP(free) char *domain = server_domain(server);
    struct reference reference = { .domain = domain, .path = (char *)"" };
    CLEANUP(free) char *url = xasprintf("https://%s", domain);
    CLEANUP(url_done) struct url checked = {};

    if (url_split(url, &checked, err) < 0)
        return -1;
    if (registry_each_endpoint(registry, &reference, SESSION_CATALOG, credentials, NULL, log_in,
                               &login, err) < 0)
        return -1;
    *out_identity_token = login.token;
    return 0;
}

/* ---- describe ---- */

void registry_description_done(struct registry_description *description)
{
    free(description->media_type);
    str_done(&description->body);
    for (size_t i = 0; i < description->platform_count; i++)
        platform_done(&description->platforms[i]);
    free(description->platforms);
    *description = (struct registry_description){};
}

struct describe {
    const struct reference *reference;
    struct registry_description *out;
    struct store *store;
};

static struct platform *add_platform(struct registry_description *out)
{
    out->platforms = xrealloc(out->platforms, out->platform_count + 1, sizeof(*out->platforms));
    out->platforms[out->platform_count] = (struct platform){};
    return &out->platforms[out->platform_count++];
}

/* The platform of a single image stands in its configuration. */
static int read_config_platform(struct session *session, const struct descriptor *config,
                                struct registry_description *out, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(free) char *url = session_url(session, "/blobs/%s", config->digest);
    struct call call = { .method = "GET", .url = url, .answer_limit = (size_t)CONFIG_SIZE_LIMIT };

    if (session_call(session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 200)
        return answer_error(&answer, url, err);
    if (json_parse(str_text(&answer.body), answer.body.length, &value, err) < 0)
        return error_context(err, "invalid image configuration");
    platform_from_json(value, add_platform(out));
    return 0;
}

static int describe(struct session *session, void *data, struct error *err)
{
    struct describe *describe = data;
    struct registry_description *out = describe->out;
    CLEANUP(manifest_done) struct manifest manifest = {};
    CLEANUP(free) char *type = NULL;

    registry_description_done(out);
    if (fetch_document(session, reference_target(describe->reference), NULL, NULL, &out->body,
                       out->digest, &type, err) < 0)
        return -1;
    out->size = (int64_t)out->body.length;
    if (manifest_parse(str_text(&out->body), out->body.length, type, &manifest, err) < 0) {
        /* Artifacts have no platform, and can be described all the same. */
        if (err->kind != ERROR_UNSUPPORTED)
            return -1;
        *err = (struct error){};
        out->media_type = TAKE(type);
        return 0;
    }
    out->media_type = xstrdup(manifest.media_type);
    for (size_t i = 0; manifest.is_index && i < manifest.child_count; i++) {
        struct platform *platform = add_platform(out);
        const struct platform *from = &manifest.children[i].platform;

        *platform = (struct platform){ xstrdup(from->os), xstrdup(from->architecture),
                                       xstrdup(from->variant), xstrdup(from->os_version) };
    }
    return manifest.is_index ? 0 : read_config_platform(session, &manifest.config, out, err);
}

int registry_describe(struct registry *registry, const struct reference *reference,
                      const struct credentials *credentials, struct registry_description *out,
                      struct error *err)
{
    struct describe data = { reference, out, registry->store };

    return registry_each_endpoint(registry, reference, SESSION_PULL, credentials, NULL, describe,
                                  &data, err);
}

/* ---- search ---- */

int registry_search(struct registry *registry, const char *term, int limit,
                    const struct credentials *credentials, struct json **out, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    const char *slash = strchr(term, '/');
    CLEANUP(free) char *first = xstrndup(term, slash ? (size_t)(slash - term) : 0);
    bool has_host = slash && (strpbrk(first, ".:") || strcmp(first, "localhost") == 0);
    bool is_hub = !has_host || strcmp(first, "docker.io") == 0;
    CLEANUP(free) char *query = http_url_encode(has_host ? slash + 1 : term);
    const struct strv *insecure = transport_options(registry->transport)->insecure_registries;
    CLEANUP(free)
    char *base = is_hub ? xstrdup("https://index.docker.io")
                        : xasprintf("%s://%s", host_is_insecure(first, insecure) ? "http" : "https",
                                    first);
    CLEANUP(free) char *url = xasprintf("%s/v1/search?q=%s&n=%d", base, query, limit);
    struct call call = { .method = "GET", .url = url, .answer_limit = SEARCH_ANSWER_LIMIT };

    (void)credentials; /* A search is public: nobody needs to know who asks. */
    if (transport_call(registry->transport, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 200)
        return error_set(err, ERROR_INTERNAL, "Unexpected status code %d", answer.status);
    if (json_parse(str_text(&answer.body), answer.body.length, out, err) < 0)
        return error_context(err, "invalid answer of %s", base);
    return 0;
}
