/* A file of users and bcrypt hashes, as htpasswd -B writes it. */
#ifndef BERTH_DISTRIBUTION_HTPASSWD_H
#define BERTH_DISTRIBUTION_HTPASSWD_H

#include "base/error.h"

struct htpasswd;

/* INVALID for a line that is none, or a hash of another kind. */
int htpasswd_open(const char *path, struct htpasswd **out, struct error *err);
void htpasswd_free(struct htpasswd *file);
CLEANUP_POINTER(htpasswd_free, struct htpasswd)

/* UNAUTHORIZED if user or password are wrong, UNAVAILABLE if too many are being checked. What was
 * right is remembered for a while, as a keyed digest. Any thread. */
int htpasswd_check(struct htpasswd *file, const char *user, const char *password,
                   struct error *err);

#endif
