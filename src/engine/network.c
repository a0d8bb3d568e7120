/* Networks, with the events about them. */
#include "engine/network.h"

#include <string.h>

#include "engine/internal.h"

#include "base/banned.h"

static void network_event(struct engine *engine, const struct network *network, const char *action)
{
    CLEANUP(map_done) struct map attributes = {};

    map_set_text(&attributes, "name", network->name);
    map_set_text(&attributes, "type", network->driver);
    engine_event(engine, "network", action, network->id, &attributes);
}

int engine_network_get(struct engine *engine, const char *text, struct network **out,
                       struct error *err)
{
    return network_find(engine->networks, text, out, err);
}

int engine_network_list(struct engine *engine, struct network ***out, size_t *out_count,
                        struct error *err)
{
    return network_list(engine->networks, out, out_count, err);
}

int engine_network_create(struct engine *engine, const struct network_create *wish,
                          struct network **out, struct error *err)
{
    if (network_create(engine->networks, wish, out, err) < 0)
        return -1;
    network_event(engine, *out, "create");
    return 0;
}

int engine_network_remove(struct engine *engine, const char *text, struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;

    if (network_find(engine->networks, text, &network, err) < 0)
        return -1;
    if (network_remove(engine->networks, network->id, err) < 0)
        return -1;
    network_event(engine, network, "destroy");
    return 0;
}

int engine_network_endpoints(struct engine *engine, const char *network_id, struct endpoint **out,
                             size_t *out_count, struct error *err)
{
    return endpoint_list(engine->networks, network_id, NULL, out, out_count, err);
}
