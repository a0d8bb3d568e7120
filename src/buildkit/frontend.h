/* What the files of the Dockerfile frontend share: one build, and what it has of the client. */
#ifndef BERTH_BUILDKIT_FRONTEND_H
#define BERTH_BUILDKIT_FRONTEND_H

#include "buildkit/internal.h"
#include "engine/build.h"
#include "engine/image_registry.h"

/* One build by the frontend. */
struct frontend {
    struct buildkit *buildkit;
    const struct frontend_request *request;
    struct trace *progress;
    struct peer *session;
    int cancel_fd; /* readable when the call or the build is called off */
    char *temporary_path;
    struct context_kept kept; /* where the context is kept; path NULL: not */
    int64_t kept_size;        /* of what it holds; -1: not known */
    int context_fd;
    struct map directories; /* named contexts: name → descriptor + 1 */
    struct map contexts;    /* those that the builder fetches: name → text */
    struct str file_text;   /* of the Dockerfile; has_file */
    bool has_file;
    struct dockerignore *ignored; /* what of the client's context did not come; NULL */
    struct stream *archive;
    struct strv tags, extra_hosts, no_cache_stages, cache_from;
    struct map arguments, labels;
    struct json_list ulimits;
    struct build_pulls pulls;
    struct build_secrets secrets;
    struct build_attest attest;
};

/* NULL if the client did not say it. */
const char *frontend_attribute(const struct frontend *frontend, const char *name);
/* Of the Dockerfile. */
const char *frontend_file_name(const struct frontend *frontend);

/* Brings everything that comes from the client: the Dockerfile, the context (or the archive), and
 * named contexts, without what .dockerignore leaves out. (frontend_context.c) */
int frontend_bring(struct frontend *frontend, struct error *err);

#endif
