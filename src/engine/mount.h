/* The mounts of a container, from all the ways of asking for them: Binds, Mounts, Volumes,
 * VolumesFrom, Tmpfs. */
#ifndef BERTH_ENGINE_MOUNT_H
#define BERTH_ENGINE_MOUNT_H

#include <stdbool.h>

#include "base/error.h"
#include "codec/json.h"
#include "engine/engine.h"
#include "spec/container.h"

struct container_mount {
    char *type;        /* bind volume tmpfs image */
    char *name;        /* of a volume, or of an image as it was asked for */
    char *source;      /* on the host; id of an image; NULL for tmpfs */
    char *destination; /* cleaned, absolute */
    char *driver, *mode, *propagation;
    bool rw;
    bool no_copy, is_anonymous, is_legacy_tmpfs; /* legacy: HostConfig.Tmpfs, not shown in Mounts */
    bool non_recursive, read_only_non_recursive, read_only_force_recursive;
    bool match_user;    /* binds: the host's owner of the source is the container's user */
    bool create_source; /* Binds: a missing source becomes a directory */
    char *options;      /* tmpfs: comma list */
    char *subpath;      /* of a volume or an image */
    char *chain_id;     /* of an image */

    /* Not recorded: what a volume is to be made with, borrowed from HostConfig.Mounts. */
    const struct volume_options *wish;
};
extern const struct json_field container_mount_fields[];

/* Reads "-v" syntax: [src:]dst[:options]. Texts of errors as Docker's. */
int mount_parse_bind(const char *text, struct container_mount *out, struct error *err);
/* Whether that is the mode of --volumes-from: "ro", "rw,z". */
bool mount_check_mode(const char *mode, bool *out_read_only);
/* Reads one element of HostConfig.Mounts. */
int mount_parse_request(const struct mount_request *request, struct container_mount *out,
                        struct error *err);
/* Checks options of a tmpfs ("size=64m,mode=1777,exec"). */
int mount_check_tmpfs(const char *options, struct error *err);

/* All mounts of a container to be, sorted by depth of their target. Volumes have names and sources
 * then, but are not made; missing sources of binds are. 'out' may refer to 'host_config'. */
int container_mounts_resolve(struct engine *engine, const struct container_config *config,
                             const struct host_config *host_config, struct json_list *out,
                             struct error *err);
/* One mount for a container that is there already; otherwise as above. */
int container_mount_resolve(struct engine *engine, const struct mount_request *request,
                            struct container_mount *out, struct error *err);
/* Parents before what lies in them. */
void container_mounts_sort(struct json_list *mounts);
/* Makes the volumes that do not exist yet; their names are added to 'out_created'. To be called
 * when the container is recorded: so that none is left behind that nobody knows. */
int container_volumes_make(struct engine *engine, const struct json_list *mounts,
                           struct strv *out_created, struct error *err);

void container_mount_done(struct container_mount *mount);
CLEANUP_VALUE(container_mount_done, struct container_mount)

#endif
