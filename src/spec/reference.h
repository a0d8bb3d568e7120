/* Image references: [domain/]path[:tag][@digest] (distribution reference grammar). */
#ifndef BERTH_SPEC_REFERENCE_H
#define BERTH_SPEC_REFERENCE_H

#include "base/error.h"

struct reference {
    char *domain; /* "docker.io" if the user named none */
    char *path;   /* "library/" added on docker.io for one-word names */
    char *tag;    /* "latest" if there is neither tag nor digest; NULL with a digest only */
    char *digest; /* NULL or "sha256:…" */
};

/* INVALID "invalid reference format" (with Docker's additions: "repository name (library/X) must be
 * lowercase"). */
int reference_parse(const char *text, struct reference *out, struct error *err);
/* The same without adding the tag "latest". */
int reference_parse_exact(const char *text, struct reference *out, struct error *err);

/* INVALID "invalid tag format" if 'tag' cannot be one; none (NULL, "") is fine. */
int reference_tag_check(const char *tag, struct error *err);

/* INVALID if an image cannot have this name because it would be shown as an id: "sha256:…". */
int reference_name_check(const struct reference *reference, struct error *err);

/* "alpine:latest", "localhost:5000/app:v1": how Docker shows it. */
char *reference_familiar(const struct reference *reference);
/* The same without tag and digest. */
char *reference_familiar_name(const struct reference *reference);
/* "docker.io/library/alpine:latest". */
char *reference_canonical(const struct reference *reference);

void reference_done(struct reference *reference);
CLEANUP_VALUE(reference_done, struct reference)

#endif
