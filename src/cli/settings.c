/* The order of precedence is Docker's: -H, DOCKER_HOST, -c, DOCKER_CONTEXT, currentContext, the
 * default socket. */
#include "cli/settings.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define DEFAULT_HOST "unix:///run/berth/berth.sock"

enum { DOCUMENT_LIMIT = 4 * 1024 * 1024 };

static struct {
    char *directory, *host, *ca, *cert, *key;
    bool tls, tls_verify;
    struct json *document;
} settings;

static void load_document(void)
{
    CLEANUP(free) char *path = path_join(settings.directory, "config.json");
    CLEANUP(str_done) struct str text = {};
    struct error ignored;

    if (file_read(path, DOCUMENT_LIMIT, &text, &ignored) == 0 && text.length)
        json_parse(text.data, text.length, &settings.document, &ignored);
}

const char *settings_directory(void)
{
    return settings.directory;
}

const struct json *settings_document(void)
{
    return settings.document;
}

const char *settings_text(const char *key)
{
    return json_text(json_get(settings.document, key));
}

/* Host and certificates of a named context (contexts/meta/<sha256 of its name>/meta.json). */
static int load_context(const char *name, struct error *err)
{
    char digest[DIGEST_SIZE];
    CLEANUP(json_free) struct json *meta = NULL;
    CLEANUP(str_done) struct str text = {};

    sha256_digest(name, strlen(name), digest);
    CLEANUP(free)
    char *path = xasprintf("%s/contexts/meta/%s/meta.json", settings.directory, digest_hex(digest));
    CLEANUP(free)
    char *tls = xasprintf("%s/contexts/tls/%s/docker", settings.directory, digest_hex(digest));
    if (file_read(path, DOCUMENT_LIMIT, &text, err) < 0)
        return error_set(err, ERROR_NOT_FOUND,
                         "context \"%s\": context not found: open %s: no such file or directory",
                         name, path);
    if (json_parse(text.data, text.length, &meta, err) < 0)
        return error_context(err, "context \"%s\"", name);
    const struct json *endpoint = json_get(json_get(meta, "Endpoints"), "docker");
    const char *host = json_text(json_get(endpoint, "Host"));
    if (!host)
        return error_set(err, ERROR_INVALID, "context \"%s\" names no engine", name);
    settings.host = xstrdup(host);
    if (file_exists(tls)) {
        settings.tls = true;
        settings.tls_verify = !json_is_true(json_get(endpoint, "SkipTLSVerify"));
        settings.ca = path_join(tls, "ca.pem");
        settings.cert = path_join(tls, "cert.pem");
        settings.key = path_join(tls, "key.pem");
    }
    return 0;
}

static char *certificate(const char *given, const char *directory, const char *name)
{
    if (given)
        return xstrdup(given);
    char *path = path_join(directory, name);
    if (file_exists(path))
        return path;
    free(path);
    return NULL;
}

int settings_load(const struct settings_wish *wish, struct error *err)
{
    const char *home = getenv("HOME"), *directory = getenv("DOCKER_CONFIG"),
               *host = getenv("DOCKER_HOST");
    const char *context = getenv("DOCKER_CONTEXT"), *certificates = getenv("DOCKER_CERT_PATH");

    if (wish->host && wish->context)
        return error_set(err, ERROR_INVALID,
                         "conflicting options: cannot specify both --host and --context");
    if (wish->config)
        settings.directory = xstrdup(wish->config);
    else
        settings.directory = directory ? xstrdup(directory)
                                       : path_join(home ? home : "/", ".docker");
    load_document();
    settings.tls_verify = wish->tls_verify || !text_is_empty(getenv("DOCKER_TLS_VERIFY"));
    settings.tls = wish->tls || settings.tls_verify || !text_is_empty(getenv("DOCKER_TLS"));
    if (settings.tls) {
        const char *where = text_is_empty(certificates) ? settings.directory : certificates;

        settings.ca = certificate(wish->ca, where, "ca.pem");
        settings.cert = certificate(wish->cert, where, "cert.pem");
        settings.key = certificate(wish->key, where, "key.pem");
    }
    if (wish->host || (!wish->context && !text_is_empty(host))) {
        settings.host = xstrdup(wish->host ? wish->host : host);
        return 0;
    }
    const char *chosen = wish->context            ? wish->context
                         : text_is_empty(context) ? settings_text("currentContext")
                                                  : context;
    if (!text_is_empty(chosen) && strcmp(chosen, "default") != 0)
        return load_context(chosen, err);
    settings.host = xstrdup(DEFAULT_HOST);
    return 0;
}

int settings_connect(struct client **out, struct error *err)
{
    struct client_options options = {
        .host = settings.host,
        .tls = settings.tls,
        .tls_verify = settings.tls_verify,
        .ca_path = settings.ca,
        .cert_path = settings.cert,
        .key_path = settings.key,
        .api_version = getenv("DOCKER_API_VERSION"),
    };

    return client_open(&options, out, err);
}
