/* A helper speaks JSON on stdin and stdout: "docker-credential-<name> get" and so on. */
#include "cli/credentials.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/program.h"
#include "cli/settings.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "spec/reference.h"

#include "base/banned.h"

#define NOT_FOUND_TEXT "credentials not found in native keychain"
#define TOKEN_USER     "<token>"

void user_credentials_done(struct user_credentials *credentials)
{
    free(credentials->username);
    free(credentials->password);
    free(credentials->identity_token);
    *credentials = (struct user_credentials){};
}

char *credentials_server(const char *name)
{
    if (text_is_empty(name))
        return xstrdup(HUB_SERVER);
    if (text_starts(name, "https://") || text_starts(name, "http://"))
        name = strstr(name, "://") + 3;
    char *host = xstrndup(name, strcspn(name, "/"));
    if (strcmp(host, "docker.io") == 0 || strcmp(host, "index.docker.io") == 0 ||
        strcmp(host, "registry-1.docker.io") == 0) {
        free(host);
        return xstrdup(HUB_SERVER);
    }
    return host;
}

char *credentials_server_of_image(const char *image, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    return reference_parse(image, &reference, err) < 0 ? NULL
                                                       : credentials_server(reference.domain);
}

/* ---- helpers ---- */

static char *helper_of(const char *server)
{
    const struct json *helpers = json_get(settings_document(), "credHelpers");
    const char *name = json_text(json_get(helpers, server));

    if (!name && strcmp(server, HUB_SERVER) == 0)
        name = json_text(json_get(helpers, "docker.io"));
    if (text_is_empty(name))
        name = settings_text("credsStore");
    return text_is_empty(name) || strchr(name, '/') ? NULL
                                                    : xasprintf("docker-credential-%s", name);
}

static char *find_program(const char *name)
{
    CLEANUP(strv_done) struct strv directories = {};

    strv_split(&directories, getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin", ':');
    for (size_t i = 0; i < directories.count; i++) {
        char *path = path_join(directories.items[i], name);

        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static int run_helper(const char *helper, const char *action, const char *input, struct str *out,
                      int *out_code, struct error *err)
{
    CLEANUP(free) char *path = find_program(helper);
    char *arguments[] = { (char *)helper, (char *)action, NULL };

    if (!path)
        return error_set(err, ERROR_NOT_FOUND,
                         "error getting credentials - err: exec: \"%s\": executable file not found "
                         "in $PATH",
                         helper);
    return program_ask(path, arguments, input, false, out, out_code, err);
}

static int helper_failed(const char *helper, const struct str *answer, struct error *err)
{
    return error_set(err, ERROR_INTERNAL, "error with credentials - %s: %.500s", helper,
                     str_text(answer));
}

static int load_from_helper(const char *helper, const char *server, struct user_credentials *out,
                            struct error *err)
{
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(json_free) struct json *value = NULL;
    int code;

    if (run_helper(helper, "get", server, &answer, &code, err) < 0)
        return -1;
    if (code != 0)
        return strstr(str_text(&answer), NOT_FOUND_TEXT) ? 0 : helper_failed(helper, &answer, err);
    if (json_parse(str_text(&answer), answer.length, &value, err) < 0)
        return error_context(err, "%s", helper);
    const char *username = json_text(json_get(value, "Username")) ?: "",
               *secret = json_text(json_get(value, "Secret")) ?: "";
    if (strcmp(username, TOKEN_USER) == 0) {
        out->identity_token = xstrdup(secret);
    } else {
        out->username = xstrdup(username);
        out->password = xstrdup(secret);
    }
    return 0;
}

static int store_in_helper(const char *helper, const char *server,
                           const struct user_credentials *credentials, struct error *err)
{
    CLEANUP(str_done) struct str answer = {}, input = {};
    struct json_writer w = { .out = &input };
    bool has_token = !text_is_empty(credentials->identity_token);
    int code;

    json_begin_dict(&w, NULL);
    json_add_text(&w, "ServerURL", server);
    json_add_text(&w, "Username", has_token ? TOKEN_USER : credentials->username);
    json_add_text(&w, "Secret", has_token ? credentials->identity_token : credentials->password);
    json_end_dict(&w);
    if (run_helper(helper, "store", str_text(&input), &answer, &code, err) < 0)
        return -1;
    return code ? helper_failed(helper, &answer, err) : 0;
}

/* ---- config.json ---- */

static const struct json *find_entry(const char *server)
{
    const struct json *auths = json_get(settings_document(), "auths"),
                      *entry = json_get(auths, server);

    if (entry)
        return entry;
    /* Older tools wrote URLs. */
    JSON_EACH (auths, key) {
        CLEANUP(free) char *other = credentials_server(key);

        if (strcmp(other, server) == 0)
            return json_get(auths, key);
    }
    return NULL;
}

static void read_pair(const char *text, struct user_credentials *out)
{
    CLEANUP(buf_done) struct buf pair = {};

    if (text_is_empty(text) || base64_decode(text, &pair, NULL) < 0)
        return;
    CLEANUP(free) char *both = xstrndup((const char *)buf_bytes(&pair), pair.size);
    char *colon = strchr(both, ':');
    if (!colon)
        return;
    *colon = 0;
    out->username = xstrdup(both);
    out->password = xstrdup(colon + 1);
}

int credentials_load(const char *server, struct user_credentials *out, struct error *err)
{
    CLEANUP(free) char *helper = helper_of(server);

    if (helper)
        return load_from_helper(helper, server, out, err);
    const struct json *entry = find_entry(server);
    read_pair(json_text(json_get(entry, "auth")), out);
    out->identity_token = xstrdup(json_text(json_get(entry, "identitytoken")));
    return 0;
}

static void write_entry(struct json_writer *w, const char *server,
                        const struct user_credentials *credentials)
{
    bool has_token = !text_is_empty(credentials->identity_token);
    CLEANUP(free)
    char *pair = xasprintf("%s:%s", credentials->username ?: "",
                           has_token ? "" : credentials->password ?: "");
    CLEANUP(free) char *encoded = base64_encode(pair, strlen(pair));

    json_begin_dict(w, server);
    json_add_text(w, "auth", encoded);
    if (has_token)
        json_add_text(w, "identitytoken", credentials->identity_token);
    json_end_dict(w);
}

/* 'credentials' NULL takes the entry out; "auths" of helpers stay empty objects. */
static int rewrite(const char *server, const struct user_credentials *credentials, bool in_helper,
                   struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };
    const struct json *auths = json_get(settings_document(), "auths");

    json_begin_dict(&w, NULL);
    JSON_EACH (auths, key) {
        CLEANUP(free) char *other = credentials_server(key);

        if (strcmp(other, server) != 0)
            json_add_value(&w, key, json_get(auths, key));
    }
    if (credentials && in_helper) {
        json_begin_dict(&w, server);
        json_end_dict(&w);
    } else if (credentials) {
        write_entry(&w, server, credentials);
    }
    json_end_dict(&w);
    return settings_replace("auths", str_text(&text), err);
}

int credentials_store(const char *server, const struct user_credentials *credentials,
                      bool *out_warns, struct error *err)
{
    CLEANUP(free) char *helper = helper_of(server);

    *out_warns = !helper;
    if (helper && store_in_helper(helper, server, credentials, err) < 0)
        return -1;
    return rewrite(server, credentials, helper, err);
}

int credentials_erase(const char *server, struct error *err)
{
    CLEANUP(free) char *helper = helper_of(server);
    CLEANUP(str_done) struct str answer = {};
    int code = 0;

    if (helper && run_helper(helper, "erase", server, &answer, &code, err) < 0)
        return -1;
    if (code && !strstr(str_text(&answer), NOT_FOUND_TEXT))
        return helper_failed(helper, &answer, err);
    return helper || find_entry(server) ? rewrite(server, NULL, helper, err) : 0;
}

static void write_members(struct json_writer *w, const char *server,
                          const struct user_credentials *credentials)
{
    if (!text_is_empty(credentials->identity_token)) {
        json_add_text(w, "identitytoken", credentials->identity_token);
    } else if (!text_is_empty(credentials->username)) {
        json_add_text(w, "username", credentials->username);
        json_add_text(w, "password", credentials->password ?: "");
    }
    if (credentials->identity_token || credentials->username)
        json_add_text(w, "serveraddress", server);
}

/* Base64 of JSON. Yours. */
static char *credentials_header(const char *server, const struct user_credentials *credentials)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    write_members(&w, server, credentials);
    json_end_dict(&w);
    return base64_encode_url(text.data, text.length);
}

int credentials_headers(const char *server, struct map *out, struct error *err)
{
    CLEANUP(user_credentials_done) struct user_credentials credentials = {};

    if (credentials_load(server, &credentials, err) < 0)
        return -1;
    CLEANUP(free) char *header = credentials_header(server, &credentials);
    map_init_empty(out, free);
    map_set_text(out, "X-Registry-Auth", header);
    return 0;
}

/* ---- all of them ---- */

static void add_server(struct strv *servers, const char *name)
{
    CLEANUP(free) char *server = credentials_server(name);

    if (!strv_contains(servers, server))
        strv_add(servers, server);
}

/* What the store that keeps all has; it answers {"server":"user"}. */
static int list_store(struct strv *servers, struct error *err)
{
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(json_free) struct json *value = NULL;
    const char *name = settings_text("credsStore");
    int code;

    if (text_is_empty(name) || strchr(name, '/'))
        return 0;
    CLEANUP(free) char *helper = xasprintf("docker-credential-%s", name);
    if (run_helper(helper, "list", NULL, &answer, &code, err) < 0)
        return -1;
    if (code)
        return helper_failed(helper, &answer, err);
    if (json_parse(str_text(&answer), answer.length, &value, err) < 0)
        return error_context(err, "%s", helper);
    JSON_EACH (value, key)
        add_server(servers, key);
    return 0;
}

/* Writes what is kept, by server, with 'write' for each; gives how many there are. */
static int write_all(struct json_writer *w,
                     void (*write)(struct json_writer *w, const char *server,
                                   const struct user_credentials *credentials),
                     struct error *err)
{
    CLEANUP(strv_done) struct strv servers = {};

    JSON_EACH (json_get(settings_document(), "auths"), key)
        add_server(&servers, key);
    JSON_EACH (json_get(settings_document(), "credHelpers"), key)
        add_server(&servers, key);
    if (list_store(&servers, err) < 0)
        return -1;
    json_begin_dict(w, NULL);
    for (size_t i = 0; i < servers.count; i++) {
        CLEANUP(user_credentials_done) struct user_credentials credentials = {};

        if (credentials_load(servers.items[i], &credentials, err) < 0)
            return -1;
        write(w, servers.items[i], &credentials);
    }
    json_end_dict(w);
    return (int)servers.count;
}

static void write_for_engine(struct json_writer *w, const char *server,
                             const struct user_credentials *credentials)
{
    json_begin_dict(w, server);
    write_members(w, server, credentials);
    json_end_dict(w);
}

char *credentials_all_header(struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    return write_all(&w, write_for_engine, err) > 0 ? base64_encode_url(text.data, text.length)
                                                    : NULL;
}

int credentials_all_document(struct str *out, struct error *err)
{
    CLEANUP(str_done) struct str auths = {};
    struct json_writer inner = { .out = &auths }, w = { .out = out };
    int count = write_all(&inner, write_entry, err);

    if (count <= 0)
        return count;
    json_begin_dict(&w, NULL);
    json_add_raw(&w, "auths", str_text(&auths));
    json_end_dict(&w);
    return 0;
}
