/* One build while it runs: what its steps share. Internal to this folder. Stages run side by side,
 * each in a thread of its own; what they share is guarded by the job's lock. */
#ifndef BERTH_BUILD_JOB_H
#define BERTH_BUILD_JOB_H

#include "base/map.h"
#include "base/thread.h"
#include "build/build.h"
#include "build/cache_mount.h"
#include "build/graph.h"
#include "build/output.h"
#include "build/source.h"
#include "build/stage.h"

struct builder {
    struct store *store;
    struct database *database;
    struct build_worker worker;
    int64_t cache_limit_bytes;
    struct mutex lock;
    struct condition changed; /* a step is over */
    /* Guarded by lock. Chain id and arguments → digest of what they name there. */
    struct map digests;
    struct map in_flight; /* keys of steps that are being carried out */
    struct cache_mounts cache_mounts;
    struct context_store *contexts;
};

/* Digests of files in layers, which never change. NULL if it is not known; the text is yours. */
char *builder_digest_get(struct builder *builder, const char *chain_id,
                         const struct strv *arguments);
void builder_digest_set(struct builder *builder, const char *chain_id, const struct strv *arguments,
                        const char *digest);

/* Makes a step this thread's: 1; or waits until the one who has it is done with it: 0. CANCELLED.
 */
int builder_claim(struct builder *builder, const char *key, int cancel_fd, struct error *err);
void builder_release(struct builder *builder, const char *key);

/* What goes into a build from outside of its context (build/provenance.h). */
struct material {
    char *uri;
    const char *algorithm;
    char *hex; /* NULL: not known */
};
struct materials {
    struct material *items;
    size_t count;
};

/* Steps that a build of the group has carried out (group.c); none of them without a group. */
void build_group_add(struct build_group *group, const char *key);
bool build_group_has(struct build_group *group, const char *key);

enum stage_state { STAGE_UNUSED, STAGE_WAITING, STAGE_RUNNING, STAGE_DONE, STAGE_FAILED };

struct job {
    struct builder *builder;
    const struct build_options *options;
    struct platform platform; /* what is built for */
    bool has_platform;        /* the caller said so */
    char *dockerfile_name;
    struct str dockerfile_text;
    struct dockerfile file;
    struct build_graph graph;
    struct build_args args;
    struct outputs outputs;
    struct output head;           /* what is said in front of the stages */
    struct stage *stages;         /* one per stage of the graph */
    int abort_fd;                 /* an event: a stage has failed */
    int cancel_fd;                /* readable when the client cancels or a stage has failed */
    struct dockerignore *ignored; /* what .dockerignore says, unless the options have it; or NULL */
    struct known_digests digests; /* of the context's files, if it is a synced one */
    int64_t epoch_ns;             /* SOURCE_DATE_EPOCH, -1: not given */
    int64_t began_ns;             /* by the clock on the wall */
    size_t target;
    struct image **cache_images; /* those of --cache-from that are here */
    size_t cache_image_count;
    const struct strv *names; /* of the image */

    struct mutex lock; /* guards what follows */
    struct condition changed;
    enum stage_state *states;
    size_t running_count;
    struct error failure;                /* the first one */
    int failed_line;                     /* 0: none */
    const struct instruction *failed_at; /* NULL: not at an instruction */
    int exit_code;                       /* of a RUN that failed */
    bool has_new_entries;
    struct strv declared_args; /* names that some ARG mentions */
    struct strv used_keys;     /* cache entries that were hit */
    struct strv held_layers;
    struct materials materials;
    struct map mounts; /* chain id → descriptor + 1 of a read-only mount */
};

/* The files of a chain, mounted read-only. The descriptor is the job's. */
int job_mount(struct job *job, const char *chain_id, struct error *err);

/* What is known of the context's files; NULL: nothing. */
const struct known_digests *job_known_digests(const struct job *job);

/* Keeps a layer from being collected until the job is over. */
void job_hold(struct job *job, const char *chain_id);

/* What was left out of the context; NULL: not known, or nothing. */
const struct dockerignore *job_ignored(const struct job *job);

void job_declare(struct job *job, const char *arg); /* "X=1" or "X" */

/* An image of the store by name, pulled if that is wanted and possible. 'platform' NULL: whichever
 * has the name. */
int job_find_image(struct job *job, const char *name, const struct platform *platform,
                   struct image **out, struct error *err);
/* The platform that images are looked for which name none; NULL: whichever has the name. */
const struct platform *job_wanted_platform(const struct job *job);

/* Files that --from=<name> means. */
struct job_tree {
    bool is_layers;                  /* chain_id counts */
    char chain_id[DIGEST_TEXT_SIZE]; /* of an image or stage */
    int fd;                          /* directory of a context; borrowed */
};
/* 'name' NULL: the build's context. */
int job_find_tree(struct job *job, size_t index, const char *name, struct job_tree *out,
                  struct error *err);

/* Builds a stage whose needs are built; what goes wrong is told with its place. */
int job_build_stage(struct job *job, size_t index, const struct instruction **out_at,
                    struct error *err);

/* All stages that are needed, as many at once as makes sense. */
int job_run(struct job *job, struct error *err);

#endif
