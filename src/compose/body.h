/* A service's container as the body of a create call. */
#ifndef BERTH_COMPOSE_BODY_H
#define BERTH_COMPOSE_BODY_H

#include "codec/json.h"
#include "compose/project.h"

struct body_wish {
    const struct project *project;
    const char *service_name;
    const struct yaml *service;
    const char *container_name;
    int number;
    const char *image, *image_id;
    const char *replaced_id;     /* of the container whose place it takes; NULL: none */
    const struct json *replaced; /* inspect of it: anonymous volumes are carried over; NULL: none */
    const char *slug;            /* of a one-off container; NULL: it is none */
    bool auto_remove;            /* one-off containers only */
    bool is_attached;            /* one-off: stdin follows the client */
    bool uses_aliases;           /* names of the service are given to it */
    /* "service:x" in namespaces and volumes_from: the id of a container of x, NULL if there is
     * none; yours. */
    char *(*container_of)(void *data, const char *service);
    void *data;
};

/* INVALID for what the engine has no place for. */
int body_write(const struct body_wish *wish, struct str *out, struct error *err);

/* Parts, a file each. */
void body_add_config(struct json_writer *w,
                     const struct body_wish *wish); /* body_config.c: members of the top */
int body_add_host(struct json_writer *w, const struct body_wish *wish,
                  struct error *err);                                    /* body_host.c */
void body_add_limits(struct json_writer *w, const struct yaml *service); /* body_limits.c */
int body_add_mounts(struct json_writer *w, const struct body_wish *wish,
                    struct error *err); /* body_mount.c */
int body_add_networks(struct json_writer *w, const struct body_wish *wish,
                      struct error *err); /* body_network.c: NetworkingConfig */
int body_network_mode(const struct body_wish *wish, char **out, struct error *err); /* yours */
/* Resolves "service:x" into "container:<id>"; other modes stay. NOT_FOUND if x has no container. */
int body_mode(const struct body_wish *wish, const char *mode, char **out, struct error *err);

/* Helpers: a member of the service as one of the body, left out if it is not there. */
void body_text(struct json_writer *w, const char *key, const struct yaml *node);
void body_integer(struct json_writer *w, const char *key,
                  const struct yaml *node); /* sizes are texts of numbers */
void body_bool(struct json_writer *w, const char *key, const struct yaml *node);
void body_raw(struct json_writer *w, const char *key, const struct yaml *node); /* as it is */
int64_t body_to_int64(const struct yaml *node);    /* 0 if it is not there */
int64_t body_duration_ns(const struct yaml *node); /* 0 if it is not there */

#endif
