/* --cache-from: images that were built elsewhere stand in for steps. An image tells by its history
 * what each step was (with the digests of what was copied), and has what it left: so a step is
 * known when an image has the same steps, the same layers, and then this very step. Nothing but the
 * image is needed; whoever names one trusts it.
 *
 * --cache-to makes images for that alone: what each stage is, with the key of each step as the
 * comment of its history, which tells all that matters for the step. One such image may name the
 * others in its own comment; in any case that makes it an image of this build alone. */
#ifndef BERTH_BUILD_CACHE_IMAGE_H
#define BERTH_BUILD_CACHE_IMAGE_H

#include "build/job.h"

/* Brings the images that the build names; one that cannot be had is told, and done without. */
void cache_images_open(struct job *job);
void cache_images_close(struct job *job);

/* 'created_by' NULL: the history does not tell all of it, only the key does. 1: an image knows the
 * step, and the stage is what that left; the cache knows it under 'key' from now on. 0: none does.
 */
int cache_images_probe(struct job *job, struct stage *stage, const char *key,
                       const char *created_by, struct error *err);

/* Makes the images that the build's options ask for, once its stages are done. Images without
 * steps are left out. */
int cache_images_make(struct job *job, struct strv *out_ids, struct error *err);

/* The comment of an image that names others: by the digests of their manifests, in the repository
 * that it comes from itself. */
char *cache_images_comment(const struct strv *digests);

#endif
