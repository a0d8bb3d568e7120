/* The files of a project as others get them: as they were written, variables and all, but for the
 * names of files that they lead to, which become names that mean the same everywhere. */
#ifndef BERTH_COMPOSE_PUBLISH_H
#define BERTH_COMPOSE_PUBLISH_H

#include "compose/project.h"

enum published_kind {
    PUBLISHED_FILE, /* one of the project's own, in the order of merging */
    PUBLISHED_BASE, /* one that services extend */
    PUBLISHED_ENV,  /* one of "env_file" */
};

struct published_file {
    enum published_kind kind;
    char *name; /* without a directory */
    struct str text;
};

struct published_files {
    struct published_file *items;
    size_t count;
};
void published_files_done(struct published_files *files);
CLEANUP_VALUE(published_files_done, struct published_files)

/* UNSUPPORTED for files that include others from here: they would not be there. */
int publish_files(const struct project *project, struct published_files *out, struct error *err);

/* A text with the names of files in it changed: 'rename' (lent a name as it is written) gives the
 * new one, yours, or NULL for one that stays. */
struct publish_renames {
    char *(*rename)(void *data, enum published_kind kind, const char *name);
    void *data;
};
int publish_rewrite(const char *text, size_t length, const char *file,
                    const struct publish_renames *renames, struct str *out, struct error *err);

#endif
