/* Reaching a server by its URL. Inside of http_client. */
#ifndef BERTH_HTTP_DIAL_H
#define BERTH_HTTP_DIAL_H

#include "base/error.h"
#include "http/connection.h"
#include "http/tls.h"

enum address_kind { ADDRESS_UNIX, ADDRESS_TCP, ADDRESS_SSH };

struct address {
    enum address_kind kind;
    bool is_tls;
    char *user;           /* ssh, may be NULL */
    char *host;           /* tcp and ssh, without brackets */
    char *port;           /* tcp, and ssh if given */
    char *path;           /* unix; ssh if given */
    int silence_limit_ms; /* of its connections; 0: none */
};

/* Reads a URL as http_client_new takes them. 'has_tls': tcp:// is spoken over TLS. INVALID. */
int server_address_parse(const char *url, bool has_tls, struct address *out, struct error *err);
void address_done(struct address *address);
CLEANUP_VALUE(address_done, struct address)

/* Connects. UNAVAILABLE if nobody is there, FORBIDDEN if the socket may not be used. */
int dial(const struct address *address, struct tls_context *tls, struct http_connection **out,
         struct error *err);

#endif
