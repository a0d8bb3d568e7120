/* OpenSSL, loaded when TLS is first used (base/library.h): most commands and engines speak over a
 * unix socket alone, and its relocations and tables cost each process milliseconds and megabytes.
 * Where it is missing, contexts cannot be made, and errors say so. libcrypto.so comes with
 * libssl.so, whose functions and its own are both found by one handle. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/library.h"
#include "http/openssl.h"

#include "base/banned.h"

static struct library library = LIBRARY_PREPARED("libssl.so.3", openssl_keep);

#define MISSING "libssl.so.3 is not installed"

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)
#define SESSION(type, symbol, otherwise) FORWARD(type, symbol, (SSL *s), (s), otherwise)
#define SETTING(symbol, type) FORWARD(int, symbol, (SSL_CTX *c, type), (c, value), 0)

FORWARD(const SSL_METHOD *, TLS_client_method, (void), (), NULL)
FORWARD(const SSL_METHOD *, TLS_server_method, (void), (), NULL)

FORWARD(SSL_CTX *, SSL_CTX_new,  (const SSL_METHOD *method), (method), NULL)
FORWARD(void,      SSL_CTX_free, (SSL_CTX *c),               (c),      (void)0)
FORWARD(long,      SSL_CTX_ctrl, (SSL_CTX *c, int command, long value, void *pointer), (c, command, value, pointer), 0)
SETTING(SSL_CTX_use_certificate_chain_file, const char *value)
SETTING(SSL_CTX_load_verify_file,           const char *value)
SETTING(SSL_CTX_set_num_tickets,            size_t value)
FORWARD(int,       SSL_CTX_use_PrivateKey_file,      (SSL_CTX *c, const char *file, int type), (c, file, type), 0)
FORWARD(int,       SSL_CTX_check_private_key,        (const SSL_CTX *c), (c), 0)
FORWARD(int,       SSL_CTX_set_default_verify_paths, (SSL_CTX *c),       (c), 0)
FORWARD(uint64_t,  SSL_CTX_set_options, (SSL_CTX *c, uint64_t options), (c, options), 0)
FORWARD(void,      SSL_CTX_set_verify,  (SSL_CTX *c, int mode, SSL_verify_cb check), (c, mode, check), (void)0)
FORWARD(void,      SSL_CTX_set_client_CA_list, (SSL_CTX *c, STACK_OF(X509_NAME) *names), (c, names), (void)0)
FORWARD(STACK_OF(X509_NAME) *, SSL_load_client_CA_file, (const char *file), (file), NULL)

FORWARD(SSL *, SSL_new, (SSL_CTX *c), (c), NULL)
SESSION(void,  SSL_free,              (void)0)
SESSION(void,  SSL_set_accept_state,  (void)0)
SESSION(void,  SSL_set_connect_state, (void)0)
SESSION(int,   SSL_do_handshake,      -1)
SESSION(int,   SSL_shutdown,          -1)
SESSION(X509_VERIFY_PARAM *, SSL_get0_param, NULL)
FORWARD(int,    SSL_is_init_finished,      (const SSL *s), (s), 0)
FORWARD(int,    SSL_get_shutdown,          (const SSL *s), (s), 0)
FORWARD(long,   SSL_get_verify_result,     (const SSL *s), (s), X509_V_ERR_UNSPECIFIED)
FORWARD(X509 *, SSL_get0_peer_certificate, (const SSL *s), (s), NULL)
FORWARD(int,    SSL_get_error, (const SSL *s, int result), (s, result), SSL_ERROR_SSL)
FORWARD(long,   SSL_ctrl,      (SSL *s, int command, long value, void *pointer), (s, command, value, pointer), 0)
FORWARD(int,    SSL_read_ex,   (SSL *s, void *data, size_t size, size_t *out), (s, data, size, out), 0)
FORWARD(int,    SSL_write_ex,  (SSL *s, const void *data, size_t size, size_t *out), (s, data, size, out), 0)
FORWARD(void,   SSL_set_bio,   (SSL *s, BIO *reads, BIO *writes), (s, reads, writes), (void)0)
FORWARD(int,    SSL_set1_host, (SSL *s, const char *name), (s, name), 0)

FORWARD(BIO *,        BIO_new,           (const BIO_METHOD *method), (method), NULL)
FORWARD(int,          BIO_free,          (BIO *b), (b), 0)
FORWARD(long,         BIO_ctrl,          (BIO *b, int command, long value, void *pointer), (b, command, value, pointer), 0)
FORWARD(void *,       BIO_get_data,      (BIO *b), (b), NULL)
FORWARD(void,         BIO_set_data,      (BIO *b, void *data), (b, data), (void)0)
FORWARD(void,         BIO_set_init,      (BIO *b, int is_ready), (b, is_ready), (void)0)
FORWARD(void,         BIO_set_flags,     (BIO *b, int flags), (b, flags), (void)0)
FORWARD(void,         BIO_clear_flags,   (BIO *b, int flags), (b, flags), (void)0)
FORWARD(const BIO_METHOD *, BIO_s_mem,   (void), (), NULL)
FORWARD(int,          BIO_get_new_index, (void), (), -1)
FORWARD(BIO_METHOD *, BIO_meth_new,      (int type, const char *name), (type, name), NULL)
FORWARD(int,          BIO_meth_set_read,  (BIO_METHOD *m, int (*reads)(BIO *, char *, int)), (m, reads), 0)
FORWARD(int,          BIO_meth_set_write, (BIO_METHOD *m, int (*writes)(BIO *, const char *, int)), (m, writes), 0)
FORWARD(int,          BIO_meth_set_ctrl,  (BIO_METHOD *m, long (*controls)(BIO *, int, long, void *)), (m, controls), 0)

FORWARD(X509_NAME *,  X509_get_subject_name,         (const X509 *x), (x), NULL)
FORWARD(int,          X509_NAME_print_ex,            (BIO *out, const X509_NAME *name, int indent, unsigned long flags), (out, name, indent, flags), -1)
FORWARD(int,          X509_VERIFY_PARAM_set1_ip_asc, (X509_VERIFY_PARAM *p, const char *address), (p, address), 0)
FORWARD(const char *, X509_verify_cert_error_string, (long number), (number), MISSING)

FORWARD(void,          ERR_clear_error,     (void), (), (void)0)
FORWARD(unsigned long, ERR_peek_last_error, (void), (), 1)
FORWARD(void,          ERR_error_string_n,  (unsigned long number, char *out, size_t size), (number, out, size), (void)snprintf(out, size, MISSING))
/* clang-format on */
