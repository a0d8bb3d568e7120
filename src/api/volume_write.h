/* How a volume looks in JSON. */
#ifndef BERTH_API_VOLUME_WRITE_H
#define BERTH_API_VOLUME_WRITE_H

#include "codec/json.h"
#include "engine/volume.h"

void volume_write(struct json_writer *w, const struct volume *volume);
/* The same with how many use it and how large it is (walks it). */
void volume_write_with_usage(struct json_writer *w, struct engine *engine, struct volume *volume);

#endif
