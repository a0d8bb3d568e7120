/* Building an image from a Dockerfile: parse, expand, plan, solve with a cache. How a RUN is
 * carried out is the worker's business (engine); files, layers and images go to the store. */
#ifndef BERTH_BUILD_BUILD_H
#define BERTH_BUILD_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"
#include "base/strv.h"
#include "build/secrets.h"
#include "record/database.h"
#include "spec/image.h"
#include "spec/platform.h"
#include "store/store.h"

/* A mount of a RUN, made already and detached; it is put on 'target' as it is. Borrowed. */
struct build_mount {
    const char *target; /* absolute */
    int fd;
};

/* One RUN: a process on a root made of 'chain_id' with changes going to 'writable'. */
struct build_run {
    const char *chain_id;
    const struct writable *writable;
    const struct strv *arguments, *environment;
    const char *working_dir, *user;
    const char *network_mode; /* "default", "none", "host" */
    const struct strv *extra_hosts;
    const char *hostname;
    const struct build_mount *mounts;
    size_t mount_count;
    bool is_privileged; /* --security=insecure */
    int64_t memory_bytes, memory_swap_bytes, cpu_shares, cpu_period_us, cpu_quota_us,
        shm_size_bytes;
    const char *cpuset_cpus, *cpuset_mems, *cgroup_parent;
    const struct json_list *ulimits; /* struct ulimit */
};

struct build_options;

struct build_worker {
    /* Runs it to its end. Output goes to 'output' as it comes (is_stderr tells which). The changes
     * of files that the engine mounts (/etc/hosts, resolv.conf, hostname) must not be in 'writable'
     * afterwards. CANCELLED when cancel_fd fires. 'out_id' is what "Running in" shows (64 hex,
     * known before the start through 'began'). */
    int (*run)(void *data, const struct build_run *run,
               void (*began)(void *output_data, const char *id),
               void (*output)(void *output_data, bool is_stderr, const char *text, size_t size),
               void *output_data, int cancel_fd, int *out_exit_code, struct error *err);
    void *data;
    /* Fetches an image that a build starts from and that is not here, or every one if the build
     * asks to pull. 'platform' NULL: this machine's, or the only one that there is. An image for
     * another platform is not named as the reference says, only by its digest: that name is the
     * machine's. NULL: images have to be here. */
    int (*pull)(void *data, const char *reference, const struct platform *platform,
                const struct build_options *options, struct image **out, struct error *err);
    /* Told when cache entries went, so that store_collect may run. NULL: nobody cares. */
    void (*collect)(void *data);
};

/* What happens, for clients that show steps themselves. */
enum build_event_type {
    BUILD_STEP_BEGAN, /* text: the instruction */
    BUILD_STEP_CACHED,
    BUILD_STEP_SAID,   /* text: output of its process */
    BUILD_STEP_DONE,   /* text: the image's id */
    BUILD_STEP_FAILED, /* text: why */
    BUILD_FINDING,     /* text: what a check found, in 'line', by the name 'rule' */
    BUILD_NOTE,        /* text: a line that belongs to no step */
};
struct build_event {
    enum build_event_type type;
    size_t stage, step, step_count; /* steps are counted from 1 */
    /* Its stage's name, NULL if it has none, and its number among those of the stage that change
     * files (FROM, RUN, COPY, ADD, WORKDIR); 0: it is none of them. */
    const char *stage_name;
    /* Of the stage ("linux/arm64"), and behind "->" what is built for if that is something else;
     * NULL unless the build is one of several. */
    const char *platform;
    size_t layer_step, layer_step_count;
    const char *rule; /* of a finding */
    int line;
    const char *text;
    size_t size;
    uint64_t elapsed_ns; /* since the step began */
};

/* A further context: files for COPY --from, RUN --mount and FROM under a name of their own. */
struct build_context {
    int fd; /* directory, -1: 'image' */
    char *image;
};

/* Images that hold steps for other builds: none, those of the image itself, or those of all stages
 * that it needed. */
enum build_cache_mode { BUILD_CACHE_NONE, BUILD_CACHE_MIN, BUILD_CACHE_MAX };

struct context_sync;
struct context_store;
struct build_attest;
struct dockerignore;

/* Builds of one request that run side by side. Without the cache each carries its steps out anew;
 * but those that are the same in all of them only once. Any thread. */
struct build_group;
struct build_group *build_group_new(void);
void build_group_free(struct build_group *group);

/* Where a context was fetched from. */
#define BUILD_COMMIT_SIZE 72
struct build_origin {
    const char *uri;
    char commit[BUILD_COMMIT_SIZE]; /* of a Git repository, "" otherwise */
};

struct build_options {
    /* Directory with the unpacked context (hostile: looked up in root only), or -1. The builder
     * removes files from it that .dockerignore excludes. */
    int context_fd;
    const char *dockerfile; /* path in the context; NULL: "Dockerfile" */
    /* Its text, if it is no file of the context; then 'dockerfile' is only what it is called. */
    const struct str *dockerfile_text;
    bool is_filtered; /* .dockerignore was applied already; the context stays as it is */
    const struct dockerignore *ignored; /* what it said then; NULL: look whether it is there */
    /* The context that a client keeps up to date here, filtered too; NULL: it is none. */
    struct context_sync *synced;
    const struct strv *tags;
    const struct map *arguments; /* build args; a NULL value: declared without value */
    const struct map *labels;
    /* 'platform' NULL: this machine's. A list with ',' between them is for engine_build. */
    const char *target, *platform, *network_mode;
    bool no_cache, quiet, remove_intermediate, force_remove, pull;
    /* The image is held (store_image_hold) when the build is over: for the caller to let go of. */
    bool holds_image;
    bool checks_only; /* looks at the Dockerfile, tells what is unwise, and builds nothing */
    const struct strv *no_cache_stages;  /* names or numbers of stages; may be NULL */
    const struct strv *entitlements;     /* "security.insecure"; may be NULL */
    const struct map *contexts;          /* name → struct build_context; may be NULL */
    const char *hostname;                /* of RUN; NULL: always the same */
    const struct build_secrets *secrets; /* NULL: there are none */
    const struct strv *extra_hosts;
    const struct strv *cache_from;    /* images whose steps count as done (build/cache_image.h) */
    enum build_cache_mode cache_mode; /* of what result->cache_images shall hold */
    const struct build_attest
        *attest;               /* what to attest of the image (build/attest.h); NULL: nothing */
    struct build_group *group; /* NULL: it is alone */
    const struct build_origin *origin; /* of the context; NULL: it came from the client */
    struct build_run limits;           /* resource fields only */
    int cancel_fd;
    /* Output in the form of the classic builder (spec/dockerfile.md section 13), piece by piece. */
    void (*stream)(void *data, const char *text, size_t size);
    void (*aux_id)(void *data, const char *image_id);
    void (*event)(void *data, const struct build_event *event); /* may be NULL */
    void *data;
    const void *pull_data; /* what worker->pull wants to know; may be NULL */
};

#define BUILD_HOSTNAME "buildsandbox"

struct builder;
int builder_open(struct store *store, struct database *database, const char *data_path,
                 const struct build_worker *worker, struct builder **out, struct error *err);
void builder_close(struct builder *builder);
CLEANUP_POINTER(builder_close, struct builder)

enum { BUILD_PLATFORM_LIMIT = 32 };

/* An image of a build for several platforms. */
struct build_image {
    char platform[64], image_id[72];
};

/* How a build ended, besides its error. */
struct build_result {
    char image_id[72];
    int exit_code; /* of a failed RUN, for errorDetail.code; 0 otherwise */
    /* Errors before the first step (parse error, unknown target…) leave it false: the API then
     * answers with a status instead of a stream. */
    bool has_begun;
    struct str location; /* where it failed: file, line and the lines around it; may be empty */
    char *file_name;     /* the same as data: NULL and 0 if it is not known */
    struct str file_text;
    int line;
    size_t finding_count;     /* of the checks */
    struct strv cache_images; /* ids, that of the target last; the caller removes them */
    /* Of a build for several platforms, in their order; 'image_id' is that of the first. */
    struct build_image *images;
    size_t image_count;
};
void build_result_done(struct build_result *result);
CLEANUP_VALUE(build_result_done, struct build_result)

/* Builds; several builds may run at once. 'out' is zeroed, and filled also when the build fails. */
int builder_build(struct builder *builder, const struct build_options *options,
                  struct build_result *out, struct error *err);

/* Applies Dockerfile lines (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, ONBUILD,
 * STOPSIGNAL, HEALTHCHECK) to a configuration: for import and commit. */
int build_apply_changes(const struct strv *changes, struct container_config *config,
                        struct error *err);

/* The contexts that clients keep up to date; borrowed. */
struct context_store *builder_contexts(struct builder *builder);

/* Layers that the cache keeps alive: asked by store_collect and image removal. */
bool builder_uses_layer(struct builder *builder, const char *chain_id);
/* Removes cache entries (all: also those in use by images). Gives what was removed and the bytes.
 * The layers themselves go when the caller runs store_collect. */
int builder_prune(struct builder *builder, bool all, struct strv *out_ids, int64_t *out_bytes,
                  struct error *err);

/* Unpacks a context archive (any compression; hostile) into an empty directory. 'archive' is
 * borrowed. What the context's .dockerignore excludes is left out later, by builder_build, which
 * knows the Dockerfile: clients of the classic builder applied it before, others did not. */
int build_context_unpack(struct stream *archive, int directory_fd, struct error *err);

/* Contexts from elsewhere: a Git repository ("…#ref:subdirectory"), or an archive or a lone
 * Dockerfile by http. The files go into the empty directory 'path'; 'out_fd' is the context: that
 * directory or one in it. 'arguments' are the build's, may be NULL. 'out_commit' (may be NULL) is
 * "" for what is no repository. */
bool build_context_is_remote(const char *text);
int build_context_fetch(const char *remote, const struct map *arguments, const char *path,
                        int cancel_fd, int *out_fd, char out_commit[BUILD_COMMIT_SIZE],
                        struct error *err);

#endif
