/* The states of a container, as in `docker inspect` (spec/api.md 2.4). */
#ifndef BERTH_ENGINE_CONTAINER_STATE_H
#define BERTH_ENGINE_CONTAINER_STATE_H

#define CONTAINER_STATES(X)                                                                        \
    X(CREATED, "created")                                                                          \
    X(RUNNING, "running")                                                                          \
    X(PAUSED, "paused")                                                                            \
    X(RESTARTING, "restarting")                                                                    \
    X(REMOVING, "removing")                                                                        \
    X(EXITED, "exited")                                                                            \
    X(DEAD, "dead")

enum container_state {
#define X(name, text) CONTAINER_##name,
    CONTAINER_STATES(X)
#undef X
};

const char *container_state_name(enum container_state state);

#endif
