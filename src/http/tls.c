/* Contexts and handshakes. No session tickets and no renegotiation: connections live long, and a
 * ticket that arrives late at a client that has closed already resets the connection. */
#include "http/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "http/tls_context.h"

#include "base/banned.h"

enum {
    CONNECT_TIMEOUT_MS = 30 * 1000,
    PLAIN_WAIT_MS = 500, /* for those who speak no TLS to read why they get none */
    PLAIN_READ_COUNT = 64,
};

struct tls_context {
    SSL_CTX *ssl;
    bool verify_peer;
};

static int load_authorities(SSL_CTX *ssl, const char *path, bool is_server, struct error *err)
{
    if (!path)
        return is_server || SSL_CTX_set_default_verify_paths(ssl) == 1
                   ? 0
                   : tls_error(err, "load the system's certificates");
    if (SSL_CTX_load_verify_file(ssl, path) != 1) {
        tls_error(err, path);
        return error_context(err, "load certificates");
    }
    if (is_server)
        SSL_CTX_set_client_CA_list(ssl, SSL_load_client_CA_file(path));
    return 0;
}

static int load_own_certificate(SSL_CTX *ssl, const struct tls_options *options, struct error *err)
{
    if (!options->cert_path)
        return 0;
    if (!options->key_path)
        return error_set(err, ERROR_INVALID, "TLS certificate without a key");
    if (SSL_CTX_use_certificate_chain_file(ssl, options->cert_path) != 1) {
        tls_error(err, options->cert_path);
        return error_context(err, "load certificate");
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, options->key_path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ssl) != 1) {
        tls_error(err, options->key_path);
        return error_context(err, "load key");
    }
    return 0;
}

static int context_set_up(struct tls_context *context, const struct tls_options *options,
                          bool is_server, struct error *err)
{
    int verify = SSL_VERIFY_NONE;

    if (!context->ssl)
        return tls_error(err, "start TLS");
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(context->ssl,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context->ssl, 0);
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    if (options->verify_peer)
        verify = SSL_VERIFY_PEER | (is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(context->ssl, verify, NULL);
    context->verify_peer = options->verify_peer;
    if (load_authorities(context->ssl, options->ca_path, is_server, err) < 0)
        return -1;
    return load_own_certificate(context->ssl, options, err);
}

static int context_new(const SSL_METHOD *method, const struct tls_options *options, bool is_server,
                       struct tls_context **out, struct error *err)
{
    CLEANUP(tls_context_free) struct tls_context *context = NEW(struct tls_context);

    ERR_clear_error();
    context->ssl = SSL_CTX_new(method);
    if (context_set_up(context, options, is_server, err) < 0) {
        if (err)
            err->kind = ERROR_INVALID;
        return -1;
    }
    *out = TAKE(context);
    return 0;
}

int tls_server_new(const struct tls_options *options, struct tls_context **out, struct error *err)
{
    if (!options->cert_path)
        return error_set(err, ERROR_INVALID, "a TLS server needs a certificate");
    if (options->verify_peer && !options->ca_path)
        return error_set(err, ERROR_INVALID, "verifying TLS clients needs a CA certificate");
    return context_new(TLS_server_method(), options, true, out, err);
}

int tls_client_new(const struct tls_options *options, struct tls_context **out, struct error *err)
{
    return context_new(TLS_client_method(), options, false, out, err);
}

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

static int shake_hands(struct http_connection *connection, int timeout_ms, struct error *err)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

    for (;;) {
        short events;
        int outcome = tls_session_handshake(connection->tls, &events, err);

        if (outcome != WOULD_BLOCK)
            return outcome;
        uint64_t now = clock_monotonic_ns();
        int left_ms = now < deadline ? (int)((deadline - now) / NS_PER_MS) + 1 : 0;
        int ready = http_connection_poll(connection, events, left_ms, connection->cancel_fd, err);
        if (ready == 0)
            return error_set(err, ERROR_UNAVAILABLE, "TLS handshake: timed out");
        if (ready < 0)
            return -1;
    }
}

/* Somebody who speaks HTTP to a TLS port gets an answer that says so, and time to read it: closing
 * with unread bytes would take it back. */
static void answer_plain_http(struct http_connection *connection)
{
    static const char answer[] = "HTTP/1.0 400 Bad Request\r\n\r\n"
                                 "Client sent an HTTP request to an HTTPS server.\n";
    char block[1024];

    send(connection->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(connection->fd, SHUT_WR);
    for (int i = 0; i < PLAIN_READ_COUNT; i++)
        if (http_connection_poll(connection, POLLIN, PLAIN_WAIT_MS, -1, NULL) != 1 ||
            recv(connection->fd, block, sizeof(block), MSG_DONTWAIT) <= 0)
            return;
}

int tls_serve(struct tls_context *context, struct http_connection *connection, int timeout_ms,
              struct error *err)
{
    struct error ignored = {};

    err = err ?: &ignored;
    connection->tls = tls_session_new(context->ssl, connection->fd, err);
    if (!connection->tls)
        return -1;
    SSL_set_accept_state(tls_session_ssl(connection->tls));
    if (shake_hands(connection, timeout_ms, err) == 0)
        return 0;
    if (strcmp(err->text, "TLS handshake: http request") == 0)
        answer_plain_http(connection);
    return -1;
}

int tls_accept(struct tls_context *context, int fd, int timeout_ms, struct http_connection **out,
               struct error *err)
{
    CLEANUP(http_connection_close) struct http_connection *connection = http_connection_new(fd);

    if (tls_serve(context, connection, timeout_ms, err) < 0)
        return -1;
    *out = TAKE(connection);
    return 0;
}

/* The name that the certificate must carry; names that are no addresses are also sent ahead. */
static int expect_host(struct tls_context *context, SSL *ssl, const char *host, struct error *err)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address = inet_pton(AF_INET, host, address) == 1 ||
                      inet_pton(AF_INET6, host, address) == 1;

    if (!is_address && SSL_set_tlsext_host_name(ssl, host) != 1)
        return tls_error(err, "TLS server name");
    if (!context->verify_peer)
        return 0;
    int result = is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
                            : SSL_set1_host(ssl, host);
    return result == 1 ? 0 : tls_error(err, "TLS server name");
}

int tls_connect(struct tls_context *context, int fd, const char *host, struct http_connection **out,
                struct error *err)
{
    CLEANUP(http_connection_close) struct http_connection *connection = http_connection_new(fd);

    connection->tls = tls_session_new(context->ssl, fd, err);
    if (!connection->tls)
        return -1;
    SSL *ssl = tls_session_ssl(connection->tls);
    SSL_set_connect_state(ssl);
    if (expect_host(context, ssl, host, err) < 0 ||
        shake_hands(connection, CONNECT_TIMEOUT_MS, err) < 0)
        return -1;
    *out = TAKE(connection);
    return 0;
}
