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

/* Adds the environment (NAME=value) of an image; false if it is not known. */
typedef bool check_environment(void *data, const char *image, struct strv *out);

/* Looks at a parsed file whose instructions are right, and its stages; those that are needed have
 * their bases resolved. INVALID for a directive that is malformed. */
int check_run(const struct dockerfile *file, const struct build_graph *graph,
              check_environment *environment, void *data, struct check_findings *out,
              struct error *err);

#endif
