/* Members stand in the order in which other tools write them. */
#include "spec/descriptor.h"

#include "base/text.h"

#include "base/banned.h"

void descriptor_begin(struct json_writer *w, const char *key, const char *media_type,
                      const char *digest, int64_t size)
{
    json_begin_dict(w, key);
    json_add_text(w, "mediaType", media_type);
    json_add_text(w, "digest", digest);
    json_add_int64(w, "size", size);
}

void descriptor_add(struct json_writer *w, const char *key, const char *media_type,
                    const char *digest, int64_t size)
{
    descriptor_begin(w, key, media_type, digest, size);
    json_end_dict(w);
}

void descriptor_add_platform(struct json_writer *w, const char *architecture, const char *os,
                             const char *variant)
{
    json_begin_dict(w, "platform");
    json_add_text(w, "architecture", architecture);
    json_add_text(w, "os", os);
    if (!text_is_empty(variant))
        json_add_text(w, "variant", variant);
    json_end_dict(w);
}
