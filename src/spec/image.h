/* OCI image documents (image-spec 1.1 and Docker schema 2): the configuration, and what manifests
 * and indexes are called. https://github.com/opencontainers/image-spec */
#ifndef BERTH_SPEC_IMAGE_H
#define BERTH_SPEC_IMAGE_H

#include "codec/json.h"
#include "spec/container.h"

struct image_history {
    int64_t created_ns; /* a date, clock.h */
    char *created_by, *author, *comment;
    bool empty_layer;
};

struct image_rootfs {
    char *type;           /* "layers" */
    struct strv diff_ids; /* base first */
};

/* The image configuration blob. Its digest is the image id. Encoding the same struct always gives
 * the same bytes. */
struct image_config {
    char *architecture, *variant, *os, *os_version, *author;
    int64_t created_ns; /* a date, clock.h */
    struct container_config config;
    struct image_rootfs rootfs;
    struct json_list history;       /* struct image_history */
    char *comment, *docker_version; /* read from Docker's own images, not written when NULL */
};
extern const struct json_field image_config_fields[];
/* Config as images have it (unset members left out). */
extern const struct json_field image_container_config_fields[];

#define MEDIA_TYPE_OCI_MANIFEST   "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_TYPE_OCI_INDEX      "application/vnd.oci.image.index.v1+json"
#define MEDIA_TYPE_OCI_CONFIG     "application/vnd.oci.image.config.v1+json"
#define MEDIA_TYPE_OCI_LAYER      "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_TYPE_OCI_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_TYPE_OCI_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"

#define MEDIA_TYPE_DOCKER_MANIFEST   "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_TYPE_DOCKER_LIST       "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_TYPE_DOCKER_CONFIG     "application/vnd.docker.container.image.v1+json"
#define MEDIA_TYPE_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

/* The chain id of the first 'count' diff ids: the name of the layer directory they make up. */
void image_chain_id(const struct strv *diff_ids, size_t count, char out_digest[72]);
/* Those of the first one, the first two, … up to all. */
void image_chain_ids(const struct strv *diff_ids, struct strv *out);

/* GOARCH of this machine ("amd64", "arm64"…). */
const char *image_native_architecture(void);

#endif
