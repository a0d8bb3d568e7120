/* .dockerignore: which files of a context are left out. */
#ifndef BERTH_SPEC_DOCKERIGNORE_H
#define BERTH_SPEC_DOCKERIGNORE_H

#include <stdbool.h>

#include "base/error.h"

struct dockerignore;

/* Reads the file's text (not NULL-safe; "" excludes nothing). INVALID 'illegal exclusion pattern:
 * "!"' and "syntax error in pattern". */
int dockerignore_parse(const char *text, struct dockerignore **out, struct error *err);
void dockerignore_free(struct dockerignore *ignore);
CLEANUP_POINTER(dockerignore_free, struct dockerignore)

/* Is this file or directory left out? 'path' is relative to the context ("dir/file"). A pattern
 * that matches a directory counts for all below it; the last line that matches decides. */
bool dockerignore_excludes(const struct dockerignore *ignore, const char *path);
/* The pattern that does it, borrowed; NULL if none does. */
const char *dockerignore_cause(const struct dockerignore *ignore, const char *path);

/* Are there '!' lines? Then an excluded directory has to be walked: something in it may be kept,
 * and the directory with it. */
bool dockerignore_has_exceptions(const struct dockerignore *ignore);

/* The patterns, one line each as they mean the same again; what can match nothing is left out. */
struct strv;
void dockerignore_lines(const struct dockerignore *ignore, struct strv *out);

#endif
