/* Another registry, from the client's side: what a cache in front of it asks it for. Knows Basic
 * and Bearer; tokens are kept until they expire. Any thread. */
#ifndef BERTH_DISTRIBUTION_UPSTREAM_H
#define BERTH_DISTRIBUTION_UPSTREAM_H

#include "http/ask.h"

struct upstream;

/* 'credentials_path': a file with "user:password"; NULL: none. INVALID. */
int upstream_new(const char *url, const char *credentials_path, struct upstream **out,
                 struct error *err);
void upstream_free(struct upstream *upstream);
CLEANUP_POINTER(upstream_free, struct upstream)

struct upstream_question {
    const char *method, *path;                                              /* with its query */
    const char *repository;                                                 /* to be pulled from */
    int (*begin)(void *data, const struct map *headers, struct error *err); /* as struct ask's */
    int (*take)(void *data, const void *bytes, size_t size, struct error *err);
    void *data;
};
/* Any status but 401 is an answer; UNAUTHORIZED if our credentials do not do. */
int upstream_ask(struct upstream *upstream, const struct upstream_question *question,
                 struct ask_answer *out, struct error *err);

#endif
