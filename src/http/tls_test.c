/* TLS over loopback, with certificates made for the occasion: one authority, a server called
 * "localhost" and a client called "client". */
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "http/client.h"
#include "http/test_support.h"
#include "http/tls.h"

#include "base/banned.h"

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

static char directory[] = "/tmp/http-tls-XXXXXX";
static char *ca_path, *cert_path, *key_path, *client_cert_path, *client_key_path, *other_ca_path;

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static struct identity issue(const char *name, const struct identity *issuer)
{
    struct identity made = { X509_new(), EVP_EC_gen("P-256") };
    X509 *certificate = made.certificate;
    X509_NAME *subject = X509_get_subject_name(certificate);

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, made.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate,
                         issuer ? X509_get_subject_name(issuer->certificate) : subject);
    if (!issuer)
        add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    else
        add_extension(certificate, issuer->certificate, NID_subject_alt_name,
                      "DNS:localhost,IP:127.0.0.1");
    X509_sign(certificate, issuer ? issuer->key : made.key, EVP_sha256());
    return made;
}

static char *save(const char *name, const struct identity *identity, bool key)
{
    char *path = path_join(directory, name);
    FILE *file = fopen(path, "we");

    if (key)
        PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_X509(file, identity->certificate);
    fclose(file);
    return path;
}

static void identity_done(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

static void make_certificates(void)
{
    struct identity authority = issue("authority", NULL), other = issue("other", NULL);
    struct identity serving = issue("localhost", &authority), asking = issue("client", &authority);

    ca_path = save("ca.pem", &authority, false);
    other_ca_path = save("other.pem", &other, false);
    cert_path = save("cert.pem", &serving, false);
    key_path = save("key.pem", &serving, true);
    client_cert_path = save("client-cert.pem", &asking, false);
    client_key_path = save("client-key.pem", &asking, true);
    identity_done(&authority);
    identity_done(&other);
    identity_done(&serving);
    identity_done(&asking);
}

/* ---- the server ---- */

static void relay(struct http_exchange *exchange)
{
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(free) char *block = xmalloc(100 * 1000);
    struct error err = {};
    size_t total = 0;
    ssize_t count;

    http_hijack(exchange, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi",
                &connection, &err);
    cr_expect_not(http_connection_is_plain(connection));
    cr_expect_eq(http_connection_read(connection, block, 1, &err), 1);
    cr_expect_eq(http_connection_write(connection, "yo", 2, &err), 0);
    while ((count = http_connection_read(connection, block, 100 * 1000, &err)) > 0)
        total += (size_t)count;
    cr_expect_eq(count, 0, "%s", err.text);
    /* Only after the client's close_notify: writing must go on. */
    CLEANUP(free) char *text = xasprintf("%zu", total);
    cr_expect_eq(http_connection_write(connection, text, strlen(text), &err), 0, "%s", err.text);
    cr_expect_eq(http_connection_shutdown_write(connection, &err), 0);
}

static void *drain_connection(void *data)
{
    char block[10 * 1000];
    ssize_t count, total = 0;

    while ((count = http_connection_read(data, block, sizeof(block), NULL)) > 0)
        total += count;
    return (void *)(intptr_t)(count < 0 ? -1 : total);
}

enum { FLOOD_SIZE = 4 * 1000 * 1000 };

static int flood(struct http_connection *connection)
{
    CLEANUP(free) char *block = xcalloc(1, 50 * 1000);
    struct error err = {};

    for (size_t sent = 0; sent < FLOOD_SIZE; sent += 50 * 1000)
        if (http_connection_write(connection, block, 50 * 1000, &err) < 0)
            return -1;
    return http_connection_shutdown_write(connection, &err);
}

/* Reads in one thread what comes, while it writes as much in another. */
static void flood_both_ways(struct http_connection *connection)
{
    pthread_t reader;
    void *total;

    cr_assert_eq(thread_start("reader", drain_connection, connection, &reader, NULL), 0);
    cr_expect_eq(flood(connection), 0);
    pthread_join(reader, &total);
    cr_expect_eq((intptr_t)total, FLOOD_SIZE);
}

static void handle(struct http_exchange *exchange, void *data)
{
    const char *subject = http_peer_subject(exchange) ?: "(none)";
    struct pollfd cancel = { .events = POLLIN };
    struct error err = {};

    if (strcmp(http_path(exchange), "/relay") == 0) {
        relay(exchange);
    } else if (strcmp(http_path(exchange), "/flood") == 0) {
        CLEANUP(http_connection_close) struct http_connection *connection = NULL;

        http_hijack(exchange,
                    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
                    &connection, &err);
        flood_both_ways(connection);
    } else if (strcmp(http_path(exchange), "/wait") == 0) {
        http_reply_begin(exchange, 200, NULL, &err);
        cancel.fd = http_cancel_fd(exchange);
        poll(&cancel, 1, 20 * 1000);
        sem_post(data);
    } else {
        http_reply(exchange, 200, "text/plain", subject, strlen(subject), &err);
    }
}

static struct http_server *server;
static struct tls_context *server_tls;
static char *url;
static int port;
static sem_t cancelled;

static void serve(bool verify_peer)
{
    struct tls_options options = {
        .ca_path = ca_path, .cert_path = cert_path, .key_path = key_path, .verify_peer = verify_peer
    };
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    struct error err = {};
    int fd;

    cr_assert_eq(tls_server_new(&options, &server_tls, &err), 0, "%s", err.text);
    server = http_server_new(NULL, handle, &cancelled);
    cr_assert_eq(http_listen_tcp("127.0.0.1:0", &fd, &err), 0, "%s", err.text);
    getsockname(fd, (struct sockaddr *)&address, &size);
    port = ntohs(address.sin_port);
    cr_assert_eq(http_server_listen(server, fd, server_tls, &err), 0, "%s", err.text);
    url = xasprintf("tcp://127.0.0.1:%d", port);
}

static void set_up(void)
{
    sem_init(&cancelled, 0, 0);
    cr_assert(mkdtemp(directory) != NULL);
    make_certificates();
}

static void tear_down(void)
{
    http_server_stop(server, 5000);
    tls_context_free(server_tls);
    tree_remove(directory, NULL);
    free(url);
    char *paths[] = {
        ca_path, cert_path, key_path, client_cert_path, client_key_path, other_ca_path
    };
    for (size_t i = 0; i < COUNT(paths); i++)
        free(paths[i]);
}

TestSuite(http_tls, .init = set_up, .fini = tear_down, .timeout = 60);

/* The answer's text, or why there is none. */
static int ask(struct tls_options options, struct str *out, struct error *err)
{
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;
    CLEANUP(http_client_free) struct http_client *client = NULL;
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct http_request request = { .method = "GET", .target = "/a" };

    if (tls_client_new(&options, &tls, err) < 0 || http_client_new(url, tls, &client, err) < 0 ||
        http_client_send(client, &request, &response, err) < 0)
        return -1;
    return http_response_read_all(response, 1000, out, err);
}

Test(http_tls, checks_the_server)
{
    CLEANUP(str_done) struct str good = {}, bad = {}, unchecked = {};
    struct error err = {};

    serve(false);
    cr_expect_eq(ask((struct tls_options){ .ca_path = ca_path, .verify_peer = true }, &good, &err),
                 0, "%s", err.text);
    cr_expect_str_eq(str_text(&good), "(none)");
    cr_expect_eq(
        ask((struct tls_options){ .ca_path = other_ca_path, .verify_peer = true }, &bad, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNAUTHORIZED, "%s", err.text);
    cr_expect_eq(ask((struct tls_options){ .ca_path = other_ca_path }, &unchecked, &err), 0);
}

Test(http_tls, checks_the_servers_name)
{
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    struct tls_options options = { .ca_path = ca_path, .verify_peer = true };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct error err = {};

    serve(false);
    address.sin_port = htons((uint16_t)port);
    cr_assert_eq(tls_client_new(&options, &tls, &err), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_expect_eq(tls_connect(tls, fd, "elsewhere.example", &connection, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNAUTHORIZED, "%s", err.text);
}

Test(http_tls, checks_the_client)
{
    CLEANUP(str_done) struct str good = {}, bad = {};
    struct tls_options options = { .ca_path = ca_path,
                                   .cert_path = client_cert_path,
                                   .key_path = client_key_path,
                                   .verify_peer = true };
    struct error err = {};

    serve(true);
    cr_expect_eq(ask(options, &good, &err), 0, "%s", err.text);
    cr_expect_str_eq(str_text(&good), "CN=client");
    options.cert_path = options.key_path = NULL;
    cr_expect_eq(ask(options, &bad, &err), -1);
}

Test(http_tls, refuses_incomplete_settings)
{
    struct tls_options without_certificate = { .ca_path = ca_path };
    struct tls_options without_authority = { .cert_path = cert_path,
                                             .key_path = key_path,
                                             .verify_peer = true };
    struct tls_options wrong_key = { .cert_path = cert_path, .key_path = client_key_path };
    struct tls_context *context;
    struct error err = {};

    cr_expect_eq(tls_server_new(&without_certificate, &context, &err), -1);
    cr_expect_eq(tls_server_new(&without_authority, &context, &err), -1);
    cr_expect_eq(tls_server_new(&wrong_key, &context, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}

static struct http_connection *upgrade(const char *target, struct tls_context **tls)
{
    CLEANUP(http_client_free) struct http_client *client = NULL;
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct tls_options options = { .ca_path = ca_path, .verify_peer = true };
    struct http_request request = { .method = "POST", .target = target, .upgrade = true };
    struct error err = {};

    cr_assert_eq(tls_client_new(&options, tls, &err), 0);
    cr_assert_eq(http_client_new(url, *tls, &client, &err), 0);
    cr_assert_eq(http_client_send(client, &request, &response, &err), 0, "%s", err.text);
    struct http_connection *connection = http_response_take_connection(response);
    cr_assert_not_null(connection);
    return connection;
}

Test(http_tls, ends_each_direction_alone)
{
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;
    CLEANUP(free) char *data = xcalloc(1, 300 * 1000);
    CLEANUP(str_done) struct str text = {};
    struct error err = {};
    char block[64];
    ssize_t count;

    serve(false);
    CLEANUP(http_connection_close) struct http_connection *connection = upgrade("/relay", &tls);
    cr_assert_eq(http_connection_wait(connection, 5000, -1, &err), 1);
    for (const char *next = "hiy"; *next; next++) {
        cr_assert_eq(http_connection_read(connection, block, 1, &err), 1);
        cr_expect_eq(block[0], *next);
        if (*next == 'i')
            cr_assert_eq(http_connection_write(connection, "?", 1, &err), 0);
    }
    /* The second byte of that record has left the socket. */
    cr_expect_eq(http_connection_wait(connection, 5000, -1, &err), 1);
    cr_expect_eq(http_connection_write(connection, data, 300 * 1000, &err), 0, "%s", err.text);
    cr_expect_eq(http_connection_shutdown_write(connection, &err), 0, "%s", err.text);
    while ((count = http_connection_read(connection, block, sizeof(block), &err)) > 0)
        str_add_bytes(&text, block, (size_t)count);
    cr_expect_eq(count, 0, "%s", err.text);
    cr_expect_str_eq(str_text(&text), "o300000");
}

Test(http_tls, reads_and_writes_at_once)
{
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;

    serve(false);
    CLEANUP(http_connection_close) struct http_connection *connection = upgrade("/flood", &tls);
    flood_both_ways(connection);
}

Test(http_tls, cancels_when_the_client_has_gone)
{
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;
    CLEANUP(http_client_free) struct http_client *client = NULL;
    struct tls_options options = { .ca_path = ca_path, .verify_peer = true };
    struct http_request request = { .method = "GET", .target = "/wait" };
    struct http_response *response = NULL;
    struct error err = {};

    serve(false);
    cr_assert_eq(tls_client_new(&options, &tls, &err), 0);
    cr_assert_eq(http_client_new(url, tls, &client, &err), 0);
    cr_assert_eq(http_client_send(client, &request, &response, &err), 0, "%s", err.text);
    http_response_free(response);
    cr_expect_eq(sem_timedwait(&cancelled, &(struct timespec){ time(NULL) + 10, 0 }), 0);
}

Test(http_tls, tells_those_who_speak_plainly)
{
    CLEANUP(http_client_free) struct http_client *client = NULL;
    CLEANUP(http_response_free) struct http_response *response = NULL;
    CLEANUP(str_done) struct str text = {};
    struct http_request request = { .method = "GET", .target = "/a" };
    struct error err = {};

    serve(false);
    cr_assert_eq(http_client_new(url, NULL, &client, &err), 0);
    cr_assert_eq(http_client_send(client, &request, &response, &err), 0, "%s", err.text);
    cr_expect_eq(http_response_status(response), 400);
    http_response_read_all(response, 1000, &text, &err);
    cr_expect_str_eq(str_text(&text), "Client sent an HTTP request to an HTTPS server.\n");
}
