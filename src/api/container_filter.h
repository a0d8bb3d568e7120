/* Which containers a list shows (spec/api.md 2.1). */
#ifndef BERTH_API_CONTAINER_FILTER_H
#define BERTH_API_CONTAINER_FILTER_H

#include <stdbool.h>

#include "api/filters.h"
#include "base/error.h"
#include "engine/container.h"
#include "engine/engine.h"

/* What the filters of one request mean, looked up once. */
struct container_filter {
    struct filters filters;
    bool all; /* stopped ones too */
    bool is_task;
    uint64_t before_sequence, since_sequence; /* 0: no bound */
    struct strv ids;                          /* full ids that "id" stands for */
    struct strv images;                       /* ids that "ancestor" stands for */
    struct strv published, exposed;           /* "80/tcp" */
};

/* 'list' is what the filters will be asked about. Fails for unknown keys and values. */
int container_filter_new(struct engine *engine, const char *text, bool all,
                         struct container_info *const *list, size_t count,
                         struct container_filter *out, struct error *err);
bool container_filter_matches(const struct container_filter *filter,
                              const struct container_info *info);
void container_filter_done(struct container_filter *filter);
CLEANUP_VALUE(container_filter_done, struct container_filter)

/* "80", "80/udp", "8000-8010/tcp": adds each as "port/protocol". */
int port_filter_parse(const char *key, const char *text, struct strv *out, struct error *err);

#endif
