/* The tables of names that containers' resolvers look into (spec/names.h): a file per user-defined
 * network, written whenever somebody comes, goes or is renamed. They are kept in memory, too:
 * reading a thousand endpoints back from the record would cost more than all the rest of adding
 * one. */
#ifndef BERTH_NETWORK_NAMES_H
#define BERTH_NETWORK_NAMES_H

#include "base/error.h"
#include "base/strv.h"
#include "network/network.h"

struct endpoint_row;

/* Adds an endpoint that was recorded to the table of its network; one that is in it is fine. */
int names_add(struct networks *networks, const struct endpoint_row *row, struct error *err);
/* Takes one that is no longer recorded out of it; one that is not in it is fine. */
int names_drop(struct networks *networks, const struct endpoint_row *row, struct error *err);
/* Writes the table of a network as the record has it now. */
int names_write(struct networks *networks, const char *network_id, struct error *err);
/* All tables; those of networks that are gone are removed. */
int names_write_all(struct networks *networks, struct error *err);
void names_remove(struct networks *networks, const char *network_id);
void names_free(void *table); /* as it is kept in memory */
/* A line for each table that is not as the record has it. */
int names_verify(struct networks *networks, struct strv *out, struct error *err);

#endif
