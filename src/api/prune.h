/* What a prune is to remove: shared by the prunes and by those who only want to know. */
#ifndef BERTH_API_PRUNE_H
#define BERTH_API_PRUNE_H

#include <stdatomic.h>

#include "api/filters.h"
#include "api/request.h"
#include "engine/container.h"
#include "engine/image.h"
#include "engine/network.h"
#include "engine/volume.h"

struct prune {
    struct request *req;
    struct filters filters;
    int64_t until_ns;
    bool all; /* images with names, volumes with names */
    int64_t reclaimed;
    size_t count; /* of things removed, or told */
    struct str removed;
    struct json_writer writer; /* into 'removed', inside a list */
    atomic_flag *turn;         /* that it holds, or NULL */
};

/* Reads the filters of one kind; INVALID. */
int prune_begin_containers(struct prune *prune, struct request *req, struct error *err);
int prune_begin_images(struct prune *prune, struct request *req, struct error *err);
int prune_begin_volumes(struct prune *prune, struct request *req, struct error *err);
int prune_begin_networks(struct prune *prune, struct request *req, struct error *err);
void prune_done(struct prune *prune);
CLEANUP_VALUE(prune_done, struct prune)

/* By the filters, and by what can be seen of it; who uses it is another question, except for a
 * container. */
bool prune_takes_container(const struct prune *prune, const struct container_info *info);
bool prune_takes_image(const struct prune *prune, const struct image *image);
bool prune_is_nameless(const struct image *image);
bool prune_takes_volume(const struct prune *prune, const struct volume *volume);
bool prune_takes_network(const struct prune *prune, const struct network *network);

/* One thing that a prune would remove, as a JSON object: {"ID":"…","Name":"…","Size":1}. */
void prune_tell(struct json_writer *w, const char *id, const char *name, int64_t size_bytes);

#endif
