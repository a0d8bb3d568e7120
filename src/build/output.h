/* What the classic builder says while it works, piece by piece as clients get it. */
#ifndef BERTH_BUILD_OUTPUT_H
#define BERTH_BUILD_OUTPUT_H

#include "base/text.h"
#include "build/build.h"

struct output {
    const struct build_options *options;
    size_t step, step_count;
    char container_id[ID_LENGTH + 1]; /* of the step that runs, "" if none */
};

void output_text(struct output *output, const char *text);
void output_step(struct output *output, const char *instruction); /* "Step 2/5 : RUN x", newline */
void output_running(struct output *output, const char *container_id);
void output_removed(struct output *output); /* nothing if no container ran */
void output_cached(struct output *output);
void output_image(struct output *output, const char *image_id); /* " ---> 0123456789ab" */
void output_triggers(struct output *output, size_t count);
void output_error_text(struct output *output, const char *text, size_t size); /* in red */
void output_unused_args(struct output *output, const struct strv *names);
void output_stage_done(struct output *output, const char *image_id);
/* The end; with 'quiet' it is the only thing said. 'names' are familiar. */
void output_success(struct output *output, const char *image_id, const struct strv *names);

#endif
