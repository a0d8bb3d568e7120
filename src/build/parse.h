/* A Dockerfile as text → its instructions. */
#ifndef BERTH_BUILD_PARSE_H
#define BERTH_BUILD_PARSE_H

#include "base/error.h"
#include "build/instruction.h"

#define DOCKERFILE_SIZE_LIMIT  ((size_t)16 << 20)
#define DOCKERFILE_LINE_LIMIT  ((size_t)1 << 20)
#define DOCKERFILE_COUNT_LIMIT 100000 /* instructions */

struct dockerfile {
    struct instruction *instructions;
    size_t count;
    char escape;                                /* '\\' or '`' */
    struct strv warnings;                       /* texts for the user */
    char *syntax;                               /* of "# syntax=", NULL: none */
    char *check;                                /* of "# check=", NULL: none */
    struct strv empty_continuations;            /* numbers of lines */
    struct strv included_names, included_texts; /* of files that INCLUDE brought */
};
void dockerfile_done(struct dockerfile *dockerfile);
CLEANUP_VALUE(dockerfile_done, struct dockerfile)

/* Splits the text into instructions, 'name' being the file's name in error texts. INVALID: "failed
 * to parse <name>: …" (NULL: the bare reason). What the instructions mean is not looked at: that is
 * instruction_check's. */
int dockerfile_parse(const char *text, size_t size, const char *name, struct dockerfile *out,
                     struct error *err);

/* The same; when it fails, 'out_line' is the line where. */
int dockerfile_parse_at(const char *text, size_t size, const char *name, struct dockerfile *out,
                        int *out_line, struct error *err);

/* One line that stands alone: a build trigger, a change of a commit. */
int dockerfile_parse_line(const char *text, char escape, struct instruction *out,
                          struct error *err);

#endif
