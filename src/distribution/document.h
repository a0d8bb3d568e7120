/* A manifest or index as its bytes say it: what it is, and what it names. Pure: nothing is looked
 * up. */
#ifndef BERTH_DISTRIBUTION_DOCUMENT_H
#define BERTH_DISTRIBUTION_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
    DOCUMENT_SIZE_LIMIT = 4 * 1024 * 1024,
    DOCUMENT_TARGET_LIMIT = 4096, /* blobs or manifests that one may name */
};

struct document_target {
    char *digest;
    int64_t size;
    bool is_manifest;
    bool is_foreign; /* lives elsewhere: need not be here */
};

struct document {
    char *media_type;
    char *artifact_type; /* of what it is, for the list of referrers; NULL: unknown */
    char *subject;       /* digest, NULL: none */
    char *annotations;   /* JSON text of an object, NULL: none */
    struct document_target *targets;
    size_t target_count;
};

/* True for the four types that are stored. */
bool document_type_is_known(const char *media_type);
bool document_type_is_index(const char *media_type);

/* Reads OCI and Docker manifests and indexes. 'content_type' may be NULL, or have parameters.
 * UNSUPPORTED for a type that is not stored, INVALID for a document that contradicts itself or its
 * type. */
int document_parse(const char *content_type, const void *bytes, size_t size, struct document *out,
                   struct error *err);
void document_done(struct document *document);
CLEANUP_VALUE(document_done, struct document)

#endif
