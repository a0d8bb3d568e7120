/* The Docker Engine API over an engine: what a request means, and how the answer looks. Knows
 * nothing of sockets: the handler is given to an http_server. */
#ifndef BERTH_API_API_H
#define BERTH_API_API_H

#include "engine/engine.h"
#include "http/server.h"

#define API_VERSION_TEXT         "1.51"
#define API_MINIMUM_VERSION_TEXT "1.24"

struct api;

/* Borrows the engine, which must outlive it. */
struct api *api_new(struct engine *engine);
void api_free(struct api *api);
CLEANUP_POINTER(api_free, struct api)

/* The http_handler; 'api' is its data. */
void api_handle(struct http_exchange *exchange, void *api);
/* The same for a server of its own that answers GET /metrics and nothing else. */
void api_handle_metrics(struct http_exchange *exchange, void *api);

#endif
