/* One SSL object behind a lock, over a BIO that neither blocks nor raises SIGPIPE. OpenSSL objects
 * may not be used by two threads at once; as no call here blocks, one lock serves a reader and a
 * writer. */
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/thread.h"
#include "http/tls_context.h"

#include "base/banned.h"

struct tls_session {
    struct mutex lock;
    SSL *ssl GUARDED_BY(lock);
    int fd;
    bool socket_ended; /* the socket gave 0 bytes */
    char *subject;     /* of the peer's certificate */
};

static struct tls_session *session_of(BIO *bio)
{
    return BIO_get_data(bio);
}

static int socket_result(BIO *bio, ssize_t count, int retry_flag)
{
    BIO_clear_retry_flags(bio);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    return (int)count;
}

static int socket_write(BIO *bio, const char *data, int size)
{
    ssize_t count = send(session_of(bio)->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

    return socket_result(bio, count, BIO_FLAGS_WRITE);
}

static int socket_read(BIO *bio, char *data, int size)
{
    ssize_t count = recv(session_of(bio)->fd, data, (size_t)size, MSG_DONTWAIT);

    if (count == 0)
        session_of(bio)->socket_ended = true;
    return socket_result(bio, count, BIO_FLAGS_READ);
}

static long socket_control(BIO *bio, int command, long number UNUSED, void *pointer UNUSED)
{
    if (command == BIO_CTRL_FLUSH)
        return 1;
    return command == BIO_CTRL_EOF ? session_of(bio)->socket_ended : 0;
}

static BIO_METHOD *socket_method;

static void make_socket_method(void)
{
    socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    BIO_meth_set_write(socket_method, socket_write);
    BIO_meth_set_read(socket_method, socket_read);
    BIO_meth_set_ctrl(socket_method, socket_control);
}

int tls_error(struct error *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    char reason[160] = "connection lost";

    if (code)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    /* "error:0A000126:SSL routines::text": people want the text */
    const char *text = strrchr(reason, ':');
    return error_set(err, ERROR_UNAVAILABLE, "%s: %s", what, text ? text + 1 : reason);
}

struct tls_session *tls_session_new(SSL_CTX *context, int fd, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLEANUP(tls_session_free) struct tls_session *session = NEW(struct tls_session);

    pthread_once(&once, make_socket_method);
    mutex_init(&session->lock);
    session->fd = fd;
    SSL *ssl = SSL_new(context);
    BIO *bio = socket_method ? BIO_new(socket_method) : NULL;
    if (!ssl || !bio) {
        SSL_free(ssl);
        BIO_free(bio);
        tls_error(err, "start TLS");
        return NULL;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    mutex_lock(&session->lock);
    session->ssl = ssl;
    mutex_unlock(&session->lock);
    return TAKE(session);
}

SSL *tls_session_ssl(struct tls_session *session)
{
    mutex_lock(&session->lock);
    SSL *ssl = session->ssl;
    mutex_unlock(&session->lock);
    return ssl;
}

/* What a failed call means: WOULD_BLOCK, 0 for the end, -1. */
static int judge(struct tls_session *session, int result, short *out_events, const char *what,
                 struct error *err) REQUIRES(session->lock)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *out_events = POLLIN;
        return WOULD_BLOCK;
    case SSL_ERROR_WANT_WRITE:
        *out_events = POLLOUT;
        return WOULD_BLOCK;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return tls_error(err, what);
    }
}

static char *peer_subject(SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    BIO *memory = certificate ? BIO_new(BIO_s_mem()) : NULL;
    char *text = NULL;
    char *bytes;

    if (!memory)
        return NULL;
    X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    long size = BIO_get_mem_data(memory, &bytes);
    if (size > 0)
        text = xstrndup(bytes, (size_t)size);
    BIO_free(memory);
    return text;
}

static int handshake(struct tls_session *session, short *out_events, struct error *err)
    REQUIRES(session->lock)
{
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        session->subject = peer_subject(session->ssl);
        return 0;
    }
    long verdict = SSL_get_verify_result(session->ssl);
    int outcome = judge(session, result, out_events, "TLS handshake", err);
    if (outcome == -1 && verdict != X509_V_OK)
        return error_set(err, ERROR_UNAUTHORIZED, "TLS certificate: %s",
                         X509_verify_cert_error_string(verdict));
    return outcome == 0 ? error_set(err, ERROR_UNAVAILABLE, "TLS handshake: ended by peer")
                        : outcome;
}

int tls_session_handshake(struct tls_session *session, short *out_events, struct error *err)
{
    mutex_lock(&session->lock);
    int outcome = handshake(session, out_events, err);
    mutex_unlock(&session->lock);
    return outcome;
}

ssize_t tls_session_read(struct tls_session *session, void *data, size_t size, short *out_events,
                         struct error *err)
{
    size_t count = 0;

    mutex_lock(&session->lock);
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, data, size, &count);
    ssize_t outcome = result == 1 ? (ssize_t)count
                                  : judge(session, result, out_events, "TLS read", err);
    mutex_unlock(&session->lock);
    return outcome;
}

ssize_t tls_session_write(struct tls_session *session, const void *data, size_t size,
                          short *out_events, struct error *err)
{
    size_t count = 0;

    if (size == 0)
        return 0;
    mutex_lock(&session->lock);
    ERR_clear_error();
    int result = SSL_write_ex(session->ssl, data, size, &count);
    ssize_t outcome = result == 1 ? (ssize_t)count
                                  : judge(session, result, out_events, "TLS write", err);
    mutex_unlock(&session->lock);
    if (outcome == 0) /* the end of the other direction does not answer a write */
        return error_set(err, ERROR_UNAVAILABLE, "TLS write: connection ended");
    return outcome;
}

int tls_session_shutdown(struct tls_session *session, short *out_events, struct error *err)
{
    int outcome = 0;

    mutex_lock(&session->lock);
    if (SSL_is_init_finished(session->ssl) &&
        !(SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN)) {
        ERR_clear_error();
        int result = SSL_shutdown(session->ssl);
        /* 0: ours is sent, the peer's has not come: all that is wanted. */
        outcome = result >= 0 ? 0 : judge(session, result, out_events, "TLS shutdown", err);
    }
    mutex_unlock(&session->lock);
    return outcome;
}

const char *tls_session_subject(const struct tls_session *session)
{
    return session->subject;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    mutex_lock(&session->lock);
    SSL_free(session->ssl);
    mutex_unlock(&session->lock);
    mutex_done(&session->lock);
    free(session->subject);
    free(session);
}
