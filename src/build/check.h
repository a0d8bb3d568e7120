/* Checks: what is allowed in a Dockerfile and yet is likely a mistake. The rules have the names
 * that users know from the reference frontend, so that "# check=skip=…" means the same. */
#ifndef BERTH_BUILD_CHECK_H
#define BERTH_BUILD_CHECK_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "build/graph.h"
#include "build/parse.h"

struct check_finding {
    const char *rule;
    int line;
    const char *file_name, *file_text; /* of an included file (borrowed); NULL: the Dockerfile */
    char *text;
};

struct check_findings {
    struct check_finding *items;
    size_t count;
    bool is_error; /* "# check=error=true": a build with findings fails */
};
void check_findings_done(struct check_findings *findings);
CLEANUP_VALUE(check_findings_done, struct check_findings)

/* What is looked at: a parsed file whose instructions are right, and its stages; those that are
 * needed have their bases resolved. All borrowed. */
struct check_subject {
    const struct dockerfile *file;
    const char *text; /* of the file */
    const struct build_graph *graph;
    const struct platform *platform;    /* that bases without one should be for; NULL: any */
    const struct dockerignore *ignored; /* what the context lacks; NULL: nothing */
    /* Adds the environment (NAME=value) of an image and says what it is for; false if it is not
     * known. */
    bool (*image)(void *data, const char *name, struct strv *out_environment,
                  struct platform *out_platform);
    void *data;
};

/* INVALID for a directive that is malformed. */
int check_run(const struct check_subject *subject, struct check_findings *out, struct error *err);

#endif
