/* The order of precedence is Docker's: -H, DOCKER_HOST, -c, DOCKER_CONTEXT, currentContext, the
 * default socket. */
#include "cli/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/context_store.h"
#include "cli/csv.h"

#include "base/banned.h"

#define DEFAULT_HOST "unix:///run/berth/berth.sock"

enum { DOCUMENT_LIMIT = 4 * 1024 * 1024 };

static struct {
    char *directory, *context, *host, *ca, *cert, *key;
    bool tls, tls_verify;
    bool is_broken; /* config.json is there and cannot be used */
    struct json *document;
} settings;

static void load_document(void)
{
    CLEANUP(free) char *path = path_join(settings.directory, "config.json");
    CLEANUP(str_done) struct str text = {};
    struct error failed = {};

    if (file_read(path, DOCUMENT_LIMIT, &text, &failed) == 0 && text.length)
        json_parse(text.data, text.length, &settings.document, &failed);
    if (settings.document && json_type(settings.document) != JSON_DICT)
        error_set(&failed, ERROR_INVALID, "it is no object");
    if (failed.kind != ERROR_NONE && failed.kind != ERROR_NOT_FOUND) {
        fprintf(stderr, "WARNING: Error loading config file: %s: %s\n", path, failed.text);
        settings.is_broken = true;
    }
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

/* -H and DOCKER_HOST go before all contexts but the one of -c. */
static const char *context_chosen(const struct settings_wish *wish)
{
    const char *named = getenv("DOCKER_CONTEXT");

    if (wish->context)
        return wish->context;
    if (wish->host || !text_is_empty(getenv("DOCKER_HOST")))
        return NULL;
    return text_is_empty(named) ? settings_text("currentContext") : named;
}

static void forget(void)
{
    free(settings.directory);
    free(settings.context);
    free(settings.host);
    free(settings.ca);
    free(settings.cert);
    free(settings.key);
    json_free(settings.document);
    memset(&settings, 0, sizeof(settings));
}

int settings_load(const struct settings_wish *wish, struct error *err)
{
    const char *home = getenv("HOME"), *directory = getenv("DOCKER_CONFIG"),
               *host = getenv("DOCKER_HOST");
    const char *certificates = getenv("DOCKER_CERT_PATH");

    forget();
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
    const char *context = context_chosen(wish);
    settings.context = xstrdup(text_is_empty(context) ? DEFAULT_CONTEXT : context);
    settings.host = xstrdup(wish->host ? wish->host : text_is_empty(host) ? DEFAULT_HOST : host);
    return 0;
}

const char *settings_context(void)
{
    return settings.context;
}

const char *settings_default_host(void)
{
    return settings.host;
}

/* HttpHeaders of config.json; DOCKER_CUSTOM_HEADERS ("name=value,…") takes their place. */
static int read_headers(struct map *out, struct error *err)
{
    const struct json *headers = json_get(settings.document, "HttpHeaders");
    const char *text = getenv("DOCKER_CUSTOM_HEADERS");
    CLEANUP(strv_done) struct strv fields = {};

    if (text_is_empty(text)) {
        JSON_EACH (headers, key)
            if (json_text(json_get(headers, key)))
                map_set_text(out, key, json_text(json_get(headers, key)));
        return 0;
    }
    if (csv_split(text, &fields, err) < 0)
        return error_context(err, "DOCKER_CUSTOM_HEADERS");
    for (size_t i = 0; i < fields.count; i++) {
        char *equals = strchr(fields.items[i], '=');

        if (!equals || equals == fields.items[i])
            return error_set(err, ERROR_INVALID,
                             "DOCKER_CUSTOM_HEADERS: \"%s\" must be formatted as name=value",
                             fields.items[i]);
        *equals = 0;
        map_set_text(out, fields.items[i], equals + 1);
    }
    return 0;
}

static int open_client(struct client_options *options, struct client **out, struct error *err)
{
    CLEANUP(map_done) struct map headers = {};

    options->api_version = getenv("DOCKER_API_VERSION");
    options->headers = &headers;
    return read_headers(&headers, err) < 0 ? -1 : client_open(options, out, err);
}

static int connect_to_default(struct client **out, struct error *err)
{
    struct client_options options = {
        .host = settings.host,
        .tls = settings.tls,
        .tls_verify = settings.tls_verify,
        .ca_path = settings.ca,
        .cert_path = settings.cert,
        .key_path = settings.key,
    };

    return open_client(&options, out, err);
}

static int connect_to_context(struct client **out, struct error *err)
{
    CLEANUP(engine_context_done) struct engine_context context = {};

    if (context_load(settings.context, &context, err) < 0)
        return -1;
    if (!context.host)
        return error_set(err, ERROR_INVALID, "context \"%s\" names no engine", context.name);
    CLEANUP(free) char *directory = path_join(context.tls_path, "docker");
    CLEANUP(free) char *ca = certificate(NULL, directory, "ca.pem");
    CLEANUP(free) char *cert = certificate(NULL, directory, "cert.pem");
    CLEANUP(free) char *key = certificate(NULL, directory, "key.pem");
    struct client_options options = {
        .host = context.host,
        .tls = (context.tls.count || context.skip_tls_verify) && text_starts(context.host, "tcp:"),
        .tls_verify = !context.skip_tls_verify,
        .ca_path = ca,
        .cert_path = cert,
        .key_path = key,
    };
    return open_client(&options, out, err);
}

int settings_connect(struct client **out, struct error *err)
{
    if (strcmp(settings.context, DEFAULT_CONTEXT) == 0)
        return connect_to_default(out, err);
    return connect_to_context(out, err);
}

int settings_replace(const char *key, const char *json, struct error *err)
{
    CLEANUP(str_done) struct str text = {}, pretty = {};
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(free) char *path = path_join(settings.directory, "config.json");
    struct json_writer w = { .out = &text };
    bool is_done = !json;

    if (settings.is_broken)
        return error_set(err, ERROR_INVALID, "%s cannot be understood: it is left as it is", path);
    json_begin_dict(&w, NULL);
    JSON_EACH (settings.document, old)
        if (strcmp(old, key) != 0) {
            json_add_value(&w, old, json_get(settings.document, old));
        } else if (!is_done) {
            json_add_raw(&w, key, json);
            is_done = true;
        }
    if (!is_done)
        json_add_raw(&w, key, json);
    json_end_dict(&w);
    if (json_parse(str_text(&text), text.length, &value, err) < 0)
        return -1;
    json_write_indented(value, 4, &pretty);
    if (dir_make(settings.directory, 0700, err) < 0 ||
        file_write_atomic(path, pretty.data, pretty.length, 0600, true, err) < 0)
        return -1;
    json_free(settings.document);
    settings.document = TAKE(value);
    return 0;
}
