/* Networks with their users. */
#ifndef BERTH_ENGINE_NETWORK_H
#define BERTH_ENGINE_NETWORK_H

#include "base/error.h"
#include "engine/engine.h"
#include "network/network.h"
#include "spec/container.h"

int engine_network_get(struct engine *engine, const char *text, struct network **out,
                       struct error *err);
int engine_network_list(struct engine *engine, struct network ***out, size_t *out_count,
                        struct error *err);
int engine_network_create(struct engine *engine, const struct network_create *wish,
                          struct network **out, struct error *err);
/* FORBIDDEN for predefined ones and while endpoints exist. */
int engine_network_remove(struct engine *engine, const char *text, struct error *err);
/* Endpoints now attached: free with endpoint_list_free. */
int engine_network_endpoints(struct engine *engine, const char *network_id, struct endpoint **out,
                             size_t *out_count, struct error *err);

/* Joins and leaves networks, whether the container runs or not. Texts and kinds: spec/api.md
 * section
 * 6. 'settings' may be NULL. */
int engine_network_connect(struct engine *engine, const char *network_text,
                           const char *container_text, const struct endpoint_settings *settings,
                           struct error *err);
int engine_network_disconnect(struct engine *engine, const char *network_text,
                              const char *container_text, bool force, struct error *err);

#endif
