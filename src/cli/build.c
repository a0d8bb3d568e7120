/* build */
#include "cli/build.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/build_cache.h"
#include "cli/build_input.h"
#include "cli/build_lend.h"
#include "cli/build_output.h"
#include "cli/build_progress.h"
#include "cli/build_query.h"
#include "cli/credentials.h"
#include "cli/labelled.h"
#include "cli/platform_query.h"

#include "base/banned.h"

/* 'digest' is that of the index of images for several platforms, NULL if none was made. */
static int write_metadata(const struct build_options *options, const struct build_told *told,
                          const char *digest, struct error *err)
{
    bool is_lone = told->images.count == 0;
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *names = strv_join(&options->tag, ",");
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    if (is_lone)
        json_add_text(&w, "containerimage.config.digest", told->id);
    if (is_lone || digest)
        json_add_text(&w, "containerimage.digest", digest ?: told->id);
    if (options->tag.count)
        json_add_text(&w, "image.name", names);
    json_end_dict(&w);
    str_add(&text, "\n");
    return file_write_atomic(options->metadata_file, text.data, text.length, 0644, false, err);
}

/* An image that was only a way to a cache: it is this build's alone. */
static void forget_image(struct cli *cli, const char *id)
{
    CLEANUP(client_path_done) struct client_path remove = {};
    struct error ignored;

    client_path_begin(&remove, "/images/%s", id);
    client_call(cli->client, "DELETE", &remove, NULL, NULL, &ignored);
}

/* Is the image only a way to its outputs? The engine holds it for them then. */
static bool is_passing(const struct build_options *options, const struct build_outputs *outputs)
{
    bool is_kept = options->tag.count > 0 || options->load || outputs->count == 0;

    if (build_options_is_several(options))
        return true;
    for (size_t i = 0; i < outputs->count; i++)
        is_kept |= outputs->items[i].type == OUTPUT_IMAGE ||
                   (outputs->items[i].type == OUTPUT_DOCKER && !outputs->items[i].destination);
    return !is_kept;
}

/* Images for several platforms have no place here: they need one elsewhere. */
static int check_several(const struct build_options *options, const struct build_outputs *outputs,
                         struct error *err)
{
    if (!build_options_is_several(options) || options->check)
        return 0;
    if (options->load || (outputs->count == 0 && !options->push))
        return error_set(err, ERROR_UNSUPPORTED,
                         "building for several platforms (%s) needs an output: --push, or one of "
                         "type oci, local or tar",
                         platform_or_default(options->platform));
    for (size_t i = 0; i < outputs->count; i++)
        if (build_output_check_several(&outputs->items[i], err) < 0)
            return -1;
    return 0;
}

static int write_outputs(struct cli *cli, const struct build_options *options,
                         const struct build_outputs *outputs, const struct build_told *told,
                         char **io_digest, struct error *err)
{
    const struct build_output_source source = { told->id, &told->images, &options->tag };
    const struct build_output pushed = { .type = OUTPUT_IMAGE, .is_pushed = true };

    if (options->push && build_output_write(cli, &pushed, &source, io_digest, err) < 0)
        return -1;
    for (size_t i = 0; i < outputs->count; i++)
        if (build_output_write(cli, &outputs->items[i], &source, io_digest, err) < 0)
            return -1;
    return 0;
}

static int finish(struct cli *cli, const struct build_options *options,
                  const struct build_outputs *outputs, const struct build_told *told,
                  struct error *err)
{
    CLEANUP(free) char *digest = NULL; /* of an index */

    int written = build_caches_write(cli, &options->cache_to, told->id, &told->cache_images, err);
    for (size_t i = 0; i < told->cache_images.count; i++)
        forget_image(cli, told->cache_images.items[i]);
    if (written < 0 || write_outputs(cli, options, outputs, told, &digest, err) < 0)
        return -1;
    const char *id = digest ?: told->id;
    if (options->iidfile &&
        file_write_atomic(options->iidfile, id, strlen(id), 0644, false, err) < 0)
        return -1;
    return options->metadata_file ? write_metadata(options, told, digest, err) : 0;
}

/* What the builder says at its end, where it was not let. */
static void tell(const struct cli *cli, const struct build_options *options,
                 const struct build_outputs *outputs, enum progress_style style, const char *id)
{
    CLEANUP(labelled_done) struct labelled out = { .label = cli->label };
    const char *digits = text_starts(id, "sha256:") ? id + strlen("sha256:") : id;

    for (size_t i = 0; i < outputs->count; i++)
        if (text_equal(outputs->items[i].destination, "-"))
            return;
    if (style == PROGRESS_QUIET)
        puts(id);
    if (style != PROGRESS_TTY && style != PROGRESS_PLAIN)
        return;
    labelled_print(&out, "Successfully built %.12s\n", digits);
    for (size_t i = 0; i < options->tag.count; i++)
        labelled_print(&out, "Successfully tagged %s\n", options->tag.items[i]);
}

/* With all that the user is to registries: any of them may have what a FROM names. */
static int send_context(struct cli *cli, const struct client_path *path, struct build_input *input,
                        struct client_messages *messages, struct error *err)
{
    CLEANUP(map_done) struct map headers;
    CLEANUP(stream_close) struct stream *text = NULL;
    struct stream *body = input->body;
    const char *type = body ? "application/x-tar" : NULL;
    struct error why = {};
    CLEANUP(free) char *known = credentials_all_header(&why);

    map_init_empty(&headers, free);
    if (known)
        map_set_text(&headers, "X-Registry-Config", known);
    else if (why.kind != ERROR_NONE)
        fprintf(stderr, "WARNING: building without credentials: %s\n", why.text);
    if (input->synced.id) {
        text = stream_from_memory(str_text(&input->synced.dockerfile),
                                  input->synced.dockerfile.length);
        body = text;
        type = "text/plain";
    }
    return client_stream_with(cli->client, "POST", path, &headers, body, type, &messages->response,
                              err);
}

static int send(struct cli *cli, const struct build_options *options, const char *context,
                struct build_input *input, const char *lender_id, bool is_held,
                enum progress_style style, struct client_messages *messages, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/build");
    build_query_add(cli, &path, options, input, context);
    client_path_query(&path, "lender", lender_id);
    client_path_query(&path, "hold", is_held ? "1" : NULL);
    client_path_query(&path, "q", style == PROGRESS_QUIET ? "1" : NULL);
    client_path_query(&path, "steps", progress_wants_steps(style) ? "1" : NULL);
    return send_context(cli, &path, input, messages, err);
}

static int run(struct cli *cli, const struct build_options *options, const char *context,
               bool is_silent, struct error *err)
{
    CLEANUP(build_outputs_done) struct build_outputs outputs = {};
    CLEANUP(build_input_done) struct build_input input = {};
    CLEANUP(build_lending_end) struct build_lending *lending = NULL;
    CLEANUP(build_told_done) struct build_told told = {};
    struct client_messages messages = {};
    enum progress_style style;

    if (progress_style_read(options->progress, &style, err) < 0 ||
        build_outputs_read(&options->output, &outputs, err) < 0 ||
        build_options_check(options, err) < 0 || check_several(options, &outputs, err) < 0)
        return -1;
    if (options->quiet)
        style = PROGRESS_QUIET;
    if (options->check)
        style = PROGRESS_CLASSIC;
    for (size_t i = 0; i < outputs.count; i++)
        if (text_equal(outputs.items[i].destination, "-") && style != PROGRESS_QUIET)
            return error_set(err, ERROR_INVALID,
                             "an output on stdout needs --progress=quiet: both would mix");
    int result = build_options_attestations(options, &input.attestations, err);
    if (result == 0)
        result = build_caches_read(&options->cache_to, &input.cache_to, &input.wants_cache_images,
                                   err);
    if (result == 0)
        result = build_input_open(cli, options, context, &input, err);
    const struct build_loan loan = { &options->secret, &options->ssh,
                                     is_passing(options, &outputs) && !options->check,
                                     build_cache_is_local(&options->cache_from) };
    if (result == 0)
        result = build_lending_begin(cli, &loan, &lending, err);
    if (result == 0)
        result = build_cache_bring(cli, build_lending_id(lending), &options->cache_from,
                                   &input.cache_from, err);
    if (result == 0)
        result = send(cli, options, context, &input, build_lending_id(lending), loan.holds_image,
                      style, &messages, err);
    if (result == 0)
        result = build_progress_follow(cli, &messages, style, &told, err);
    client_messages_done(&messages);
    if (result == 0 && told.id && !is_silent)
        tell(cli, options, &outputs, style, told.id);
    if (result == 0 && told.id)
        result = finish(cli, options, &outputs, &told, err);
    return result;
}

static int build(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    return run(cli, parsed, arguments->items[0], false, err);
}

int cli_build(struct cli *cli, const struct strv *words, bool is_silent, struct error *err)
{
    struct build_options options = {};
    CLEANUP(strv_done) struct strv rest = {};
    bool wants_help;

    strv_init_empty(&rest);
    int result = options_parse(build_option_rows, words->items, false, &options, &rest, &wants_help,
                               err);
    if (result == 0 && is_silent)
        options.quiet = true;
    if (result == 0)
        result = run(cli, &options, rest.items[0], is_silent, err);
    options_done(build_option_rows, &options);
    return result;
}

const struct command command_build = {
    .name = "build",
    .usage = "[OPTIONS] PATH | URL | -",
    .summary = "Build an image from a Dockerfile",
    .least = 1,
    .most = 1,
    .options = build_option_rows,
    .options_size = sizeof(struct build_options),
    .run = build,
};
