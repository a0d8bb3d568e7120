/* Follows the containers of a project by the engine's events: prints their output as they start and
 * says when they end. What `up` in the foreground and `logs -f` stand on. */
#ifndef BERTH_COMPOSE_FOLLOWER_H
#define BERTH_COMPOSE_FOLLOWER_H

#include "compose/log.h"
#include "compose/project.h"

/* A thread that reads events, and one for each container that is followed. It lives until the
 * process ends: a blocked read cannot be taken back. */
struct follower;

struct follower_options {
    const char *project;
    const struct strv *services; /* whose output is shown; none: all */
    const struct strv *hidden;   /* whose is not; may be NULL */
    const char *since;           /* of the API: output from then on */
    bool says_ends;              /* "web-1 exited with code 0" */
    /* A container ended: called in the reading thread; may be NULL. */
    void (*ended)(void *data, const char *service, const char *name, int code);
    void *data;
};

/* Options are copied as they are: what they point to must stay until follower_end, and the client
 * and the printer as long as the process. */
int follower_start(struct client *client, struct log_printer *printer,
                   const struct follower_options *options, struct follower **out,
                   struct error *err);

/* Begins to follow a container that runs already. */
void follower_add(struct follower *follower, const struct actual_container *container);

/* Number of the followed containers whose end has not been told. */
int follower_running(struct follower *follower);

/* After all of them were stopped: waits until their last lines and their ends are told; some
 * seconds at most. */
void follower_finish(struct follower *follower);

/* Nothing is told from here on. An end that is being told is waited for. */
void follower_end(struct follower *follower);

#endif
