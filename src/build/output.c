/* The classic builder's texts. */
#include "build/output.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/golang.h"

#include "base/banned.h"

static void stream(struct output *output, const char *text, size_t size)
{
    if (output->options->stream && size > 0)
        output->options->stream(output->options->data, text, size);
}

void output_text(struct output *output, const char *text)
{
    if (!output->options->quiet)
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

void output_step(struct output *output, const char *instruction)
{
    say(output, "Step %zu/%zu : %s", ++output->step, output->step_count, instruction);
    output_text(output, "\n");
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
}

void output_image(struct output *output, const char *image_id)
{
    say(output, " ---> %.*s\n", SHORT_ID_LENGTH, digits(image_id));
}

void output_triggers(struct output *output, size_t count)
{
    say(output, "# Executing %zu build trigger%s\n", count, count == 1 ? "" : "s");
}

void output_error_text(struct output *output, const char *text, size_t size)
{
    CLEANUP(str_done) struct str red = {};

    if (output->options->quiet)
        return;
    str_add(&red, "\x1b[91m");
    str_add_bytes(&red, text, size);
    str_add(&red, "\x1b[0m");
    stream(output, red.data, red.length);
}

void output_unused_args(struct output *output, const struct strv *names)
{
    CLEANUP(str_done) struct str list = {};

    if (names->count == 0)
        return;
    go_add_list(&list, names);
    say(output, "[Warning] One or more build-args %s were not consumed\n", list.data);
}

void output_stage_done(struct output *output, const char *image_id)
{
    if (output->options->aux_id && *image_id && !output->options->quiet)
        output->options->aux_id(output->options->data, image_id);
}

void output_success(struct output *output, const char *image_id, const struct strv *names)
{
    if (output->options->quiet) {
        CLEANUP(free) char *line = xasprintf("%s\n", image_id);

        stream(output, line, strlen(line));
        return;
    }
    say(output, "Successfully built %.*s\n", SHORT_ID_LENGTH, digits(image_id));
    for (size_t i = 0; i < names->count; i++)
        say(output, "Successfully tagged %s\n", names->items[i]);
}
