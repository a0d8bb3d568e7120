/* One stage while it is built: the image as it is so far. */
#ifndef BERTH_BUILD_STAGE_H
#define BERTH_BUILD_STAGE_H

#include <stdbool.h>

#include "build/args.h"
#include "build/cache.h"
#include "build/output.h"
#include "spec/image.h"
#include "store/store.h"

struct stage {
    struct image_config image;       /* changed by instructions; its history by stage_commit */
    char state_id[DIGEST_TEXT_SIZE]; /* names what the image is so far, for keys; "" for scratch */
    char image_id[DIGEST_TEXT_SIZE]; /* once the stage is done (stage_identify), "" for nothing */
    char chain_id[DIGEST_TEXT_SIZE]; /* top layer, "" if there are none */
    char base_id[DIGEST_TEXT_SIZE];  /* image of the store that the stage stands on, "" if none */
    char *author;                    /* given in this stage */
    bool is_cmd_set;                 /* CMD was given in this stage */
    bool is_changed;                 /* something was committed: it is not the base */
    struct build_args args;
    struct strv triggers;    /* ONBUILD of the base */
    bool is_uncached;        /* --no-cache, --no-cache-filter */
    struct strv keys;        /* of the steps so far: the last entries of the history */
    char claim[DIGEST_SIZE]; /* key of the step that is being carried out, "" if none */
    struct output output;
};

/* Starts a zeroed one (but for its output) on nothing, on an image of the store, or on another
 * stage. */
void stage_begin_scratch(struct stage *stage, const struct build_args *args,
                         const struct platform *platform);
void stage_begin_image(struct stage *stage, const struct build_args *args,
                       const struct image *image);
void stage_begin_stage(struct stage *stage, const struct build_args *args,
                       const struct stage *base);
void stage_done(struct stage *stage);

/* NAME=value as expansions see it: the environment of the image, then the build arguments. */
void stage_environment(const struct stage *stage, struct strv *out);

/* "/bin/sh -c #(nop) " and the comment, as the history says for what runs nothing. */
char *stage_comment(const struct stage *stage, const char *comment);

/* Ends a step at 'created_ns': adds it to the history ('layer' NULL: no files changed), and gives
 * the image its new state. 'out' is what a cache has to know. */
void stage_commit(struct stage *stage, const char *created_by, const struct layer *layer,
                  int64_t created_ns, struct cache_entry *out);

/* Adds a step that the cache knows. What instructions change in the configuration has been changed
 * already. */
void stage_restore(struct stage *stage, const struct cache_entry *entry);

/* The id of the image, when no more steps come. */
void stage_identify(struct stage *stage);

#endif
