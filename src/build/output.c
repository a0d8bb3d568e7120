/* The classic builder's texts, and events for clients that draw steps themselves. */
#include "build/output.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/golang.h"

#include "base/banned.h"

#define CLIPPED "[output clipped]\n"

static void send(const struct build_options *options, const char *text, size_t size)
{
    if (options->stream && size > 0)
        options->stream(options->data, text, size);
}

static void end_step(struct output *output, const char *image_id);

/* ---- turns ---- */

void outputs_init(struct outputs *outputs, const struct build_options *options)
{
    *outputs = (struct outputs){ .options = options };
    mutex_init(&outputs->lock);
}

void outputs_done(struct outputs *outputs)
{
    mutex_done(&outputs->lock);
    free(outputs->items);
}

static void let_out(struct output *output)
{
    send(output->all->options, str_text(&output->held), output->held.length);
    str_clear(&output->held);
}

void output_add(struct outputs *outputs, struct output *output, size_t first_step)
{
    *output = (struct output){ .all = outputs, .step = first_step, .stage = outputs->count };
    outputs->items = xrealloc(outputs->items, outputs->count + 1, sizeof(output));
    outputs->items[outputs->count++] = output;
}

void output_done(struct output *output)
{
    str_done(&output->held);
    free(output->platform);
}

static void end_turns(struct outputs *outputs) REQUIRES(outputs->lock)
{
    const struct build_options *options = outputs->options;

    while (outputs->current < outputs->count && outputs->items[outputs->current]->is_over) {
        struct output *output = outputs->items[outputs->current];

        let_out(output);
        if (options->aux_id && *output->image_id && !options->quiet)
            options->aux_id(options->data, output->image_id);
        outputs->current++;
    }
    if (outputs->current < outputs->count)
        let_out(outputs->items[outputs->current]);
}

void output_finish(struct output *output, const char *image_id)
{
    struct outputs *outputs = output->all;

    end_step(output, image_id);
    mutex_lock(&outputs->lock);
    snprintf(output->image_id, sizeof(output->image_id), "%s", image_id);
    output->is_over = true;
    end_turns(outputs);
    mutex_unlock(&outputs->lock);
}

void outputs_flush(struct outputs *outputs)
{
    mutex_lock(&outputs->lock);
    for (size_t i = 0; i < outputs->count; i++)
        let_out(outputs->items[i]);
    mutex_unlock(&outputs->lock);
}

/* ---- texts ---- */

static void stream(struct output *output, const char *text, size_t size)
{
    struct outputs *outputs = output->all;

    if (outputs->options->quiet)
        return;
    mutex_lock(&outputs->lock);
    if (outputs->current < outputs->count && outputs->items[outputs->current] == output) {
        let_out(output);
        send(outputs->options, text, size);
    } else if (output->held.length + size <= OUTPUT_HELD_LIMIT) {
        str_add_bytes(&output->held, text, size);
    } else if (!output->is_clipped) {
        output->is_clipped = true;
        str_add(&output->held, CLIPPED);
    }
    mutex_unlock(&outputs->lock);
}

void output_text(struct output *output, const char *text)
{
    stream(output, text, strlen(text));
}

static void PRINTF(2, 3) say(struct output *output, const char *format, ...)
{
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    output_text(output, str_text(&text));
}

/* The first digits of an id, without its "sha256:". */
static const char *digits(const char *id)
{
    return text_starts(id, "sha256:") ? id + strlen("sha256:") : id;
}

static void tell(struct output *output, enum build_event_type type, const char *text, size_t size)
{
    const struct build_options *options = output->all->options;
    struct build_event event = {
        .type = type,
        .stage = output->stage,
        .step = output->step,
        .step_count = output->all->step_count,
        .stage_name = output->stage_name,
        .platform = output->platform,
        .layer_step = output->is_layer_step ? output->layer_step : 0,
        .layer_step_count = output->layer_step_count,
        .text = text,
        .size = size,
        .elapsed_ns = output->step_started_ns ? clock_monotonic_ns() - output->step_started_ns : 0,
    };

    if (!options->event)
        return;
    mutex_lock(&output->all->lock);
    options->event(options->data, &event);
    mutex_unlock(&output->all->lock);
}

static void end_step(struct output *output, const char *image_id)
{
    if (output->step_started_ns)
        tell(output, BUILD_STEP_DONE, image_id, strlen(image_id));
    output->step_started_ns = 0;
}

bool output_is_layer_step(const char *instruction)
{
    static const char *const words[] = { "FROM", "RUN", "COPY", "ADD", "WORKDIR" };
    size_t length = strcspn(instruction, " \t");

    for (size_t i = 0; i < COUNT(words); i++)
        if (strlen(words[i]) == length && strncasecmp(words[i], instruction, length) == 0)
            return true;
    return false;
}

void output_step(struct output *output, const char *instruction)
{
    say(output, "Step %zu/%zu : %s", ++output->step, output->all->step_count, instruction);
    output_text(output, "\n");
    output->is_layer_step = output_is_layer_step(instruction);
    output->layer_step += output->is_layer_step;
    output->step_started_ns = clock_monotonic_ns();
    tell(output, BUILD_STEP_BEGAN, instruction, strlen(instruction));
}

void output_running(struct output *output, const char *container_id)
{
    snprintf(output->container_id, sizeof(output->container_id), "%s", container_id);
    say(output, " ---> Running in %.*s\n", SHORT_ID_LENGTH, container_id);
}

void output_removed(struct output *output)
{
    if (*output->container_id)
        say(output, " ---> Removed intermediate container %.*s\n", SHORT_ID_LENGTH,
            output->container_id);
    *output->container_id = 0;
}

void output_cached(struct output *output)
{
    output_text(output, " ---> Using cache\n");
    tell(output, BUILD_STEP_CACHED, "", 0);
}

void output_image(struct output *output, const char *image_id)
{
    say(output, " ---> %.*s\n", SHORT_ID_LENGTH, digits(image_id));
    end_step(output, image_id);
}

void output_triggers(struct output *output, size_t count)
{
    say(output, "# Executing %zu build trigger%s\n", count, count == 1 ? "" : "s");
}

void output_error_text(struct output *output, const char *text, size_t size)
{
    CLEANUP(str_done) struct str red = {};

    str_add(&red, "\x1b[91m");
    str_add_bytes(&red, text, size);
    str_add(&red, "\x1b[0m");
    stream(output, red.data, red.length);
}

void output_said(struct output *output, bool is_stderr, const char *text, size_t size)
{
    if (is_stderr)
        output_error_text(output, text, size);
    else
        stream(output, text, size);
    tell(output, BUILD_STEP_SAID, text, size);
}

void output_failed(struct output *output, const char *message)
{
    if (output->step_started_ns)
        tell(output, BUILD_STEP_FAILED, message, strlen(message));
    output->step_started_ns = 0;
}

static void tell_all(struct outputs *outputs, const struct build_event *event)
{
    const struct build_options *options = outputs->options;

    if (!options->event)
        return;
    mutex_lock(&outputs->lock);
    options->event(options->data, event);
    mutex_unlock(&outputs->lock);
}

void outputs_note(struct outputs *outputs, const char *text)
{
    const struct build_event event = { .type = BUILD_NOTE, .text = text, .size = strlen(text) };

    tell_all(outputs, &event);
}

void outputs_finding(struct outputs *outputs, const char *rule, int line, const char *text)
{
    const struct build_event event = {
        .type = BUILD_FINDING, .rule = rule, .line = line, .text = text, .size = strlen(text)
    };

    tell_all(outputs, &event);
}

void outputs_unused_args(struct outputs *outputs, const struct strv *names)
{
    CLEANUP(str_done) struct str list = {}, text = {};

    if (names->count == 0 || outputs->options->quiet)
        return;
    go_add_list(&list, names);
    str_add_format(&text, "[Warning] One or more build-args %s were not consumed\n", list.data);
    outputs_note(outputs, text.data);
    send(outputs->options, text.data, text.length);
}

void output_success(struct outputs *outputs, const char *image_id, const struct strv *names)
{
    bool is_quiet = outputs->options->quiet;
    CLEANUP(free)
    char *built = is_quiet
                      ? xasprintf("%s\n", image_id)
                      : xasprintf("Successfully built %.*s\n", SHORT_ID_LENGTH, digits(image_id));

    send(outputs->options, built, strlen(built));
    for (size_t i = 0; !is_quiet && i < names->count; i++) { /* clients look at each by itself */
        CLEANUP(free) char *line = xasprintf("Successfully tagged %s\n", names->items[i]);

        send(outputs->options, line, strlen(line));
    }
}
