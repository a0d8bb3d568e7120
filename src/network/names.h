/* The tables of names that containers' resolvers look into (spec/names.h): a file per user-defined
 * network, written from the record whenever somebody comes, goes or is renamed. */
#ifndef BERTH_NETWORK_NAMES_H
#define BERTH_NETWORK_NAMES_H

#include "base/error.h"
#include "base/strv.h"
#include "network/network.h"

/* Writes the table of a network as the record has it now. */
int names_write(struct networks *networks, const char *network_id, struct error *err);
/* All tables; those of networks that are gone are removed. */
int names_write_all(struct networks *networks, struct error *err);
void names_remove(struct networks *networks, const char *network_id);
/* A line for each table that is not as the record has it. */
int names_verify(struct networks *networks, struct strv *out, struct error *err);

#endif
