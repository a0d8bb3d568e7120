/* What the classic builder says while it works, piece by piece as clients get it. Stages that run
 * side by side each have an output; what they say comes out in the order of the stages, each stage
 * whole: that of the first one that is not over at once, the rest when their turn comes. */
#ifndef BERTH_BUILD_OUTPUT_H
#define BERTH_BUILD_OUTPUT_H

#include "base/str.h"
#include "base/text.h"
#include "base/thread.h"
#include "build/build.h"

#define OUTPUT_HELD_LIMIT ((size_t)2 << 20) /* of one stage that is not its turn yet */

struct output;

/* The outputs of a build. */
struct outputs {
    const struct build_options *options;
    size_t step_count;
    struct mutex lock;
    struct output **items; /* in the order of their turns; guarded by lock */
    size_t count, current;
};
void outputs_init(struct outputs *outputs, const struct build_options *options);
void outputs_done(struct outputs *outputs);
/* Lets out what is held, as far as it got: after a failure. */
void outputs_flush(struct outputs *outputs);

struct output {
    struct outputs *all;
    size_t stage;           /* number told with events */
    const char *stage_name; /* borrowed; NULL: none */
    char *platform;         /* as events tell it; NULL: not at all */
    size_t layer_step, layer_step_count;
    bool is_layer_step;
    size_t step;
    uint64_t step_started_ns;
    char container_id[ID_LENGTH + 1]; /* of the step that runs, "" if none */
    struct str held;                  /* guarded by all->lock, as what follows */
    bool is_clipped, is_over;
    char image_id[72]; /* of the finished stage */
};
/* Its turn is behind those that were added before. */
void output_add(struct outputs *outputs, struct output *output, size_t first_step);
void output_done(struct output *output);
/* The stage is over: the next one has its turn. */
void output_finish(struct output *output, const char *image_id);

void output_text(struct output *output, const char *text);
void output_step(struct output *output, const char *instruction); /* "Step 2/5 : RUN x", newline */
void output_running(struct output *output, const char *container_id);
void output_removed(struct output *output); /* nothing if no container ran */
void output_cached(struct output *output);
void output_image(struct output *output, const char *image_id); /* " ---> 0123456789ab" */
void output_triggers(struct output *output, size_t count);
void output_said(struct output *output, bool is_stderr, const char *text, size_t size);
void output_error_text(struct output *output, const char *text, size_t size); /* in red */
void output_failed(struct output *output, const char *message);
/* A line for clients that show steps themselves, and what a check found. */
void outputs_note(struct outputs *outputs, const char *text);
void outputs_finding(struct outputs *outputs, const char *rule, int line, const char *text);
/* Does an instruction, as written, belong to those that change files? */
bool output_is_layer_step(const char *instruction);
/* Behind all stages. */
void outputs_unused_args(struct outputs *outputs, const struct strv *names);
/* The end; with 'quiet' it is the only thing said. 'names' are familiar. */
void output_success(struct outputs *outputs, const char *image_id, const struct strv *names);

#endif
