/* What may be the matter with a source of COPY or ADD that is not there: said behind the error, so
 * that whoever made the mistake need not look for it. */
#ifndef BERTH_BUILD_MISSING_H
#define BERTH_BUILD_MISSING_H

#include "spec/context_manifest.h"
#include "spec/dockerignore.h"

/* Where the source was looked for. */
struct missing_place {
    int root_fd;
    bool is_context;                         /* else an image or a stage */
    const struct dockerignore *ignored;      /* what is left out of it; NULL: nothing */
    const struct context_manifest *manifest; /* all that it has, if the tree may lack some; NULL */
};

/* A remedy in brackets with a blank in front, or "" if there is nothing to say. 'argument' as it
 * was written. */
char *missing_explain(const struct missing_place *place, const char *argument);

#endif
