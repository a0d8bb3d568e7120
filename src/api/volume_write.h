/* How a volume looks in JSON. */
#ifndef BERTH_API_VOLUME_WRITE_H
#define BERTH_API_VOLUME_WRITE_H

#include "codec/json.h"
#include "engine/volume.h"

/* As volume_write; of a plugin's volume, with what that says of it. One that does not answer is
 * told in "Status". */
void volume_write_asked(struct json_writer *w, const struct volume *volume);
void volume_write(struct json_writer *w, const struct volume *volume);
/* The same with how many use it (engine_volume_uses) and how large it is (walks it). */
void volume_write_with_usage(struct json_writer *w, struct engine *engine, struct volume *volume,
                             const struct map *uses);

#endif
