/* What of a project exists in the engine, found by labels. */
#ifndef BERTH_COMPOSE_ACTUAL_H
#define BERTH_COMPOSE_ACTUAL_H

#include <stdbool.h>

#include "client/client.h"
#include "codec/json.h"

struct actual_container {
    const char *id, *name, *service, *hash, *image, *image_id, *state,
        *dependencies; /* borrowed from 'document'; hash,
           image_id and dependencies may be NULL */
    int number;
    bool is_oneoff;
    bool is_replacement;         /* it was made to take the place of another one */
    const struct json *document; /* as the list of containers has it */
};

struct actual {
    struct actual_container *containers; /* by service, then number */
    size_t count;
    struct json *document, *networks, *volumes; /* lists of the API */
};

/* NULL project: every project's. */
int actual_read(struct client *client, const char *project, struct actual *out, struct error *err);
int actual_read_containers(struct client *client, const char *project, struct actual *out,
                           struct error *err);
void actual_done(struct actual *actual);
CLEANUP_VALUE(actual_done, struct actual)

/* NULL if there is none. 'number' 0: the first. One-off containers do not count. */
const struct actual_container *actual_find(const struct actual *actual, const char *service,
                                           int number);
bool actual_is_running(const struct actual_container *container);
/* A label of it, NULL if it has none. */
const char *actual_label(const struct actual_container *container, const char *label);
/* A network or volume of the lists by its name, NULL if there is none. */
const struct json *actual_named(const struct json *list, const char *name);

#endif
