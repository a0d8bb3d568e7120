/* How a network looks in JSON. */
#ifndef BERTH_API_NETWORK_WRITE_H
#define BERTH_API_NETWORK_WRITE_H

#include <stdbool.h>

#include "codec/json.h"
#include "engine/network.h"

/* bridge, host and none are always there. */
bool network_is_predefined(const struct network *network);

/* 'engine' NULL: without the containers, as in a list. */
void network_write(struct json_writer *w, struct engine *engine, const struct network *network);

#endif
