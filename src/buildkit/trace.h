/* What clients are shown of a build while it runs: steps ("vertexes") with a name, when they began
 * and ended, amounts, output and warnings, as the messages of Control/Status. All messages of a
 * build are kept, so that who asks late sees the same. */
#ifndef BERTH_BUILDKIT_TRACE_H
#define BERTH_BUILDKIT_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "base/thread.h"
#include "build/build.h"

enum {
    TRACE_OUTPUT_LIMIT = 2 << 20, /* bytes of one step's output; the rest is left out */
    TRACE_TOTAL_LIMIT = 16 << 20, /* of all messages of a build */
};

struct trace {
    char *ref;
    struct mutex lock;
    struct condition changed;
    struct map vertexes; /* key → struct vertex; guarded by lock, as what follows */
    struct buf *messages;
    size_t count, capacity, total_size;
    bool is_over;
    /* Of the Dockerfile, for warnings. */
    char *file_name;
    struct str file_text;
};
void trace_init(struct trace *progress, const char *ref);
void trace_done(struct trace *progress);

/* ---- telling; a step is known by a key of the caller's ---- */

void trace_begin(struct trace *progress, const char *key, const char *name);
void trace_cached(struct trace *progress, const char *key);
void trace_end(struct trace *progress, const char *key, const char *error); /* NULL: done */
void trace_output(struct trace *progress, const char *key, bool is_stderr, const char *text,
                  size_t size);
/* Something that a step does: "transferring context", so many bytes. */
void trace_amount(struct trace *progress, const char *key, const char *what, int64_t current,
                  int64_t total, bool is_done);
/* A step of the builder, or a finding. */
void trace_event(struct trace *progress, const struct build_event *event);
/* The file that findings are in. */
void trace_set_file(struct trace *progress, const char *name, const char *text);
/* Nothing will follow; steps that did not end are told to have been called off. */
void trace_finish(struct trace *progress);

/* ---- reading ---- */

/* The message at 'index' as soon as it is there: 1 and a copy, 0: there is none any more.
 * CANCELLED when 'cancel_fd' is readable. */
int trace_next(struct trace *progress, size_t index, int cancel_fd, struct buf *out,
               struct error *err);

#endif
