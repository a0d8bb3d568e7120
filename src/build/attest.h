/* What a build attests of its image: where it comes from (SLSA provenance), and what is in it
 * (SPDX). Both are made of what the builder knows itself, unless a program is named for the second.
 */
#ifndef BERTH_BUILD_ATTEST_H
#define BERTH_BUILD_ATTEST_H

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"

struct build_attest {
    bool has_provenance, has_sbom;
    /* With build arguments, labels, the Dockerfile and its steps; without: only materials. */
    bool is_max;
    bool is_v1;                      /* SLSA 1.0; otherwise 0.2 */
    bool is_reproducible;            /* the caller says that the build can be repeated */
    bool is_inline_only;             /* not into a directory or an archive of the image's files */
    char *builder_id;                /* NULL: "" */
    char *generator;                 /* image of a program that makes the SBOM; NULL: none */
    char *vcs_source, *vcs_revision; /* of the context, as the client says; may be NULL */
};
void build_attest_done(struct build_attest *attest);
CLEANUP_VALUE(build_attest_done, struct build_attest)

/* One attestation that is wanted: 'type' is "provenance" or "sbom", 'text' its settings, comma
 * separated: "", "true", "false", "mode=max", "version=v1", "builder-id=…", "reproducible=true",
 * "inline-only=true", "generator=image", "disabled=true". INVALID. */
int build_attest_read(const char *type, const char *text, struct build_attest *out,
                      struct error *err);

#endif
