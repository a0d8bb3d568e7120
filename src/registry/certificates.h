/* Certificates that are set up for single registries: <directory>/<host[:port]>/ with *.crt (to be
 * trusted besides the system's) and pairs *.cert, *.key (who we are). */
#ifndef BERTH_REGISTRY_CERTIFICATES_H
#define BERTH_REGISTRY_CERTIFICATES_H

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"

struct certificates {
    struct str authorities; /* PEM; empty: only the system's */
    char *certificate_path, *key_path;
};
/* Looks in each directory; what is broken or unreadable is INVALID. */
int certificates_find(const struct strv *directories, const char *host_port,
                      struct certificates *out, struct error *err);
void certificates_done(struct certificates *certificates);
CLEANUP_VALUE(certificates_done, struct certificates)

#endif
