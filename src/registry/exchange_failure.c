/* What went wrong in libcurl, in the words of Docker's users. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "registry/exchange.h"

#include "base/banned.h"

static void describe_tls(const char *reason, const struct url *url, char *out, size_t size)
{
    if (strstr(reason, "wrong version number") || strstr(reason, "packet length too long"))
        snprintf(out, size, "http: server gave HTTP response to HTTPS client");
    else if (strstr(reason, "subject name"))
        snprintf(out, size,
                 "tls: failed to verify certificate: x509: certificate is not valid for %s",
                 url->host);
    else if (strstr(reason, "expired"))
        snprintf(out, size,
                 "tls: failed to verify certificate: x509: certificate has expired or is not yet "
                 "valid");
    else if (strstr(reason, "issuer certificate") || strstr(reason, "self-signed") ||
             strstr(reason, "self signed"))
        snprintf(
            out, size,
            "tls: failed to verify certificate: x509: certificate signed by unknown authority");
    else
        snprintf(out, size, "tls: %.200s", reason);
}

static void describe_connect(const struct exchange *exchange, const struct url *url, char *out,
                             size_t size)
{
    /* libcurl names whom it could not connect to. */
    bool is_proxy = *exchange->reason && !strcasestr(exchange->reason, url->host);
    long number = 0;

    curl_easy_getinfo(exchange->curl, CURLINFO_OS_ERRNO, &number);
    struct error reason = {};
    errno = number ? (int)number : ECONNREFUSED;
    error_sys(&reason, "connect");
    if (is_proxy)
        snprintf(out, size, "proxyconnect tcp: dial tcp: %.200s", reason.text);
    else
        snprintf(out, size, "dial tcp %s:%d: %.200s", url->host, url->port, reason.text);
}

/* What the proxy said to CONNECT, if that ended it; 0: it was nothing of the kind. */
static int refused_tunnel(const struct exchange *exchange)
{
    long status = 0;

    curl_easy_getinfo(exchange->curl, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300 ? (int)status : 0;
}

static bool is_cut_tunnel(const struct exchange *exchange)
{
    return text_starts(exchange->reason, "Proxy CONNECT aborted");
}

static void describe(CURLcode code, const struct exchange *exchange, const struct url *url,
                     char *out, size_t size)
{
    if (refused_tunnel(exchange)) {
        snprintf(out, size, "proxyconnect tcp: the proxy answers with status %d",
                 refused_tunnel(exchange));
        return;
    }
    if (is_cut_tunnel(exchange)) {
        snprintf(out, size, "proxyconnect tcp: EOF");
        return;
    }
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        snprintf(out, size, "dial tcp: lookup %s: no such host", url->host);
        break;
    case CURLE_COULDNT_RESOLVE_PROXY:
        snprintf(out, size, "proxyconnect tcp: dial tcp: no such host");
        break;
    case CURLE_COULDNT_CONNECT:
        describe_connect(exchange, url, out, size);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        describe_tls(exchange->reason, url, out, size);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(out, size, "i/o timeout");
        break;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        snprintf(out, size, "unexpected EOF");
        break;
    default:
        snprintf(out, size, "%.200s",
                 *exchange->reason ? exchange->reason : curl_easy_strerror(code));
    }
}

int exchange_fail(const struct exchange *exchange, CURLcode code, const char *text,
                  const struct url *url, struct error *err)
{
    const char *method = exchange->call->method;
    char reason[300], rest[16] = "";

    if (exchange->is_cancelled)
        return error_set(err, ERROR_CANCELLED, "context canceled");
    if (exchange->failure.kind != ERROR_NONE) {
        if (err)
            *err = exchange->failure;
        return -1;
    }
    describe(code, exchange, url, reason, sizeof(reason));
    bool is_final = refused_tunnel(exchange) || is_cut_tunnel(exchange) ||
                    code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
                    code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR ||
                    code == CURLE_PEER_FAILED_VERIFICATION;
    for (size_t i = 0; method[i] && method[i + 1] && i + 1 < sizeof(rest); i++)
        rest[i] = (char)tolower((unsigned char)method[i + 1]);
    error_set(err, ERROR_UNAVAILABLE, "%c%s \"%.500s\": %s", method[0], rest, text, reason);
    if (err && is_final)
        err->sys = ECONNREFUSED;
    return -1;
}
