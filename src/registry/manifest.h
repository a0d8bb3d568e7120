/* Manifests and indexes of images, read with suspicion: their digest says only that they are what
 * somebody made, and two readers that see different things in one document are what an attacker
 * wants. Whatever can be read in two ways is INVALID. */
#ifndef BERTH_REGISTRY_MANIFEST_H
#define BERTH_REGISTRY_MANIFEST_H

#include "base/error.h"
#include "spec/image.h"
#include "spec/platform.h"

#define MANIFEST_SIZE_LIMIT ((size_t)4 << 20)
#define CONFIG_SIZE_LIMIT   ((int64_t)8 << 20)

/* What to accept of a registry, best first. */
#define MANIFEST_ACCEPT                                                                            \
    MEDIA_TYPE_OCI_INDEX ", " MEDIA_TYPE_DOCKER_LIST ", " MEDIA_TYPE_OCI_MANIFEST                  \
                         ", " MEDIA_TYPE_DOCKER_MANIFEST

struct descriptor {
    char *media_type;
    char digest[72];
    int64_t size;
    struct platform platform; /* of the entries of an index */
    char *reference_name;     /* annotations that archives have: an image's name or its tag */
    bool is_attestation;
    struct strv urls; /* where else a layer is that registries need not have; https only */
};

struct manifest {
    char *media_type;
    bool is_index;
    struct descriptor config;    /* of an image */
    struct descriptor *children; /* layers, base first; or the entries of an index */
    size_t child_count;
};
void manifest_done(struct manifest *manifest);
CLEANUP_VALUE(manifest_done, struct manifest)

/* 'content_type' is what the sender called it (NULL: nothing said). INVALID for broken or ambiguous
 * documents, UNSUPPORTED for what is no image: artifacts, plugins, the signed schema 1. */
int manifest_parse(const void *bytes, size_t size, const char *content_type, struct manifest *out,
                   struct error *err);

/* The entry of an index that runs best on 'wanted', NULL if none does. */
const struct descriptor *manifest_choose(const struct manifest *index,
                                         const struct platform *wanted);

bool media_type_is_manifest(const char *media_type); /* of one image */
bool media_type_is_index(const char *media_type);
bool media_type_is_layer(const char *media_type);

#endif
