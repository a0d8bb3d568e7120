/* A container's changes become an image (docker commit). */
#ifndef BERTH_ENGINE_CONTAINER_COMMIT_H
#define BERTH_ENGINE_CONTAINER_COMMIT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "spec/container.h"

struct commit_wish {
    const char *repository, *tag; /* may be NULL or "": the image gets no name */
    const char *author, *comment;
    const struct strv *changes;            /* Dockerfile lines (build_apply_changes) */
    const struct container_config *config; /* NULL: the container's own */
    bool pauses;                           /* a running container is held meanwhile */
};
int engine_container_commit(struct engine *engine, const char *text, const struct commit_wish *wish,
                            char out_id[72], struct error *err);

#endif
