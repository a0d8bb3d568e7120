/* Volumes with their users: what the volume floor alone cannot know. */
#ifndef BERTH_ENGINE_VOLUME_H
#define BERTH_ENGINE_VOLUME_H

#include "base/error.h"
#include "engine/engine.h"
#include "volume/volume.h"

int engine_volume_create(struct engine *engine, const char *name, const char *driver,
                         const struct map *options, const struct map *labels, struct volume **out,
                         struct error *err);
int engine_volume_get(struct engine *engine, const char *name, struct volume **out,
                      struct error *err);
/* "local" and the names of plugins. */
void engine_volume_drivers(struct engine *engine, struct strv *out);
int engine_volume_list(struct engine *engine, struct volume ***out, size_t *out_count,
                       struct error *err);
/* Ids of the containers that use it. */
void engine_volume_users(struct engine *engine, const char *name, struct strv *out);
/* CONFLICT "remove v1: volume is in use - [<id>]". */
int engine_volume_remove(struct engine *engine, const char *name, bool force, struct error *err);

/* CONFLICT "rename v1: volume is in use - [<id>]", or if the new name has an owner. */
int engine_volume_rename(struct engine *engine, const char *name, const char *new_name,
                         struct error *err);

#endif
