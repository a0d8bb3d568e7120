/* A cache in front of another registry: what is asked for and not here is fetched, kept, and handed
 * out. */
#ifndef BERTH_DISTRIBUTION_PROXY_H
#define BERTH_DISTRIBUTION_PROXY_H

#include "distribution/serve.h"

int proxy_new(const struct proxy_options *options, struct proxy **out, struct error *err);
void proxy_free(struct proxy *proxy);
CLEANUP_POINTER(proxy_free, struct proxy)

/* Makes sure that the manifest of the call is here and up to date. Without the other registry, what
 * is here is good enough. */
int proxy_manifest(struct call *call);
/* The same for a blob, whose bytes go to the client while they come. 1: it was answered; 0: it is
 * here now; -1. */
int proxy_blob(struct call *call);
/* Hands the question on, and the answer back. */
int proxy_relay(struct call *call, const char *content_type);

#endif
