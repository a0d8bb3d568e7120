/* An image with what is attested of it, as registries and archives have it: an index with the
 * image's own manifest, and a manifest of no platform whose layers are in-toto statements about it.
 * https://github.com/moby/buildkit/blob/v0.25.0/docs/attestations/attestation-storage.md */
#ifndef BERTH_REGISTRY_ATTEST_H
#define BERTH_REGISTRY_ATTEST_H

#include "base/str.h"
#include "base/strv.h"
#include "codec/json.h"
#include "store/attestation.h"

#define MEDIA_TYPE_IN_TOTO "application/vnd.in-toto+json"

/* What the statements are about. */
struct attest_subject {
    const struct image *image;
    const char *media_type, *digest; /* of its manifest */
    int64_t size;
    const struct strv *names; /* references that it goes by; may be empty */
};

struct attest_document {
    const char *media_type;
    struct str text;
    char digest[DIGEST_TEXT_SIZE];
};
/* In the order in which they may be stored: each names only what is before it. */
struct attest_documents {
    struct attest_document *blobs; /* the statements, then the configuration */
    size_t blob_count;
    struct attest_document manifest, index;
};
void attest_documents_done(struct attest_documents *documents);
CLEANUP_VALUE(attest_documents_done, struct attest_documents)

void attest_documents_make(const struct attest_subject *subject,
                           const struct attestations *attestations, struct attest_documents *out);

/* An index around images for several platforms: begin, the descriptors of each, end. */
void attest_index_begin(struct json_writer *w);
void attest_index_end(struct json_writer *w);
/* The image in the list of an index, and what is attested of it ('manifest_digest' NULL: nothing).
 */
void attest_add_descriptors(struct json_writer *w, const struct attest_subject *subject,
                            const char *manifest_digest, int64_t manifest_size);

/* One statement: the predicate and its subject. 'digest' is that of the image. */
void attest_statement(const struct attest_subject *subject, const struct attestation *attestation,
                      struct str *out);
/* The file that a statement becomes beside the files of an image: "provenance.json". */
const char *attest_file_name(const struct attestation *attestation);

#endif
