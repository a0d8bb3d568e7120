/* One build while it runs: what its steps share. Internal to this folder. */
#ifndef BERTH_BUILD_JOB_H
#define BERTH_BUILD_JOB_H

#include "base/map.h"
#include "base/thread.h"
#include "build/build.h"
#include "build/graph.h"
#include "build/output.h"
#include "build/stage.h"

struct builder {
    struct store *store;
    struct database *database;
    struct build_worker worker;
    int64_t cache_limit_bytes;
    struct mutex lock;
    struct map
        digests; /* guarded by lock: chain id and arguments → digest of what they name there */
};

/* Digests of files in layers, which never change. NULL if it is not known; the text is yours. */
char *builder_digest_get(struct builder *builder, const char *chain_id,
                         const struct strv *arguments);
void builder_digest_set(struct builder *builder, const char *chain_id, const struct strv *arguments,
                        const char *digest);

struct job {
    struct builder *builder;
    const struct build_options *options;
    struct dockerfile file;
    struct build_graph graph;
    struct build_args args;
    struct output output;
    struct stage *stages; /* one per stage of the graph */
    bool *is_built;
    struct strv declared_args; /* names that some ARG mentions */
    struct strv used_keys;     /* cache entries that were hit */
    struct strv held_layers;
    struct map mounts; /* chain id → descriptor + 1 of a read-only mount */
    bool has_new_entries;
    int exit_code; /* of a RUN that failed */
};

/* The files of a chain, mounted read-only. The descriptor is the job's. */
int job_mount(struct job *job, const char *chain_id, struct error *err);

/* Keeps a layer from being collected until the job is over. */
void job_hold(struct job *job, const char *chain_id);

/* An image of the store by name, pulled if that is wanted and possible. */
int job_find_image(struct job *job, const char *name, struct image **out, struct error *err);

/* The chain id that "--from=<name>" in the stage 'index' means. */
int job_find_chain(struct job *job, size_t index, const char *name, char out[DIGEST_TEXT_SIZE],
                   struct error *err);

/* Builds a stage unless that was done. */
int job_build_stage(struct job *job, size_t index, struct error *err);

#endif
