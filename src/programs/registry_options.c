/* One table of settings, read from flags and from JSON. */
#include "programs/registry_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"

#include "base/banned.h"

enum { CONFIG_SIZE_LIMIT = 1 << 20, SETTING_LIMIT = 64 };

enum kind {
    KIND_TEXT,
    KIND_SWITCH,
    KIND_NUMBER,
    KIND_SIZE,     /* bytes, "64m" */
    KIND_DURATION, /* "1h30m" */
    KIND_LIST,     /* struct strv; may be repeated */
};

#define AT(member) offsetof(struct registry_settings, member)

/* clang-format off */
static const struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *value, *help;
} settings[] = {
    { "access-log",         KIND_SWITCH,   AT(access_log),         NULL,       "Log a line for each request" },
    { "allow-sparse-index", KIND_SWITCH,   AT(allow_sparse_index), NULL,       "Take indexes of manifests that are not here" },
    { "config",             KIND_TEXT,     AT(config_path),        "FILE",     "Read these settings from a JSON file too" },
    { "debug-listen",       KIND_LIST,     AT(debug_listen),       "ADDRESS",  "Answer /metrics and /debug/health there" },
    { "events-header",      KIND_LIST,     AT(event_headers),      "HEADER",   "Send this along with events" },
    { "events-url",         KIND_LIST,     AT(event_urls),         "URL",      "Tell this endpoint of pushes, pulls and deletes" },
    { "gc-grace",           KIND_DURATION, AT(gc_grace_ns),        "DURATION", "Keep what nothing names for so long after its last use (1h)" },
    { "gc-interval",        KIND_DURATION, AT(gc_interval_ns),     "DURATION", "Collect garbage so often, 0 for never (1h)" },
    { "gc-untagged",        KIND_SWITCH,   AT(gc_untagged),        NULL,       "Collect manifests that no tag reaches, too" },
    { "help",               KIND_SWITCH,   AT(help),               NULL,       "Print this" },
    { "htpasswd",           KIND_TEXT,     AT(htpasswd_path),      "FILE",     "Ask for users and passwords of this file (bcrypt only)" },
    { "listen",             KIND_LIST,     AT(listen),             "ADDRESS",  "host:port, :port, or fd:// for passed sockets (:5000)" },
    { "log-level",          KIND_TEXT,     AT(log_level),          "LEVEL",    "debug, info, warn or error (info)" },
    { "max-blob-size",      KIND_SIZE,     AT(blob_size_limit),    "SIZE",     "Refuse larger blobs (0: any)" },
    { "max-uploads",        KIND_NUMBER,   AT(upload_count),       "N",        "Uploads that may be open at a time (10000)" },
    { "max-writers",        KIND_NUMBER,   AT(upload_writers),     "N",        "Requests that may send blobs at a time (256)" },
    { "no-delete",          KIND_SWITCH,   AT(no_delete),          NULL,       "Refuse to delete" },
    { "proxy",              KIND_TEXT,     AT(proxy_url),          "URL",      "Be a cache in front of this registry" },
    { "proxy-credentials",  KIND_TEXT,     AT(proxy_credentials_path), "FILE", "user:password for that registry" },
    { "proxy-fresh",        KIND_DURATION, AT(proxy_fresh_ns),     "DURATION", "Take tags as they are here for so long (0: always ask)" },
    { "proxy-keep",         KIND_DURATION, AT(proxy_keep_ns),      "DURATION", "Forget what nobody asked for so long, 0 for never (168h)" },
    { "quota",              KIND_LIST,     AT(quotas),             "PATTERN=SIZE", "How much a repository that fits may hold; the first counts" },
    { "read-only",          KIND_SWITCH,   AT(read_only),          NULL,       "Refuse all changes" },
    { "realm",              KIND_TEXT,     AT(realm),              "TEXT",     "What to call ourselves when asking for a password" },
    { "root",               KIND_TEXT,     AT(root_path),          "DIR",      "Where everything is kept" },
    { "rules",              KIND_TEXT,     AT(rules_path),         "FILE",     "Who may do what where, as JSON" },
    { "tls-cert",           KIND_TEXT,     AT(tls_cert_path),      "FILE",     "Speak TLS with this certificate" },
    { "tls-client-ca",      KIND_TEXT,     AT(tls_client_ca_path), "FILE",     "Demand client certificates of this authority" },
    { "tls-key",            KIND_TEXT,     AT(tls_key_path),       "FILE",     "The certificate's key" },
    { "token-issuer",       KIND_TEXT,     AT(token_issuer),       "TEXT",     "Who must have issued a token" },
    { "token-keys",         KIND_TEXT,     AT(token_keys_path),    "FILE",     "Keys that tokens are signed with (JWKS: RSA or P-256)" },
    { "token-realm",        KIND_TEXT,     AT(token_realm),        "URL",      "Where clients get tokens" },
    { "token-service",      KIND_TEXT,     AT(token_service),      "TEXT",     "Whom tokens must be for: our name" },
    { "upload-age",         KIND_DURATION, AT(upload_age_ns),      "DURATION", "Take uploads that stood still for so long for abandoned (168h)" },
    { "version",            KIND_SWITCH,   AT(version),            NULL,       "Print the version" },
};
/* clang-format on */

_Static_assert(COUNT(settings) <= SETTING_LIMIT, "all settings are counted");

static const struct setting *find(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT(settings); i++)
        if (strlen(settings[i].name) == length && strncmp(settings[i].name, name, length) == 0)
            return &settings[i];
    return NULL;
}

static int read_switch(const char *text, bool *out, struct error *err)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return error_set(err, ERROR_INVALID, "must be true or false, not \"%s\"", text);
    *out = *text == 't';
    return 0;
}

static int set(const struct setting *setting, const char *text, struct registry_settings *out,
               struct error *err)
{
    void *value = (char *)out + setting->offset;

    switch (setting->kind) {
    case KIND_TEXT:
        free(*(char **)value);
        *(char **)value = xstrdup(text);
        return 0;
    case KIND_SWITCH:
        return read_switch(text, value, err);
    case KIND_NUMBER:
        return parse_int64(text, 1, INT32_MAX, value, err);
    case KIND_SIZE:
        return parse_size(text, value, err);
    case KIND_DURATION:
        if (duration_parse(text, value, err) < 0)
            return -1;
        return *(int64_t *)value < 0 ? error_set(err, ERROR_INVALID, "must not be negative") : 0;
    case KIND_LIST:
        strv_add(value, text);
        return 0;
    }
    return 0;
}

/* ---- flags ---- */

/* One flag, with its value behind '=' or as the next argument; '*index' moves on. */
static int read_flag(int argc, char **argv, int *index, bool given[SETTING_LIMIT],
                     struct registry_settings *out, struct error *err)
{
    const char *name = argv[*index] + 2;
    size_t length = strcspn(name, "=");
    const struct setting *setting = find(name, length);
    const char *value = name[length] ? name + length + 1 : NULL;

    if (!setting)
        return error_set(err, ERROR_INVALID, "unknown flag: --%.*s", (int)length, name);
    if (!value && setting->kind == KIND_SWITCH)
        value = "true";
    if (!value && *index + 1 < argc)
        value = argv[++*index];
    if (!value)
        return error_set(err, ERROR_INVALID, "flag needs an argument: --%s", setting->name);
    given[setting - settings] = true;
    if (set(setting, value, out, err) < 0)
        return error_context(err, "--%s", setting->name);
    return 0;
}

static int read_command(const char *word, struct registry_settings *out, struct error *err)
{
    static const char *const words[] = { "serve", "gc", "verify" };

    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(words[i], word) == 0) {
            out->command = (enum registry_command)i;
            return 0;
        }
    return error_set(err, ERROR_INVALID, "unknown command: %s", word);
}

static int read_flags(int argc, char **argv, bool given[SETTING_LIMIT],
                      struct registry_settings *out, struct error *err)
{
    int index = 1;

    if (argc > 1 && argv[1][0] != '-') {
        if (read_command(argv[1], out, err) < 0)
            return -1;
        index = 2;
    }
    for (; index < argc; index++) {
        if (!text_starts(argv[index], "--"))
            return error_set(err, ERROR_INVALID, "unexpected argument: %s", argv[index]);
        if (read_flag(argc, argv, &index, given, out, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the file ---- */

static int set_json(const struct setting *setting, const struct json *value,
                    struct registry_settings *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    switch (json_type(value)) {
    case JSON_TEXT:
        return set(setting, json_text(value), out, err);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_INTEGER:
        json_write(value, &text);
        return set(setting, str_text(&text), out, err);
    default:
        return error_set(err, ERROR_INVALID, "must be a text, a number, true or false");
    }
}

static int read_key(const char *key, const struct json *value, const bool given[SETTING_LIMIT],
                    struct registry_settings *out, struct error *err)
{
    const struct setting *setting = find(key, strlen(key));

    if (!setting || setting->offset == AT(config_path))
        return error_set(err, ERROR_INVALID, "there is no such setting");
    if (given[setting - settings])
        return 0;
    if (setting->kind != KIND_LIST)
        return set_json(setting, value, out, err);
    if (json_type(value) != JSON_LIST)
        return error_set(err, ERROR_INVALID, "must be a list");
    for (size_t i = 0; i < json_count(value); i++)
        if (set_json(setting, json_at(value, i), out, err) < 0)
            return -1;
    return 0;
}

static int read_file(const char *path, const bool given[SETTING_LIMIT],
                     struct registry_settings *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *root = NULL;

    if (file_read(path, CONFIG_SIZE_LIMIT, &text, err) < 0)
        return -1;
    if (json_parse(str_text(&text), text.length, &root, err) < 0)
        return error_context(err, "%s", path);
    if (json_type(root) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "%s: must be one JSON object", path);
    JSON_EACH (root, key)
        if (read_key(key, json_key_value(key), given, out, err) < 0)
            return error_context(err, "%s: %s", path, key);
    return 0;
}

/* ---- all ---- */

static int check(const struct registry_settings *read, struct error *err)
{
    if (text_is_empty(read->root_path))
        return error_set(err, ERROR_INVALID, "--root is needed: where is everything kept?");
    if (!read->tls_cert_path != !read->tls_key_path)
        return error_set(err, ERROR_INVALID, "--tls-cert and --tls-key go together");
    if (read->tls_client_ca_path && !read->tls_cert_path)
        return error_set(err, ERROR_INVALID, "--tls-client-ca needs --tls-cert");
    return 0;
}

int registry_settings_read(int argc, char **argv, struct registry_settings *out, struct error *err)
{
    CLEANUP(registry_settings_done)
    struct registry_settings read = { .gc_interval_ns = 3600 * NS_PER_S,
                                      .gc_grace_ns = 3600 * NS_PER_S,
                                      .proxy_keep_ns = 168 * 3600 * NS_PER_S,
                                      .upload_age_ns = 168 * 3600 * NS_PER_S };
    bool given[SETTING_LIMIT] = {};

    if (read_flags(argc, argv, given, &read, err) < 0)
        return -1;
    if (!read.help && !read.version) {
        if (read.config_path && read_file(read.config_path, given, &read, err) < 0)
            return -1;
        if (check(&read, err) < 0)
            return -1;
    }
    if (read.listen.count == 0)
        strv_add(&read.listen, ":5000");
    *out = read;
    read = (struct registry_settings){};
    return 0;
}

void registry_settings_done(struct registry_settings *read)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        void *value = (char *)read + settings[i].offset;

        if (settings[i].kind == KIND_TEXT)
            free(*(char **)value);
        else if (settings[i].kind == KIND_LIST)
            strv_done(value);
    }
    *read = (struct registry_settings){};
}

void registry_settings_print_help(void)
{
    puts("Usage: berth-registry [serve|gc|verify] --root DIR [FLAGS]\n\n"
         "A registry of container images (OCI distribution protocol).\n"
         "  serve    answer clients (the default)\n"
         "  gc       remove what nothing reaches; a running server is told to\n"
         "  verify   compare record and disk, byte by byte\n\n"
         "Flags:");
    for (size_t i = 0; i < COUNT(settings); i++)
        printf("  --%s%s%-*s  %s\n", settings[i].name, settings[i].value ? " " : "",
               (int)(28 - strlen(settings[i].name)), settings[i].value ?: "", settings[i].help);
}
