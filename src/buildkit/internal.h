/* What the files of the folder share: builds on their way, found by the reference that the client
 * gave them. Locks: buildkit.lock → solve.lock. */
#ifndef BERTH_BUILDKIT_INTERNAL_H
#define BERTH_BUILDKIT_INTERNAL_H

#include <stdatomic.h>

#include "build/build.h"
#include "buildkit/buildkit.h"
#include "buildkit/grpc.h"
#include "buildkit/peer.h"
#include "buildkit/trace.h"
#include "codec/protobuf.h"

enum {
    FINISHED_LIMIT = 4,          /* builds whose progress can be asked for though they are over */
    EXPORTER_LIMIT = 32,         /* outputs of one build */
    RESULT_LIMIT = 1024,         /* results that later builds may name as input */
    ATTRIBUTE_LIMIT = 4096,      /* entries of a map that a client sends */
    UPLOAD_WAIT_MS = 5000,       /* for a context, and for the build that wants it */
    SOLVE_WAIT_MS = 15000,       /* for a build that another call names and that has not come yet */
    DOCKERFILE_LIMIT = 16 << 20, /* bytes of Dockerfile and .dockerignore */
};

#define RESULT_ID_SIZE 33

/* An image that was built, as clients name it; or several, for as many platforms. */
struct built {
    char id[RESULT_ID_SIZE];
    char image_id[72];                               /* the only one, or the first */
    struct build_image images[BUILD_PLATFORM_LIMIT]; /* of several */
    size_t image_count;                              /* 0: there is only one */
    bool hides_attestations;                         /* from outputs that are no image */
};

/* An error with its details, as one call brings it and another one tells it. */
struct failure {
    struct error error;
    struct buf details; /* of google.rpc.Status: repeated Any */
};

/* A place for the steps of a build: a registry's reference, or a directory of the client's. */
struct cache_export {
    char *place;
    bool is_local, ignores_errors;
};

struct exporter {
    char *type;
    struct map attributes;
};

/* One build: the call Control/Solve, with those of the bridge that belong to it. */
struct solve {
    atomic_int reference_count;
    char *ref;
    struct trace progress;
    struct mutex lock;
    struct condition changed;
    /* Guarded by lock. */
    bool is_known;    /* Control/Solve has come: what follows is set, and does not change */
    bool is_returned; /* the client said what the result is */
    struct failure failure;
    char result_id[RESULT_ID_SIZE]; /* "" if there is none */
    struct map metadata;            /* of the result: name → struct buf */
    struct strv cache_images;       /* that hold its steps, for exports of the cache */
    struct strv held_images;        /* by the builds of its frontend, until it is over */
    bool is_let_go;                 /* it is over: nothing is held any more */
    /* Set before is_known. */
    char *session_id;
    struct strv entitlements;
    enum build_cache_mode cache_mode;
    int over_fd; /* an event: the build is over or called off */
};

struct buildkit {
    struct engine *engine;
    struct peers sessions;
    struct mutex lock;
    struct map solves;    /* ref → struct solve, a reference; guarded by lock */
    struct map results;   /* id → struct built; guarded by lock */
    struct strv finished; /* refs of builds that are over, oldest first; guarded by lock */
    struct map uploads;   /* build's ref → struct upload (borrowed); guarded by lock */
    struct condition uploads_changed;
};

/* ---- solves (solve.c) ---- */

/* What a client wants built. */
struct solve_request {
    char *ref, *session, *frontend;
    struct protobuf_field definition; /* borrowed */
    struct map attributes;            /* of the frontend */
    struct map inputs;                /* name → id of a result */
    struct stream *archive; /* the context, a tar archive; borrowed; NULL: see attributes */
    struct strv entitlements;
    struct exporter exporters[EXPORTER_LIMIT];
    size_t exporter_count;
    struct exporter first; /* as older clients say it */
    bool wants_session_exporter;
    enum build_cache_mode cache_mode;
    struct cache_export cache_exports[EXPORTER_LIMIT];
    size_t cache_export_count;
};
void solve_request_init(struct solve_request *out);
void solve_request_done(struct solve_request *request);
CLEANUP_VALUE(solve_request_done, struct solve_request)

/* The build of that reference, made if it is not there yet. */
struct solve *solve_get(struct buildkit *buildkit, const char *ref);
void solve_unref(struct solve *solve);
CLEANUP_POINTER(solve_unref, struct solve)
/* The same for calls that belong to one: waits until it is known. NOT_FOUND, CANCELLED. */
int solve_find(struct buildkit *buildkit, const char *ref, int cancel_fd, struct solve **out,
               struct error *err);
/* Makes the build known to the other calls that belong to it; takes the request's session.
 * CONFLICT. (control.c) */
int solve_announce(struct solve *solve, struct solve_request *request, struct error *err);
/* Builds and exports. 'call' (NULL is fine) gets the details of an error. (control.c) */
int solve_run(struct buildkit *buildkit, struct solve *solve, const struct solve_request *request,
              int cancel_fd, struct grpc_call *call, struct map *response, struct error *err);
/* It is over: its progress ends, and it is forgotten some time later. */
void solve_finish(struct buildkit *buildkit, struct solve *solve);

void built_add(struct buildkit *buildkit, struct built *built); /* gives it an id */
bool built_find(struct buildkit *buildkit, const char *id, struct built *out);

/* Takes over a hold on an image: it stays until the solve is over. */
void solve_hold_image(struct buildkit *buildkit, struct solve *solve, const char *image_id);

void failure_done(struct failure *failure);
CLEANUP_VALUE(failure_done, struct failure)
/* Makes it the error of a call; without one (NULL) its details are left out. */
int failure_tell(const struct failure *failure, struct grpc_call *call, struct error *err);

/* ---- the Dockerfile frontend (frontend.c) ---- */

struct frontend_request {
    const struct map *attributes; /* texts */
    const struct map *inputs;     /* name → id of a result */
    struct stream *archive;       /* the context, a tar archive; borrowed; NULL: see attributes */
    struct solve *solve;
    int cancel_fd;
};
struct frontend_result {
    struct built built;  /* id "" if nothing was built */
    struct map metadata; /* name → struct buf */
};
/* Builds what the attributes say. 'failure' gets the place of an error in the Dockerfile as details
 * besides. */
int frontend_build(struct buildkit *buildkit, const struct frontend_request *request,
                   struct frontend_result *out, struct failure *failure);

/* ---- steps of other builds (cache.c) ---- */

/* One of Control/Solve's exports of the cache: what is not known of it is refused. */
int cache_export_take(const char *type, const struct map *attributes, struct solve_request *request,
                      struct error *err);
/* Carries them out after a build that went well ('built' 0, else it is the answer); the images that
 * hold the steps go in any case. 'response' gets what the client writes into its directories. */
int cache_exports_run(struct buildkit *buildkit, struct solve *solve,
                      const struct solve_request *request, int cancel_fd, int built,
                      struct map *response, struct error *err);

struct cache_imports {
    struct buildkit *buildkit;
    struct solve *solve;
    struct peer *session;
    int cancel_fd;
    bool is_unused; /* the build looks at none: they are checked only */
};
/* The imports that the frontend's attributes name, as names of images: those of registries, and
 * images that came out of directories, which stay until the solve is over. A directory that cannot
 * be read is told, and done without. */
int cache_imports_run(const struct cache_imports *imports, const struct map *attributes,
                      struct strv *out, struct error *err);

/* ---- checks (checks.c) ---- */

struct build_input;
struct json_writer;
struct checks_request {
    struct engine *engine;
    const char *file_name;
    const struct str *file_text;
};
/* Runs the checks alone, 'options' being those of the build: 'out' has what clients show of them.
 */
int checks_run(const struct checks_request *request, const struct build_input *input,
               struct build_options *options, struct build_result *result,
               struct frontend_result *out, struct error *err);

/* A place in a file: {"start":{"line":n},"end":{"line":n}}. */
void line_range_write(struct json_writer *w, int line);

/* ---- LLB (llb.c) ---- */

/* The definition that stands for a result of ours: appended to 'out'. */
void llb_write_result(const char *id, struct buf *out);
/* Reads one: 1 and the id that it stands for, 0 if it is empty. UNSUPPORTED, with the name of the
 * operation, for anything else. */
int llb_read_result(const void *definition, size_t size, char out_id[RESULT_ID_SIZE],
                    struct error *err);

/* One entry of a map from names to definitions: adds the name and the id to 'inputs'. */
int llb_read_input(const struct protobuf_field *field, struct map *inputs, struct error *err);

/* ---- what clients say and this engine does not do (refusal.c) ---- */

/* A Policy of sources: UNSUPPORTED unless it has no rules. */
int source_policy_check(const struct protobuf_field *field, struct error *err);
int source_policy_refuse(struct error *err);

/* ---- results (export.c) ---- */

/* Carries one exporter out; adds to 'response' (texts) what the client is told. */
int export_result(struct buildkit *buildkit, struct solve *solve, const struct built *built,
                  const struct exporter *exporter, size_t index, int cancel_fd,
                  struct map *response, struct error *err);
/* Does an exporter of that type name the image here, so that it stays? */
bool export_keeps(const char *type);

/* ---- methods, for the table in buildkit.c ---- */

int control_solve(struct grpc_call *call, void *buildkit, struct error *err);
int control_status(struct grpc_call *call, void *buildkit, struct error *err);
int control_list_workers(struct grpc_call *call, void *buildkit, struct error *err);
int control_info(struct grpc_call *call, void *buildkit, struct error *err);
int control_disk_usage(struct grpc_call *call, void *buildkit, struct error *err);
int control_prune(struct grpc_call *call, void *buildkit, struct error *err);
int control_history(struct grpc_call *call, void *buildkit, struct error *err);
int control_session(struct grpc_call *call, void *buildkit, struct error *err);
int bridge_ping(struct grpc_call *call, void *buildkit, struct error *err);
int bridge_solve(struct grpc_call *call, void *buildkit, struct error *err);
int bridge_return(struct grpc_call *call, void *buildkit, struct error *err);
int bridge_evaluate(struct grpc_call *call, void *buildkit, struct error *err);
int bridge_inputs(struct grpc_call *call, void *buildkit, struct error *err);
int health_check(struct grpc_call *call, void *buildkit, struct error *err);

/* The worker record that several answers hold. */
void control_write_worker(struct buf *out);

#endif
