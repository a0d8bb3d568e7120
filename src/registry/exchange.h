/* One hop of a call on its way through libcurl. */
#ifndef BERTH_REGISTRY_EXCHANGE_H
#define BERTH_REGISTRY_EXCHANGE_H

#include <curl/curl.h>

#include "registry/endpoint.h"
#include "registry/transport.h"

struct exchange {
    const struct call *call;
    struct answer *answer;
    CURL *curl;
    struct stream *body; /* that is sent, if it is one */
    int64_t sent;
    bool is_too_long, is_cancelled;
    struct error failure; /* of the sink */
    char reason[CURL_ERROR_SIZE];
};

/* Why it failed, as Docker's users know it: "Get \"URL\": dial tcp: lookup x: no such host". 'url'
 * is 'text', split. */
int exchange_fail(const struct exchange *exchange, CURLcode code, const char *text,
                  const struct url *url, struct error *err);

#endif
