/* Each call finds the plugin anew: it may have moved, and nothing is kept of it. */
#include "volume/plugin.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "http/client.h"
#include "volume/plugin_answer.h"

#include "base/banned.h"

enum { SILENCE_LIMIT_MS = 30 * 1000, SPEC_LIMIT = 64 * 1024, ANSWER_LIMIT = 4 * 1024 * 1024 };

struct address {
    char *url;
    char *ca_path, *cert_path, *key_path; /* of https and tcp with TLS; NULL: none */
    bool has_tls, skips_verify;
};

static void address_done(struct address *address)
{
    free(address->url);
    free(address->ca_path);
    free(address->cert_path);
    free(address->key_path);
}
CLEANUP_VALUE(address_done, struct address)

/* ---- finding ---- */

static const char *const endings[] = { "sock", "spec", "json" };

static bool is_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!(*at >= 'a' && *at <= 'z') && !(*at >= 'A' && *at <= 'Z') &&
            !(*at >= '0' && *at <= '9') && (at == name || !strchr("_.-", *at)))
            return false;
    return *name && strlen(name) <= 200;
}

/* The file that says where it is; its ending is *out_ending. NULL if there is none. */
static char *find_file(const struct strv *directories, const char *name, const char **out_ending)
{
    if (!is_name(name))
        return NULL;
    for (size_t i = 0; i < directories->count; i++)
        for (size_t j = 0; j < COUNT(endings); j++)
            for (int inner = 0; inner < 2; inner++) {
                char *path = xasprintf("%s/%s%s%s.%s", directories->items[i], inner ? name : "",
                                       inner ? "/" : "", name, endings[j]);

                *out_ending = endings[j];
                if (file_exists(path))
                    return path;
                free(path);
            }
    return NULL;
}

bool plugin_exists(const struct strv *directories, const char *name)
{
    const char *ending;
    CLEANUP(free) char *path = find_file(directories, name, &ending);

    return path != NULL;
}

static void add_name(const struct strv *directories, const char *file, struct strv *out)
{
    const char *dot = strrchr(file, '.');
    CLEANUP(free) char *name = xstrdup(file);

    for (size_t i = 0; dot && i < COUNT(endings); i++)
        if (strcmp(dot + 1, endings[i]) == 0)
            name[dot - file] = 0;
    if (plugin_exists(directories, name) && !strv_contains(out, name))
        strv_add(out, name);
}

void plugin_list(const struct strv *directories, struct strv *out)
{
    for (size_t i = 0; i < directories->count; i++) {
        DIR *dir = opendir(directories->items[i]);
        struct dirent *entry;

        while (dir && (entry = readdir(dir)))
            add_name(directories, entry->d_name, out);
        if (dir)
            closedir(dir);
    }
    strv_sort(out);
}

/* ---- its address ---- */

static char *copy_text(const struct json *value)
{
    const char *text = json_text(value);

    return text_is_empty(text) ? NULL : xstrdup(text);
}

static int read_json(const struct str *text, struct address *out, struct error *err)
{
    CLEANUP(json_free) struct json *root = NULL;

    if (json_parse(str_text(text), text->length, &root, err) < 0)
        return -1;
    const struct json *tls = json_get(root, "TLSConfig");
    out->url = copy_text(json_get(root, "Addr"));
    out->has_tls = json_type(tls) == JSON_DICT;
    out->skips_verify = json_is_true(json_get(tls, "InsecureSkipVerify"));
    out->ca_path = copy_text(json_get(tls, "CAFile"));
    out->cert_path = copy_text(json_get(tls, "CertFile"));
    out->key_path = copy_text(json_get(tls, "KeyFile"));
    return out->url ? 0 : error_set(err, ERROR_INVALID, "it names no address (Addr)");
}

static int read_address(const char *path, const char *ending, struct address *out,
                        struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (strcmp(ending, "sock") == 0) {
        out->url = xasprintf("unix://%s", path);
        return 0;
    }
    if (file_read(path, SPEC_LIMIT, &text, err) < 0)
        return -1;
    if (strcmp(ending, "json") == 0)
        return read_json(&text, out, err);
    const char *start = str_text(&text) + strspn(str_text(&text), " \t\r\n");
    out->url = xstrndup(start, strcspn(start, " \t\r\n"));
    return 0;
}

static int open_client(const struct address *address, struct tls_context **out_tls,
                       struct http_client **out, struct error *err)
{
    const struct tls_options options = { .ca_path = address->ca_path,
                                         .cert_path = address->cert_path,
                                         .key_path = address->key_path,
                                         .verify_peer = !address->skips_verify };

    if (text_starts(address->url, "ssh:"))
        return error_set(err, ERROR_INVALID, "%s is no address of a plugin", address->url);
    if (address->has_tls && tls_client_new(&options, out_tls, err) < 0)
        return -1;
    if (http_client_new(address->url, *out_tls, out, err) < 0)
        return -1;
    http_client_limit_silence(*out, SILENCE_LIMIT_MS);
    return 0;
}

/* ---- asking ---- */

static int ask(const struct address *address, const char *method, const char *body,
               struct json **out, struct error *err)
{
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;
    CLEANUP(http_client_free) struct http_client *client = NULL;
    CLEANUP(http_response_free) struct http_response *response = NULL;
    CLEANUP(str_done) struct str text = {};
    CLEANUP(map_done) struct map headers = {};
    CLEANUP(free) char *target = xasprintf("/%s", method);

    if (open_client(address, &tls, &client, err) < 0)
        return -1;
    map_set_text(&headers, "Accept", "application/vnd.docker.plugins.v1.2+json");
    const struct http_request request = { .method = "POST",
                                          .target = target,
                                          .headers = &headers,
                                          .body = body,
                                          .body_size = strlen(body),
                                          .content_type = "application/json" };
    if (http_client_send(client, &request, &response, err) < 0 ||
        http_response_read_all(response, ANSWER_LIMIT, &text, err) < 0)
        return error_context(err, "%s", method);
    return plugin_answer_read(method, http_response_status(response), &text, out, err);
}

int plugin_call(const struct strv *directories, const char *name, const char *method,
                const char *body, struct json **out, struct error *err)
{
    CLEANUP(address_done) struct address address = {};
    const char *ending;
    CLEANUP(free) char *path = find_file(directories, name, &ending);

    if (!path)
        return error_set(err, ERROR_NOT_FOUND, "plugin \"%.100s\" not found", name);
    if (read_address(path, ending, &address, err) < 0)
        return error_context(err, "plugin file %s", path);
    return ask(&address, method, body, out, err);
}

int plugin_activate(const struct strv *directories, const char *name, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL;

    if (plugin_call(directories, name, "Plugin.Activate", "{}", &answer, err) < 0)
        return -1;
    if (plugin_answer_has_volumes(answer))
        return 0;
    return error_set(err, ERROR_INVALID, "plugin \"%s\" is no driver of volumes", name);
}
