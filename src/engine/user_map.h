/* The numbers that the users of a container have on the host (HostConfig.UsernsMode, userns-remap).
 *
 *   host                      the same as the host's
 *   auto[:size=N]             N numbers (65536) that no other container has
 *   keep-id:uid=U,gid=G[,size=N]   like auto, but the container's user U and group G are the host's
 *   ""                        what the engine is set to: host, or one range for all (userns-remap)
 *
 * On disk, in layers and volumes, owners are the container's own numbers: mounts are shown through
 * a user namespace (mount_map_owners), nothing is copied or given away. Ranges come from the entry
 * "containers" in /etc/subuid and /etc/subgid if both have one, else from 1073741824 to 1879048191,
 * avoiding what those files give to others. */
#ifndef BERTH_ENGINE_USER_MAP_H
#define BERTH_ENGINE_USER_MAP_H

#include <sys/stat.h>

#include "engine/internal.h"
#include "linux/user_namespace.h"

/* The grammar of the mode, and what does not go with it. INVALID. */
int user_map_check(const struct engine *engine, const struct host_config *host, struct error *err);

/* Whether userns-remap (NULL: none) names ranges. INVALID. */
int user_map_check_remap(const char *remap, struct error *err);

/* Fills spec->users by its HostConfig; NULL if the numbers are the host's. Engine lock held until
 * the container is known to it, so that no other gets the same range. */
int user_map_choose(struct engine *engine, struct container_spec *spec, struct error *err);

/* False: the numbers are the host's. */
bool user_map_get(const struct container_spec *spec, struct id_map *out);
/* The numbers of the container's root on the host. */
void user_map_root(const struct container_spec *spec, uint32_t *out_uid, uint32_t *out_gid);
/* A namespace with the container's numbers (user_namespace_make); 0 and *out_fd = -1 if it has the
 * host's. */
int user_map_open(const struct container_spec *spec, int *out_fd, int *out_network_fd,
                  struct error *err);

/* The table that lets the owner of a file on the host and a user of the container change places. */
int user_map_of_owner(const struct container_spec *spec, const struct user_identity *user,
                      const struct stat *owner, struct id_map *out, struct error *err);

#endif
