/* Descriptors, written: how OCI documents name content (what it is, which bytes, how many).
 * https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md */
#ifndef BERTH_SPEC_DESCRIPTOR_H
#define BERTH_SPEC_DESCRIPTOR_H

#include "codec/json.h"

/* A whole one; 'key' is NULL in a list. */
void descriptor_add(struct json_writer *w, const char *key, const char *media_type,
                    const char *digest, int64_t size);
/* One to which more is added (annotations, a platform) before json_end_dict. */
void descriptor_begin(struct json_writer *w, const char *key, const char *media_type,
                      const char *digest, int64_t size);
/* What the content runs on; a variant of NULL or "" is left out. */
void descriptor_add_platform(struct json_writer *w, const char *architecture, const char *os,
                             const char *variant);

#endif
