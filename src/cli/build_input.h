/* Where the files of a build come from: a directory that the engine keeps or is sent, an archive or
 * a Dockerfile on stdin, or a place that the engine fetches from itself. */
#ifndef BERTH_CLI_BUILD_INPUT_H
#define BERTH_CLI_BUILD_INPUT_H

#include "base/stream.h"
#include "cli/build_options.h"
#include "cli/context_sync.h"

/* What is sent, and what is told in the query. */
struct build_input {
    struct stream *body;
    struct str archive;              /* memory behind the body, if it has any */
    struct strv directories, places; /* of further contexts: on our side, in the archive */
    struct strv contexts;            /* "name=dir:0" */
    char *dockerfile;
    struct str extra; /* a Dockerfile from outside of the context, if there is one */
    bool has_extra;
    struct context_syncing synced; /* instead of all of them */
    struct strv cache_from;        /* images that the engine has now */
    struct strv attestations;      /* "provenance=mode=max" */
    struct strv cache_to;    /* registries to which the engine sends the steps of all stages */
    bool wants_cache_images; /* to be saved here */
};

void build_input_done(struct build_input *input);
CLEANUP_VALUE(build_input_done, struct build_input)

/* 'context' is the argument of the command. */
int build_input_open(struct cli *cli, const struct build_options *options, const char *context,
                     struct build_input *out, struct error *err);

/* Does the engine fetch it? */
bool build_context_is_remote(const char *text);

#endif
