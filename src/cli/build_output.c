/* Files of an image, or the image itself, in a place of the user's. */
#include "cli/build_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "archive/extract.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/csv.h"
#include "cli/registry.h"
#include "cli/terminal.h"
#include "spec/reference.h"

#include "base/banned.h"

static const char *const type_names[] = { "image", "local", "tar", "oci", "docker" };

void build_output_done(struct build_output *output)
{
    free(output->destination);
    free(output->name);
    *output = (struct build_output){};
}

static int read_type(const char *name, struct build_output *out, struct error *err)
{
    if (strcmp(name, "registry") == 0) {
        out->type = OUTPUT_IMAGE;
        out->is_pushed = true;
        return 0;
    }
    for (size_t i = 0; i < COUNT(type_names); i++)
        if (strcmp(type_names[i], name) == 0) {
            out->type = i;
            return 0;
        }
    return error_set(
        err, ERROR_INVALID,
        "exporter \"%s\" could not be found: image, registry, local, tar, oci or docker", name);
}

static int read_switch(const char *text, bool *out, struct error *err)
{
    return text_parse_bool(text, out)
               ? 0
               : error_set(err, ERROR_INVALID, "invalid value in output: %s", text);
}

static int read_field(const char *field, struct build_output *out, bool *has_type,
                      struct error *err)
{
    if (text_starts(field, "type=")) {
        *has_type = true;
        return read_type(field + 5, out, err);
    }
    if (text_starts(field, "name=")) {
        free(out->name);
        out->name = xstrdup(field + 5);
        return 0;
    }
    if (text_starts(field, "push="))
        return read_switch(field + 5, &out->is_pushed, err);
    if (text_starts(field, "tar=")) {
        bool is_archive;

        if (read_switch(field + 4, &is_archive, err) < 0)
            return -1;
        out->is_directory = !is_archive;
        return 0;
    }
    if (text_starts(field, "platform-split=")) {
        bool is_split;

        if (read_switch(field + strlen("platform-split="), &is_split, err) < 0)
            return -1;
        out->is_merged = !is_split;
        return 0;
    }
    if (!text_starts(field, "dest="))
        return error_set(err, ERROR_INVALID, "unexpected output attribute: %s", field);
    free(out->destination);
    out->destination = xstrdup(field + 5);
    return 0;
}

int build_output_read(const char *text, struct build_output *out, struct error *err)
{
    CLEANUP(build_output_done) struct build_output output = {};
    CLEANUP(strv_done) struct strv fields = {};
    bool has_type = false;

    if (!strchr(text, '=')) {
        output.type = strcmp(text, "-") == 0 ? OUTPUT_TAR : OUTPUT_LOCAL;
        output.destination = xstrdup(text);
    } else {
        if (csv_split(text, &fields, err) < 0)
            return -1;
        for (size_t i = 0; i < fields.count; i++)
            if (read_field(fields.items[i], &output, &has_type, err) < 0)
                return -1;
        if (!has_type)
            return error_set(err, ERROR_INVALID, "type is required for output");
    }
    if (output.type == OUTPUT_LOCAL &&
        (!output.destination || strcmp(output.destination, "-") == 0))
        return error_set(err, ERROR_INVALID, "dest is required for local output");
    if ((output.type == OUTPUT_TAR || output.type == OUTPUT_OCI) && !output.destination)
        output.destination = xstrdup("-");
    if (output.is_directory && (!output.destination || strcmp(output.destination, "-") == 0))
        return error_set(err, ERROR_INVALID, "dest is required for tar=false");
    if ((output.is_pushed || output.name) && output.type != OUTPUT_IMAGE)
        return error_set(err, ERROR_INVALID, "push and name are for images: %s", text);
    if (output.is_merged && output.type != OUTPUT_LOCAL && output.type != OUTPUT_TAR)
        return error_set(err, ERROR_INVALID, "platform-split is for local and tar: %s", text);
    if (output.destination && strcmp(output.destination, "-") == 0 && terminal_is(STDOUT_FILENO))
        return error_set(err, ERROR_INVALID,
                         "dest file is required for %s output: refusing to write "
                         "to the terminal",
                         type_names[output.type]);
    *out = output;
    output = (struct build_output){};
    return 0;
}

/* ---- writing ---- */

static int unpack(struct http_response *response, const char *path, struct error *err)
{
    const struct extract_options options = { .keeps_owners = geteuid() == 0,
                                             .skips_devices = true,
                                             .cancel_fd = -1 };
    CLEANUP(close) int fd = -1;

    if (dir_make(path, 0755, err) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", path);
    return extract_archive(http_response_stream(response), fd, &options, err);
}

/* The file gets its name when it is whole. */
static int write_file(struct http_response *response, const char *path, struct error *err)
{
    bool is_stdout = strcmp(path, "-") == 0;
    CLEANUP(free) char *temporary = xasprintf("%s.berth-%d", path, (int)getpid());
    CLEANUP(close)
    int fd = is_stdout ? dup(STDOUT_FILENO)
                       : open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_sys(err, "create %s", temporary);
    CLEANUP(stream_close) struct stream *out = stream_from_fd(fd, 0);
    int result = stream_copy(http_response_stream(response), out, err) < 0 ? -1 : 0;

    if (is_stdout)
        return result;
    if (result == 0 && rename(temporary, path) < 0)
        result = error_sys(err, "rename %s", temporary);
    if (result < 0)
        unlink(temporary);
    return result;
}

static void name_source(struct client_path *path, const struct build_output *output,
                        const struct build_output_source *source)
{
    bool is_archive = output->type == OUTPUT_OCI || output->type == OUTPUT_DOCKER;

    if (!is_archive) {
        client_path_begin(path, "/images/%s/files", source->image_id);
        client_path_query(path, "attestations", "1");
        for (size_t i = 1; i < source->images->count; i++)
            client_path_query(path, "with", source->images->items[i]);
        client_path_query(path, "split", output->is_merged ? "0" : NULL);
        return;
    }
    client_path_begin(path, "/images/get");
    for (size_t i = 0; i < source->tags->count; i++)
        client_path_query(path, "names", source->tags->items[i]);
    for (size_t i = 0; i < source->images->count; i++)
        client_path_query(path, "images", source->images->items[i]);
    if (source->tags->count == 0 && source->images->count == 0)
        client_path_query(path, "names", source->image_id);
}

static int tag(struct cli *cli, const char *image_id, const char *name, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(free) char *repository = NULL;

    if (reference_parse(name, &reference, err) < 0)
        return -1;
    repository = reference_familiar_name(&reference);
    client_path_begin(&path, "/images/%s/tag", image_id);
    client_path_query(&path, "repo", repository);
    client_path_query(&path, "tag", reference.tag);
    return client_call(cli->client, "POST", &path, NULL, NULL, err);
}

int build_output_check_several(const struct build_output *output, struct error *err)
{
    if (output->type == OUTPUT_DOCKER)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "the output docker has no place for images for several platforms: oci has");
    if (output->type == OUTPUT_IMAGE && !output->is_pushed)
        return error_set(err, ERROR_UNSUPPORTED,
                         "images for several platforms have one name in a registry or in an "
                         "archive, but not here: push them, or choose an output of type oci, local "
                         "or tar");
    return 0;
}

static int push_several(struct cli *cli, const struct build_output *output,
                        const struct build_output_source *source, char **io_digest,
                        struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (output->name)
        strv_add(&names, output->name);
    else
        strv_add_all(&names, source->tags);
    if (names.count == 0)
        return error_set(err, ERROR_INVALID, "a pushed image needs a name: --tag");
    for (size_t i = 0; i < names.count; i++)
        if (cli_push_images(cli, names.items[i], source->images, io_digest, err) < 0)
            return error_context(err, "push %s", names.items[i]);
    return 0;
}

/* Names it, and pushes what has a name. */
static int publish(struct cli *cli, const struct build_output *output, const char *image_id,
                   const struct strv *tags, struct error *err)
{
    if (output->name && tag(cli, image_id, output->name, err) < 0)
        return -1;
    if (!output->is_pushed)
        return 0;
    if (!output->name && tags->count == 0)
        return error_set(err, ERROR_INVALID, "a pushed image needs a name: --tag");
    if (output->name && cli_push(cli, output->name, NULL, err) < 0)
        return error_context(err, "push %s", output->name);
    for (size_t i = 0; !output->name && i < tags->count; i++)
        if (cli_push(cli, tags->items[i], NULL, err) < 0)
            return error_context(err, "push %s", tags->items[i]);
    return 0;
}

int build_output_write(struct cli *cli, const struct build_output *output,
                       const struct build_output_source *source, char **io_digest,
                       struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    struct http_response *response = NULL;

    if (output->type == OUTPUT_IMAGE)
        return source->images->count > 0
                   ? push_several(cli, output, source, io_digest, err)
                   : publish(cli, output, source->image_id, source->tags, err);
    if (output->type == OUTPUT_DOCKER && !output->destination)
        return 0; /* It is in the store already. */
    name_source(&path, output, source);
    if (client_stream(cli->client, "GET", &path, NULL, NULL, NULL, &response, err) < 0)
        return error_context(err, "output %s", type_names[output->type]);
    const char *digest = http_response_header(response, "Docker-Content-Digest");
    if (digest && !*io_digest)
        *io_digest = xstrdup(digest);
    bool is_unpacked = output->type == OUTPUT_LOCAL || output->is_directory;
    int result = is_unpacked ? unpack(response, output->destination, err)
                             : write_file(response, output->destination, err);
    http_response_free(response);
    return result;
}

void build_outputs_done(struct build_outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++)
        build_output_done(&outputs->items[i]);
}

int build_outputs_read(const struct strv *given, struct build_outputs *out, struct error *err)
{
    if (given->count > COUNT(out->items))
        return error_set(err, ERROR_INVALID, "more than %zu outputs", COUNT(out->items));
    for (size_t i = 0; i < given->count; i++) {
        if (build_output_read(given->items[i], &out->items[out->count], err) < 0)
            return -1;
        out->count++;
    }
    return 0;
}
