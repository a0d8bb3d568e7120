/* Where a copy goes, by Docker's rules for what is there already and how the paths end. Decided in
 * plain data; nothing is touched. */
#ifndef BERTH_CLI_COPY_PLAN_H
#define BERTH_CLI_COPY_PLAN_H

#include <stdbool.h>

#include "base/error.h"

/* One end of a copy. */
struct copy_end {
    const char *path;
    bool exists, is_directory;
    const char *shown_name; /* of a source: what it is to be called, NULL: as its path says */
};

/* Unpack in 'directory'; what the archive calls 'old_name' is called 'new_name' there (NULL: it
 * keeps its name). */
struct copy_plan {
    char *directory, *old_name, *new_name;
};
/* INVALID "cannot copy directory" onto a file, "no such directory" for a file to a missing "x/". */
int copy_plan_make(const struct copy_end *source, const struct copy_end *target,
                   struct copy_plan *out, struct error *err);
void copy_plan_done(struct copy_plan *plan);
CLEANUP_VALUE(copy_plan_done, struct copy_plan)

/* The directory of a path and its last element, which is "." if the path ends so. */
void copy_path_split(const char *path, char **out_directory, char **out_base);

/* Last element as it stands: "." for "x/.", "/" for "/", "x" for "a/x/". */
char *copy_path_base(const char *path);

bool copy_path_is_dot(const char *path);            /* its last element is "." */
bool copy_path_asserts_directory(const char *path); /* ends in "/" or "/." */

/* The container of "container:path", and where the path begins; NULL: a local path. */
char *copy_argument_container(const char *argument, const char **out_path);

/* For a source that is reached through a link: 'target' gets the ending that 'path' has, and
 * *out_shown_name the name that it is to keep (NULL: its own). */
char *copy_path_through_link(const char *path, const char *target, char **out_shown_name);

#endif
