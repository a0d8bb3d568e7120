/* A handle of libcurl holds the connections that it opened; handles that are idle wait here. */
#include "registry/transport.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "registry/certificates.h"
#include "registry/endpoint.h"
#include "registry/exchange.h"

#include "base/banned.h"

#define CONNECT_TIMEOUT_S   30L
#define STALL_DOWN_S        60L  /* longest silence of a server that sends */
#define STALL_UP_S          300L /* and of one that has to digest what we sent */
#define ANSWER_LIMIT        ((size_t)64 * 1024)
#define HEADER_COUNT_LIMIT  ((size_t)100)
#define HEADER_LENGTH_LIMIT ((size_t)32 * 1024)
enum { IDLE_HANDLE_LIMIT = 8, REDIRECT_LIMIT = 10 };

struct transport {
    struct registry_options options;
    struct strv insecure, mirrors, certificates;
    char *http_proxy, *https_proxy, *no_proxy;
    struct mutex lock;
    CURL *idle[IDLE_HANDLE_LIMIT];
    size_t idle_count;
};

/* ---- the transport ---- */

static void keep_list(struct strv *copy, const struct strv **list)
{
    static const struct strv none;

    strv_copy(copy, *list ?: &none);
    *list = copy;
}

struct transport *transport_new(const struct registry_options *options)
{
    struct transport *transport = NEW(struct transport);

    transport->options = *options;
    keep_list(&transport->insecure, &transport->options.insecure_registries);
    keep_list(&transport->mirrors, &transport->options.mirrors);
    keep_list(&transport->certificates, &transport->options.certificate_paths);
    /* Empty, not NULL: libcurl would look into the environment. */
    transport->http_proxy = xstrdup(options->http_proxy ?: "");
    transport->https_proxy = xstrdup(options->https_proxy ?: "");
    transport->no_proxy = xstrdup(options->no_proxy ?: "");
    mutex_init(&transport->lock);
    return transport;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    for (size_t i = 0; i < transport->idle_count; i++)
        curl_easy_cleanup(transport->idle[i]);
    strv_done(&transport->insecure);
    strv_done(&transport->mirrors);
    strv_done(&transport->certificates);
    free(transport->http_proxy);
    free(transport->https_proxy);
    free(transport->no_proxy);
    mutex_done(&transport->lock);
    free(transport);
}

const struct registry_options *transport_options(const struct transport *transport)
{
    return &transport->options;
}

static CURL *take_handle(struct transport *transport)
{
    CURL *curl = NULL;

    mutex_lock(&transport->lock);
    if (transport->idle_count)
        curl = transport->idle[--transport->idle_count];
    mutex_unlock(&transport->lock);
    if (!curl)
        curl = curl_easy_init();
    if (!curl)
        abort();
    curl_easy_reset(curl);
    return curl;
}

static void give_handle_back(struct transport *transport, CURL *curl)
{
    mutex_lock(&transport->lock);
    bool is_kept = transport->idle_count < IDLE_HANDLE_LIMIT;
    if (is_kept)
        transport->idle[transport->idle_count++] = curl;
    mutex_unlock(&transport->lock);
    if (!is_kept)
        curl_easy_cleanup(curl);
}

/* ---- answers ---- */

const char *answer_header(const struct answer *answer, const char *name)
{
    return map_get(&answer->headers, name);
}

void answer_done(struct answer *answer)
{
    free(answer->url);
    map_done(&answer->headers);
    str_done(&answer->body);
    *answer = (struct answer){};
}

static void add_header(struct answer *answer, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);

    if (!colon || answer->headers.count >= HEADER_COUNT_LIMIT)
        return;
    CLEANUP(free) char *name = xstrndup(line, (size_t)(colon - line));
    const char *value = colon + 1, *end = line + length;
    while (value < end && isspace((unsigned char)*value))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    text_lower(name);
    const char *before = map_get(&answer->headers, name);
    if (before && strlen(before) > HEADER_LENGTH_LIMIT)
        return;
    map_set(&answer->headers, name,
            xasprintf("%s%s%.*s", before ?: "", before ? ", " : "",
                      (int)MIN((size_t)(end - value), HEADER_LENGTH_LIMIT), value));
}

/* A status line begins a head: those of "100 Continue" and of proxies are forgotten. */
static size_t on_header(char *line, size_t one, size_t length, void *data)
{
    struct exchange *exchange = data;

    (void)one;
    if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
        map_done(&exchange->answer->headers);
        map_init_empty(&exchange->answer->headers, free);
    } else {
        add_header(exchange->answer, line, length);
    }
    return length;
}

static int status_of(CURL *curl)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *data)
{
    struct exchange *exchange = data;
    const struct call *call = exchange->call;
    struct str *body = &exchange->answer->body;
    int status = status_of(exchange->curl);

    (void)one;
    if (call->sink && (status == 200 || status == 206))
        return call->sink(call->data, status, bytes, size, &exchange->failure) < 0
                   ? CURL_WRITEFUNC_ERROR
                   : size;
    if (body->length + size > (call->answer_limit ?: ANSWER_LIMIT)) {
        exchange->is_too_long = true;
        return CURL_WRITEFUNC_ERROR;
    }
    str_add_bytes(body, bytes, size);
    return size;
}

/* -1 with the exchange's failure. */
static ssize_t read_body(struct exchange *exchange, char *out, size_t size)
{
    const struct call *call = exchange->call;

    if (exchange->body)
        return stream_read(exchange->body, out, size, &exchange->failure);
    size = MIN(size, (size_t)(call->body_length - exchange->sent));
    if (size == 0)
        return 0;
    ssize_t got = pread(call->body_fd, out, size, call->body_offset + exchange->sent);
    return got > 0 ? got : error_sys(&exchange->failure, "read what is to be sent");
}

static size_t on_send(char *out, size_t one, size_t count, void *data)
{
    struct exchange *exchange = data;
    const struct call *call = exchange->call;
    ssize_t got = read_body(exchange, out, one * count);

    if (got < 0)
        return CURL_READFUNC_ABORT;
    exchange->sent += got;
    if (got > 0 && call->sent)
        call->sent(call->data, exchange->sent);
    return (size_t)got;
}

static int on_rewind(void *data, curl_off_t offset, int origin)
{
    struct exchange *exchange = data;

    if (origin != SEEK_SET || exchange->body)
        return CURL_SEEKFUNC_CANTSEEK;
    exchange->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *data, curl_off_t down_total UNUSED, curl_off_t down UNUSED,
                       curl_off_t up_total UNUSED, curl_off_t up UNUSED)
{
    struct exchange *exchange = data;
    const struct call *call = exchange->call;

    exchange->is_cancelled = call->is_cancelled && call->is_cancelled(call->data);
    return exchange->is_cancelled;
}

/* ---- setting up ---- */

static void set_proxy(const struct transport *transport, CURL *curl, const struct url *url)
{
    const char *proxy = url->is_tls ? transport->https_proxy : transport->http_proxy;

    curl_easy_setopt(curl, CURLOPT_PROXY, host_is_loopback(url->host_port) ? "" : proxy);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, transport->no_proxy);
}

static int set_tls(const struct transport *transport, CURL *curl, const struct url *url,
                   struct error *err)
{
    CLEANUP(certificates_done) struct certificates found = {};

    if (!url->is_tls)
        return 0;
    if (certificates_find(&transport->certificates, url->host_port, &found, err) < 0)
        return -1;
    if (found.authorities.length) {
        struct curl_blob blob = { found.authorities.data, found.authorities.length,
                                  CURL_BLOB_COPY };

        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (found.certificate_path) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, found.certificate_path);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, found.key_path);
    }
    if (host_is_insecure(url->host_port, &transport->insecure)) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return 0;
}

static void set_method(const struct call *call, struct exchange *exchange, CURL *curl)
{
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (call->body_length > 0 || call->open_body) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                         call->open_body ? (curl_off_t)-1 : (curl_off_t)call->body_length);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, exchange);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    } else if (strcmp(call->method, "GET") != 0 && strcmp(call->method, "DELETE") != 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body ?: "");
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    } else {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    }
}

static struct curl_slist *make_headers(const struct call *call, bool with_authorization)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    for (size_t i = 0; call->headers && i < call->headers->count; i++)
        list = curl_slist_append(list, call->headers->items[i]);
    if (call->body || call->body_length > 0 || call->content_type) {
        CLEANUP(free)
        char *type = xasprintf("Content-Type: %s",
                               call->content_type ?: "application/octet-stream");

        list = curl_slist_append(list, type);
    } else {
        list = curl_slist_append(list, "Content-Type:");
    }
    if (with_authorization && call->authorization) {
        CLEANUP(free) char *line = xasprintf("Authorization: %s", call->authorization);

        list = curl_slist_append(list, line);
    }
    return list;
}

static void set_common(const struct call *call, struct exchange *exchange, const char *url)
{
    CURL *curl = exchange->curl;
    bool sends = call->body_length > 0 || call->body_size > 0 || call->open_body;

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, sends ? STALL_UP_S : STALL_DOWN_S);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->reason);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

/* ---- one hop, and many ---- */

static int hop(struct transport *transport, const struct call *call, const char *text,
               bool is_first_origin, struct answer *out, struct error *err)
{
    CLEANUP(url_done) struct url url = {};
    struct exchange exchange = { .call = call, .answer = out };

    if (url_split(text, &url, err) < 0)
        return -1;
    if (!url.is_tls && !host_is_insecure(url.host_port, &transport->insecure))
        return error_set(err, ERROR_INVALID,
                         "refused: %.300s is plain HTTP, and %s is not an insecure registry", text,
                         url.host_port);
    exchange.curl = take_handle(transport);
    set_common(call, &exchange, text);
    set_method(call, &exchange, exchange.curl);
    set_proxy(transport, exchange.curl, &url);
    struct curl_slist *headers = make_headers(call, is_first_origin);
    curl_easy_setopt(exchange.curl, CURLOPT_HTTPHEADER, headers);
    int result = set_tls(transport, exchange.curl, &url, err);
    if (result == 0 && call->open_body)
        result = call->open_body(call->data, &exchange.body, err);
    CURLcode code = result < 0 ? CURLE_OK : curl_easy_perform(exchange.curl);
    stream_close(exchange.body);
    out->status = status_of(exchange.curl);
    /* The text of an error is long enough when it is cut. */
    if (exchange.is_too_long && out->status >= 300)
        code = CURLE_OK;
    else if (exchange.is_too_long)
        result = error_set(err, ERROR_INVALID, "the answer of %.300s is larger than %zu bytes",
                           text, call->answer_limit ?: ANSWER_LIMIT);
    if (result == 0 && code != CURLE_OK)
        result = exchange_fail(&exchange, code, text, &url, err);
    curl_slist_free_all(headers);
    give_handle_back(transport, exchange.curl);
    return result;
}

static bool is_redirect(const struct call *call, const struct answer *answer)
{
    switch (answer->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
    default:
        return false;
    }
}

static int check_redirect(const struct url *from, const struct url *to,
                          const struct transport *transport, struct error *err)
{
    if (from->is_tls && !to->is_tls && !host_is_insecure(to->host_port, &transport->insecure))
        return error_set(err, ERROR_INVALID, "refused: %s redirects to plain HTTP at %s",
                         from->host_port, to->host_port);
    return 0;
}

int transport_call(struct transport *transport, const struct call *call, struct answer *out,
                   struct error *err)
{
    CLEANUP(url_done) struct url first = {};
    CLEANUP(free) char *at = xstrdup(call->url);
    bool is_first_origin = true;

    if (url_split(at, &first, err) < 0)
        return -1;
    for (int i = 0; i <= REDIRECT_LIMIT; i++) {
        CLEANUP(url_done) struct url from = {}, to = {};
        char *next;

        answer_done(out);
        map_init_empty(&out->headers, free);
        if (hop(transport, call, at, is_first_origin, out, err) < 0)
            return -1;
        const char *location = answer_header(out, "location");
        if (!is_redirect(call, out) || !location) {
            out->url = TAKE(at);
            return 0;
        }
        if (url_split(at, &from, err) < 0 || url_resolve(at, location, &next, err) < 0)
            return -1;
        free(at);
        at = next;
        if (url_split(at, &to, err) < 0 || check_redirect(&from, &to, transport, err) < 0)
            return error_context(err, "redirect");
        is_first_origin = is_first_origin && url_same_origin(&first, &to);
    }
    return error_set(err, ERROR_INVALID, "stopped after %d redirects", REDIRECT_LIMIT);
}
