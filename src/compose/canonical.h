/* The canonical form of a project: what `config` prints, and what configuration hashes are made of.
 */
#ifndef BERTH_COMPOSE_CANONICAL_H
#define BERTH_COMPOSE_CANONICAL_H

#include "base/str.h"
#include "codec/sha256.h"
#include "compose/project.h"

struct canonical_options {
    bool is_json;
    bool keeps_dollars; /* values may still hold variables: "$" is not doubled */
};
void canonical_write(const struct project *project, const struct canonical_options *options,
                     struct str *out);

#define CONFIG_HASH_SIZE 65
/* Docker's hash of a service: SHA-256 (hex) of its JSON without what does not make another
 * container of it (build, pull policy, scale, dependencies, profiles). "service:x" counts as the
 * container that it leads to: 'container_of' gives its id (yours; NULL if there is none); without
 * that function it stays as it is written. */
void canonical_service_hash(const struct yaml *service,
                            char *(*container_of)(void *data, const char *service), void *data,
                            char out[CONFIG_HASH_SIZE]);
/* The same of a network or volume. */
void canonical_resource_hash(const struct yaml *resource, bool is_network,
                             char out[CONFIG_HASH_SIZE]);

#endif
