/* Plain decisions on names: nothing here asks the network. */
#include "registry/endpoint.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define HUB_DOMAIN "docker.io"
#define HUB_HOST   "registry-1.docker.io"
enum { HTTP_PORT = 80, HTTPS_PORT = 443, URL_LENGTH_LIMIT = 16384 };

/* ---- URLs ---- */

void url_done(struct url *url)
{
    free(url->host);
    free(url->host_port);
    *url = (struct url){};
}

static char *url_part(CURLU *handle, CURLUPart what, unsigned flags)
{
    char *part = NULL;

    if (curl_url_get(handle, what, &part, flags) != CURLUE_OK)
        return NULL;
    char *copy = xstrdup(part);
    curl_free(part);
    return copy;
}

static int split(CURLU *handle, const char *text, struct url *out, struct error *err)
{
    if (strlen(text) > URL_LENGTH_LIMIT ||
        curl_url_set(handle, CURLUPART_URL, text, 0) != CURLUE_OK)
        return error_set(err, ERROR_INVALID, "invalid URL: %.300s", text);
    CLEANUP(free) char *scheme = url_part(handle, CURLUPART_SCHEME, 0);
    CLEANUP(free) char *host = url_part(handle, CURLUPART_HOST, 0);
    CLEANUP(free) char *port = url_part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    CLEANUP(free) char *user = url_part(handle, CURLUPART_USER, 0);
    int64_t number;

    out->is_tls = text_equal(scheme, "https");
    if (!scheme || (!out->is_tls && strcmp(scheme, "http") != 0) || text_is_empty(host) || user ||
        !port || parse_int64(port, 1, 65535, &number, NULL) < 0)
        return error_set(err, ERROR_INVALID, "invalid URL: %.300s", text);
    out->port = (int)number;
    size_t length = strlen(host);
    out->host = host[0] == '[' ? xstrndup(host + 1, length - 2) : xstrdup(host);
    for (char *c = out->host; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
    bool is_usual = out->port == (out->is_tls ? HTTPS_PORT : HTTP_PORT);
    out->host_port = is_usual ? xstrdup(host) : xasprintf("%s:%d", host, out->port);
    return 0;
}

int url_split(const char *text, struct url *out, struct error *err)
{
    CURLU *handle = curl_url();

    *out = (struct url){};
    int result = split(handle, text, out, err);
    curl_url_cleanup(handle);
    return result;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->is_tls == b->is_tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

int url_resolve(const char *base, const char *location, char **out, struct error *err)
{
    CURLU *handle = curl_url();
    char *resolved = NULL;

    if (strlen(location) <= URL_LENGTH_LIMIT &&
        curl_url_set(handle, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_set(handle, CURLUPART_URL, location, 0) == CURLUE_OK)
        resolved = url_part(handle, CURLUPART_URL, 0);
    curl_url_cleanup(handle);
    if (!resolved)
        return error_set(err, ERROR_INVALID, "invalid location: %.300s", location);
    *out = resolved;
    return 0;
}

/* ---- rules ---- */

/* Without port and brackets. */
static char *bare_host(const char *host_port)
{
    if (*host_port == '[')
        return xstrndup(host_port + 1, strcspn(host_port + 1, "]"));
    const char *colon = strrchr(host_port, ':');
    bool has_port = colon && strchr(host_port, ':') == colon;
    return has_port ? xstrndup(host_port, (size_t)(colon - host_port)) : xstrdup(host_port);
}

static bool in_network(const char *host, const char *network)
{
    const char *slash = strchr(network, '/');
    CLEANUP(free) char *address = slash ? xstrndup(network, (size_t)(slash - network)) : NULL;
    unsigned char a[16], b[16];
    int64_t bits;
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;

    if (!slash || inet_pton(family, host, a) != 1 || inet_pton(family, address, b) != 1 ||
        parse_int64(slash + 1, 0, family == AF_INET ? 32 : 128, &bits, NULL) < 0)
        return false;
    size_t bytes = (size_t)bits / 8;
    unsigned rest = (unsigned)bits % 8;
    return memcmp(a, b, bytes) == 0 && (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

bool host_is_loopback(const char *host_port)
{
    CLEANUP(free) char *host = bare_host(host_port);

    return strcasecmp(host, "localhost") == 0 || in_network(host, "127.0.0.0/8") ||
           in_network(host, "::1/128");
}

bool host_is_insecure(const char *host_port, const struct strv *insecure)
{
    CLEANUP(free) char *host = bare_host(host_port);

    if (host_is_loopback(host_port))
        return true;
    for (size_t i = 0; insecure && i < insecure->count; i++) {
        const char *rule = insecure->items[i];

        if (text_starts(rule, "http://") || text_starts(rule, "https://"))
            rule = strstr(rule, "://") + 3;
        if (strcasecmp(rule, host_port) == 0 || in_network(host, rule))
            return true;
    }
    return false;
}

/* ---- endpoints ---- */

void endpoints_done(struct endpoints *endpoints)
{
    for (size_t i = 0; i < endpoints->count; i++)
        free(endpoints->items[i].base);
    free(endpoints->items);
    *endpoints = (struct endpoints){};
}

static void add(struct endpoints *out, char *base, bool is_mirror, bool is_insecure)
{
    out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
    out->items[out->count++] = (struct endpoint){ base, is_mirror, is_insecure };
}

/* "URL" is for Docker Hub, "domain=URL" for that domain. */
static const char *mirror_url(const char *mirror, const char *domain)
{
    const char *equals = strchr(mirror, '=');
    size_t length = strlen(domain);

    if (text_starts(mirror, "http://") || text_starts(mirror, "https://"))
        return strcmp(domain, HUB_DOMAIN) == 0 ? mirror : NULL;
    if (!equals || (size_t)(equals - mirror) != length || strncmp(mirror, domain, length) != 0)
        return NULL;
    return equals + 1;
}

static int add_mirrors(const char *domain, const struct strv *insecure, const struct strv *mirrors,
                       struct endpoints *out, struct error *err)
{
    for (size_t i = 0; mirrors && i < mirrors->count; i++) {
        CLEANUP(url_done) struct url url = {};
        const char *text = mirror_url(mirrors->items[i], domain);

        if (!text)
            continue;
        if (url_split(text, &url, err) < 0)
            return error_context(err, "invalid mirror");
        char *base = xstrdup(text);
        for (size_t length = strlen(base); length > 0 && base[length - 1] == '/'; length--)
            base[length - 1] = 0;
        add(out, base, true, host_is_insecure(url.host_port, insecure));
    }
    return 0;
}

int endpoints_find(const char *domain, const struct strv *insecure, const struct strv *mirrors,
                   bool with_mirrors, struct endpoints *out, struct error *err)
{
    const char *host = strcmp(domain, HUB_DOMAIN) == 0 ? HUB_HOST : domain;
    bool is_insecure = host_is_insecure(host, insecure);

    if (with_mirrors && add_mirrors(domain, insecure, mirrors, out, err) < 0)
        return -1;
    add(out, xasprintf("https://%s", host), false, is_insecure);
    if (is_insecure)
        add(out, xasprintf("http://%s", host), false, true);
    return 0;
}
