/* What is attested of an image: where it comes from, what is in it. Kept beside the image, never in
 * it, so that the image has the same digest with and without; it goes along when the image is
 * pushed or saved, and it goes with the image. Safe to use from any thread. */
#ifndef BERTH_STORE_ATTESTATION_H
#define BERTH_STORE_ATTESTATION_H

#include "base/str.h"
#include "store/store.h"

/* One predicate of the in-toto framework (https://github.com/in-toto/attestation). */
struct attestation {
    char *predicate_type; /* "https://slsa.dev/provenance/v0.2" */
    char *predicate;      /* JSON */
};
struct attestations {
    struct attestation *items;
    size_t count;
};
/* 'predicate' is emptied. */
void attestations_add(struct attestations *attestations, const char *predicate_type,
                      struct str *predicate);
void attestations_done(struct attestations *attestations);
CLEANUP_VALUE(attestations_done, struct attestations)

/* Replaces what was attested of the image; 'attestations' may have none. */
int store_image_attest(struct store *store, const char *image_id,
                       const struct attestations *attestations, struct error *err);
/* 'out' is zeroed. */
int store_image_attestations(struct store *store, const char *image_id, struct attestations *out,
                             struct error *err);

#endif
