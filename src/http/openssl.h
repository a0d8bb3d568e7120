/* OpenSSL, which libssl and libcurl bring along. Internal to this folder. */
#ifndef BERTH_HTTP_OPENSSL_H
#define BERTH_HTTP_OPENSSL_H

/* Keeps OpenSSL from cleaning up when the process ends (struct library's 'prepare'). Without effect
 * if the library uses another one for TLS. */
void openssl_keep(void *handle);

#endif
