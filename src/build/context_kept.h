/* Trees that BuildKit's file transfer keeps up to date: one directory of the context store per
 * build that runs, found again by what the client calls its context. */
#ifndef BERTH_BUILD_CONTEXT_KEPT_H
#define BERTH_BUILD_CONTEXT_KEPT_H

#include "build/context_store.h"

struct context_kept {
    char name[CONTEXT_NAME_LENGTH + 1];
    char *path; /* the files are in its "tree"; NULL: nothing was taken */
    int64_t created_ns;
    char *description;
};

/* Takes the directory of 'key', for this build alone until it is given back; a second build of the
 * same key has another one. */
int context_kept_take(struct context_store *store, const char *key, struct context_kept *out,
                      struct error *err);
/* 'size_bytes': of all its files; -1 if that is not known. Fine for what was not taken. */
void context_kept_give_back(struct context_store *store, struct context_kept *kept,
                            int64_t size_bytes);

#endif
