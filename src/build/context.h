/* The context of a build: a directory of somebody else's files. */
#ifndef BERTH_BUILD_CONTEXT_H
#define BERTH_BUILD_CONTEXT_H

#include "base/error.h"
#include "base/str.h"

#define DOCKERIGNORE_SIZE_LIMIT ((size_t)1 << 20)

/* Reads the Dockerfile 'path' (NULL: "Dockerfile", or "dockerfile" if that is there instead) and
 * gives the name it was found under. INTERNAL "Cannot locate specified Dockerfile: x". */
int context_read_dockerfile(int context_fd, const char *path, struct str *out, char **out_name,
                            struct error *err);

/* Reads another file of the language. INVALID if there is none. */
int context_read_file(int context_fd, const char *path, struct str *out, struct error *err);

/* What <dockerfile>.dockerignore, or else .dockerignore, excludes; NULL if neither is there. */
struct dockerignore;
int context_read_ignore(int context_fd, const char *dockerfile_path, struct dockerignore **out,
                        struct error *err);
/* Removes that. Both files may exclude themselves and the Dockerfile, which therefore have to be
 * read before. 'ignore' NULL: nothing is excluded. */
int context_apply_ignore(int context_fd, const struct dockerignore *ignore, struct error *err);

#endif
