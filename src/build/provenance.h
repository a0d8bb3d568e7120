/* Attestations of one build, made when its steps are done. Internal to this folder. */
#ifndef BERTH_BUILD_PROVENANCE_H
#define BERTH_BUILD_PROVENANCE_H

#include "build/job.h"
#include "store/attestation.h"

/* Notes something that goes into the build, once; if the build attests where it comes from.
 * 'algorithm' "sha256" or "sha1", 'hex' NULL: its content is not known. Any thread. */
void material_add(struct job *job, const char *uri, const char *algorithm, const char *hex);
/* An image under the name that the Dockerfile has for it. */
void material_add_image(struct job *job, const char *name, const struct image *image);
/* What ADD brings. 'digest': "sha256:<hex>", or "commit:<hex>" of a repository. */
void material_add_remote(struct job *job, const char *url, const char *digest);
void materials_done(struct materials *materials);

/* What the build attests of the image that it made of the target stage. */
int attestations_make(struct job *job, const struct stage *stage, struct attestations *out,
                      struct error *err);

/* The SPDX document of the files below 'root_fd' (sbom.c). */
int sbom_make(int root_fd, const char *image_id, int64_t created_ns, struct str *out,
              struct error *err);

/* The statements of the program that the build names for it (sbom_generator.c), run as a RUN step
 * is, with the files of the stage read-only and without secrets. */
int sbom_generate(struct job *job, const struct stage *stage, struct attestations *out,
                  struct error *err);

#endif
