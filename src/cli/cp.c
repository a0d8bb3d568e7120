/* cp */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/copy_file.h"
#include "cli/copy_local.h"
#include "cli/copy_plan.h"
#include "cli/terminal.h"
#include "codec/base64.h"

#include "base/banned.h"

/* Bits of Go's os.FileMode. */
#define MODE_DIRECTORY (INT64_C(1) << 31)
#define MODE_LINK      (INT64_C(1) << 27)
#define MODE_OTHER     (INT64_C(1) << 26 | INT64_C(1) << 25 | INT64_C(1) << 24 | INT64_C(1) << 19)

struct copy_options {
    bool archive, follow_link, quiet;
};

/* clang-format off */
#define AT(member) offsetof(struct copy_options, member)
static const struct option_row rows[] = {
    { 'a', "archive",     OPTION_BOOL, AT(archive),     "Give what is copied in to the container's user" },
    { 'L', "follow-link", OPTION_BOOL, AT(follow_link), "Copy what a link in SRC leads to" },
    { 'q', "quiet",       OPTION_BOOL, AT(quiet),       "Do not say how much was copied" },
    {},
};
/* clang-format on */

/* ---- the container's side ---- */

static void archive_path(struct client_path *out, const char *container, const char *path)
{
    client_path_begin(out, "/containers");
    client_path_segment(out, container);
    client_path_begin(out, "/archive");
    client_path_query(out, "path", path);
}

/* What the header of an answer says of the path. What is not wanted may be NULL. */
static int read_stat(const struct http_response *response, int64_t *out_mode, char **out_name,
                     char **out_target, struct error *err)
{
    const char *text = http_response_header(response, "X-Docker-Container-Path-Stat");
    CLEANUP(buf_done) struct buf decoded = {};
    CLEANUP(json_free) struct json *status = NULL;

    if (!text || base64_decode(text, &decoded, err) < 0 ||
        json_parse((const char *)buf_bytes(&decoded), decoded.size, &status, err) < 0)
        return error_set(err, ERROR_INTERNAL, "unable to decode container path stat header");
    *out_mode = json_to_int64(json_get(status, "mode"));
    if (out_name)
        *out_name = xstrdup(json_text(json_get(status, "name")) ?: "");
    if (out_target)
        *out_target = xstrdup(json_text(json_get(status, "linkTarget")) ?: "");
    return 0;
}

static int stat_path(struct cli *cli, const char *container, const char *path, int64_t *out_mode,
                     char **out_target, struct error *err)
{
    CLEANUP(client_path_done) struct client_path request = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;

    archive_path(&request, container, path);
    if (client_stream(cli->client, "HEAD", &request, NULL, NULL, NULL, &response, err) < 0)
        return -1;
    return read_stat(response, out_mode, NULL, out_target, err);
}

/* Where a link in a container leads, in full; NULL if 'path' is none. */
static char *link_target(struct cli *cli, const char *container, const char *path)
{
    CLEANUP(free) char *target = NULL, *directory = NULL, *base = NULL;
    int64_t mode;

    if (stat_path(cli, container, path, &mode, &target, NULL) < 0 || !(mode & MODE_LINK))
        return NULL;
    if (target[0] == '/')
        return TAKE(target);
    copy_path_split(path, &directory, &base);
    return path_join(directory, target);
}

static void tell(const struct copy_options *options, int64_t bytes, const char *where,
                 const char *path)
{
    CLEANUP(free) char *size = text_human_size(bytes);

    if (!options->quiet && terminal_is(STDOUT_FILENO))
        fprintf(stderr, "Successfully copied %s to %s%s\n", size, where, path);
}

/* ---- out ---- */

/* An archive of the source; with 'takes_file' the engine may give the file itself. */
static int request_source(struct cli *cli, const char *container, const char *source,
                          bool takes_file, struct http_response **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path request = {};
    CLEANUP(map_done) struct map headers = {};

    archive_path(&request, container, source);
    if (takes_file)
        copy_file_ask(cli, &headers);
    return client_stream_with(cli->client, "GET", &request, &headers, NULL, NULL, out, err);
}

static int print_archive(struct cli *cli, const char *container, const char *source,
                         struct error *err)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    CLEANUP(stream_close) struct stream *out = stream_from_fd(STDOUT_FILENO, 0);

    if (request_source(cli, container, source, false, &response, err) < 0)
        return -1;
    return stream_copy(http_response_stream(response), out, err) < 0 ? -1 : 0;
}

/* 0: the file was lost on its way. */
static int fetch(struct cli *cli, const char *container, const struct copy_end *source,
                 const struct copy_end *target, bool takes_file, int64_t *out_bytes,
                 struct error *err)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    CLEANUP(copy_plan_done) struct copy_plan plan = {};
    CLEANUP(free) char *name = NULL;
    struct copy_end from = *source;
    int64_t mode;

    if (request_source(cli, container, source->path, takes_file, &response, err) < 0 ||
        read_stat(response, &mode, &name, NULL, err) < 0)
        return -1;
    from.is_directory = mode & MODE_DIRECTORY;
    if (copy_plan_make(&from, target, &plan, err) < 0)
        return -1;
    if (copy_file_is_answer(response))
        return copy_file_out(response, name, &plan, out_bytes, err);
    return receive(http_response_stream(response), &plan, out_bytes, err) < 0 ? -1 : 1;
}

static int copy_out(struct cli *cli, const char *container, const char *source, const char *target,
                    const struct copy_options *options, struct error *err)
{
    CLEANUP(free) char *shown_name = NULL, *followed = NULL;
    CLEANUP(free)
    char *leads_to = options->follow_link ? link_target(cli, container, source) : NULL;
    CLEANUP(local_end_done) struct local_end local = {};
    bool is_stdout = strcmp(target, "-") == 0;
    int64_t bytes;

    if (!is_stdout && local_target(target, &local, err) < 0)
        return -1;
    if (leads_to)
        source = followed = copy_path_through_link(source, leads_to, &shown_name);
    if (is_stdout)
        return print_archive(cli, container, source, err);
    const struct copy_end from = { source, true, false, shown_name };
    int result = fetch(cli, container, &from, &local.end, true, &bytes, err);
    if (result == 0)
        result = fetch(cli, container, &from, &local.end, false, &bytes, err);
    if (result < 0)
        return -1;
    tell(options, bytes, "", local.path);
    return 0;
}

/* ---- in ---- */

static void upload_path(struct client_path *out, const char *container, const char *directory,
                        const struct copy_options *options)
{
    archive_path(out, container, directory);
    client_path_query(out, "noOverwriteDirNonDir", "true");
    client_path_query(out, "copyUIDGID", options->archive ? "true" : NULL);
}

static int upload(struct cli *cli, const char *container, const char *directory,
                  const struct copy_options *options, struct stream *archive, struct error *err)
{
    CLEANUP(client_path_done) struct client_path request = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;

    upload_path(&request, container, directory, options);
    return client_stream(cli->client, "PUT", &request, NULL, archive, "application/x-tar",
                         &response, err);
}

/* Results as copy_file_in has them. */
static int put_file(struct cli *cli, const char *container, const struct local_end *source,
                    const struct copy_plan *plan, const struct copy_options *options,
                    int64_t *out_bytes, struct error *err)
{
    CLEANUP(client_path_done) struct client_path request = {};

    upload_path(&request, container, plan->directory, options);
    return copy_file_in(cli, &request, source, plan, out_bytes, err);
}

static int put_archive(struct cli *cli, const char *container, const struct local_end *source,
                       const struct copy_plan *plan, const struct copy_options *options,
                       int64_t *out_bytes, struct error *err)
{
    struct sending *sending;

    if (sending_begin(source, plan, &sending, err) < 0)
        return -1;
    int result = upload(cli, container, plan->directory, options, sending_stream(sending), err);
    return sending_end(sending, out_bytes, err) < 0 || result < 0 ? -1 : 0;
}

/* What is at the target, through a link if it is one. */
static int container_target(struct cli *cli, const char *container, const char *path,
                            char **out_path, struct copy_end *out, struct error *err)
{
    CLEANUP(free) char *leads_to = link_target(cli, container, path);
    int64_t mode;

    *out_path = leads_to ? TAKE(leads_to) : xstrdup(path);
    *out = (struct copy_end){ .path = *out_path };
    if (stat_path(cli, container, *out_path, &mode, NULL, NULL) < 0)
        return 0; /* What is wrong will show. */
    if (mode & MODE_OTHER)
        return error_set(err, ERROR_INVALID,
                         "destination \"%s:%s\" must be a directory or a regular file", container,
                         path);
    out->exists = true;
    out->is_directory = mode & MODE_DIRECTORY;
    return 0;
}

static int copy_in(struct cli *cli, const char *source, const char *container, const char *target,
                   const struct copy_options *options, struct error *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(local_end_done) struct local_end local = {};
    CLEANUP(copy_plan_done) struct copy_plan plan = {};
    struct copy_end end;
    int64_t bytes;

    if (container_target(cli, container, target, &path, &end, err) < 0)
        return -1;
    if (strcmp(source, "-") == 0) {
        CLEANUP(stream_close) struct stream *archive = stream_from_fd(STDIN_FILENO, 0);

        if (!end.is_directory)
            return error_set(err, ERROR_INVALID, "destination \"%s:%s\" must be a directory",
                             container, target);
        return upload(cli, container, path, options, archive, err);
    }
    if (local_source(source, options->follow_link, &local, err) < 0 ||
        copy_plan_make(&local.end, &end, &plan, err) < 0)
        return -1;
    int result = put_file(cli, container, &local, &plan, options, &bytes, err);
    if (result == 0)
        result = put_archive(cli, container, &local, &plan, options, &bytes, err);
    if (result < 0)
        return -1;
    CLEANUP(free) char *where = xasprintf("%s:", container);
    tell(options, bytes, where, path);
    return 0;
}

static int copy(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct copy_options *options = parsed;
    const char *source, *target;

    if (!arguments->items[0][0])
        return error_set(err, ERROR_INVALID, "source can not be empty");
    if (!arguments->items[1][0])
        return error_set(err, ERROR_INVALID, "destination can not be empty");
    CLEANUP(free) char *from = copy_argument_container(arguments->items[0], &source);
    CLEANUP(free) char *to = copy_argument_container(arguments->items[1], &target);
    if (from && to)
        return error_set(err, ERROR_INVALID, "copying between containers is not supported");
    if (from)
        return copy_out(cli, from, source, target, options, err);
    if (to)
        return copy_in(cli, source, to, target, options, err);
    return error_set(err, ERROR_INVALID, "must specify at least one container source");
}

/* clang-format off */
const struct command command_cp = {
    .name = "cp", .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
    .summary = "Copy files out of a container or into it", .least = 2, .most = 2, .options = rows,
    .options_size = sizeof(struct copy_options), .run = copy,
};
/* clang-format on */
