/* Volumes as a whole: copied inside the engine, written out as an archive, made of one. */
#ifndef BERTH_ENGINE_VOLUME_COPY_H
#define BERTH_ENGINE_VOLUME_COPY_H

#include <stdbool.h>

#include "base/stream.h"
#include "engine/volume.h"

struct volume_copy_wish {
    const char *name;         /* of the copy; NULL for a snapshot: "<volume>-<UTC time>" */
    const struct map *labels; /* NULL: a clone has those of the volume, a snapshot too */
    bool is_snapshot;         /* no container ever writes to the copy */
    bool pauses;              /* containers that use the volume are held meanwhile */
};
/* A volume of its own with the same content; where the file system can share blocks between files,
 * nothing is copied before one of the two is changed. CONFLICT if the name has an owner. */
int engine_volume_copy(struct engine *engine, const char *name, const struct volume_copy_wish *wish,
                       struct volume **out, struct error *err);

/* On its way out; opened first, so that what is wrong is told before the archive begins. */
struct volume_export;
int engine_volume_export_open(struct engine *engine, const char *name, struct volume_export **out,
                              struct error *err);
/* Writes a plain tar: owners, modes, times, extended attributes and hard links are in it. */
int volume_export_write(struct volume_export *export, struct stream *out, struct error *err);
void volume_export_close(struct volume_export *export);
CLEANUP_POINTER(volume_export_close, struct volume_export)

/* A new volume out of a tar, plain or compressed ('archive' is borrowed). CONFLICT if there is such
 * a volume; what is wrong with the archive is INVALID, and no volume is left. */
int engine_volume_import(struct engine *engine, const char *name, const struct map *labels,
                         struct stream *archive, struct volume **out, struct error *err);

#endif
