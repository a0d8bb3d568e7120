/* images, rmi, tag, history, import. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/filter_query.h"
#include "cli/format.h"
#include "cli/image_tree.h"
#include "cli/platform_query.h"
#include "cli/settings.h"
#include "spec/reference.h"

#include "base/banned.h"

/* ---- images ---- */

struct images_options {
    bool all, digests, no_trunc, quiet, tree;
    struct strv filters;
    const char *format;
};

/* clang-format off */
static const struct option_row images_rows[] = {
    { 'a', "all",      OPTION_BOOL, offsetof(struct images_options, all),      "Show intermediate ones too" },
    { 0,   "digests",  OPTION_BOOL, offsetof(struct images_options, digests),  "Show digests" },
    { 'f', "filter",   OPTION_LIST, offsetof(struct images_options, filters),  "Show only those that fit", .check = filter_check },
    { 0,   "format",   OPTION_TEXT, offsetof(struct images_options, format),   "table, table TEMPLATE, json or a Go template" },
    { 0,   "no-trunc", OPTION_BOOL, offsetof(struct images_options, no_trunc), "Do not shorten" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct images_options, quiet),    "Show ids only" },
    { 0,   "tree",     OPTION_BOOL, offsetof(struct images_options, tree),     "Show what they have for each platform" },
    {},
};

#define RAW_REST "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
static const struct format_column images_columns[] = {
    { "Repository", "REPOSITORY" }, { "Tag", "TAG" }, { "Digest", "DIGEST" }, { "ID", "IMAGE ID" },
    { "CreatedSince", "CREATED" }, { "CreatedAt", "CREATED AT" }, { "Size", "SIZE" }, { "Containers", "CONTAINERS" },
    { "SharedSize", "SHARED SIZE" }, { "UniqueSize", "UNIQUE SIZE" }, { "VirtualSize", "SIZE" }, {},
};
/* clang-format on */

/* The rows of a list. */
struct image_rows {
    struct json **rows;
    size_t count, capacity;
    bool no_trunc, with_digests; /* a row for each digest */
    bool needs_digest;           /* a row shows it */
};

static void add_row(struct image_rows *out, const struct json *image, const char *repository,
                    const char *tag, const char *digest)
{
    struct row row;
    const char *id = json_text(json_get(image, "Id"));
    int64_t created = json_to_int64(json_get(image, "Created"));
    CLEANUP(free) char *shown_id = out->no_trunc ? xstrdup(id) : format_short_id(id);
    CLEANUP(free) char *since = format_ago(created);
    CLEANUP(free) char *at = format_local_time(created);
    CLEANUP(free) char *size = text_human_size(json_to_int64(json_get(image, "Size")));

    CLEANUP(free) char *virtual_size = text_human_size_long(json_to_int64(json_get(image, "Size")));
    int64_t users = json_to_int64(json_get(image, "Containers"));
    CLEANUP(free)
    char *containers = users < 0 ? xstrdup("N/A") : xasprintf("%lld", (long long)users);

    row_begin(&row);
    row_add(&row, "Containers", containers);
    row_add(&row, "CreatedAt", at);
    row_add(&row, "CreatedSince", since);
    row_add(&row, "Digest", digest);
    row_add(&row, "ID", shown_id);
    row_add(&row, "Repository", repository);
    row_add(&row, "SharedSize", "N/A");
    row_add(&row, "Size", size);
    row_add(&row, "Tag", tag);
    row_add(&row, "UniqueSize", "N/A");
    row_add(&row, "VirtualSize", virtual_size);
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? out->capacity * 2 : 16;
        out->rows = xrealloc(out->rows, out->capacity, sizeof(*out->rows));
    }
    out->rows[out->count++] = row_finish(&row);
}

/* Is 'name' the repository in front of the last 'mark' of 'reference'? */
static bool is_of(const char *reference, char mark, const char *name)
{
    const char *end = strrchr(reference, mark);
    size_t length = end ? (size_t)(end - reference) : strlen(reference);

    return strlen(name) == length && strncmp(reference, name, length) == 0;
}

static char *repository_of(const char *reference, char mark)
{
    const char *end = strrchr(reference, mark);

    return end ? xstrndup(reference, (size_t)(end - reference)) : xstrdup(reference);
}

/* A row for each digest of the repository: how many. */
static size_t add_digests(struct image_rows *out, const struct json *image, const char *repository,
                          const char *tag)
{
    const struct json *digests = json_get(image, "RepoDigests");
    size_t before = out->count;

    for (size_t i = 0; i < json_count(digests); i++) {
        const char *reference = json_text(json_at(digests, i));

        if (strchr(reference, '@') && is_of(reference, '@', repository))
            add_row(out, image, repository, tag, strchr(reference, '@') + 1);
    }
    return out->count - before;
}

static bool has_tag(const struct json *image, const char *repository)
{
    const struct json *tags = json_get(image, "RepoTags");

    for (size_t i = 0; i < json_count(tags); i++)
        if (is_of(json_text(json_at(tags, i)), ':', repository))
            return true;
    return false;
}

/* A row for each tag, then one for each repository that is known by digests only. */
static void add_image(struct image_rows *out, const struct json *image)
{
    const struct json *tags = json_get(image, "RepoTags"),
                      *digests = json_get(image, "RepoDigests");
    CLEANUP(strv_done) struct strv seen = {};

    for (size_t i = 0; i < json_count(tags); i++) {
        const char *name = json_text(json_at(tags, i));
        CLEANUP(free) char *repository = repository_of(name, ':');
        const char *tag = strrchr(name, ':') + 1;

        if (!out->needs_digest || add_digests(out, image, repository, tag) == 0)
            add_row(out, image, repository, tag, "<none>");
    }
    for (size_t i = 0; i < json_count(digests); i++) {
        CLEANUP(free) char *repository = repository_of(json_text(json_at(digests, i)), '@');

        if (has_tag(image, repository) || strv_contains(&seen, repository))
            continue;
        strv_add(&seen, repository);
        if (out->with_digests)
            add_digests(out, image, repository, "<none>");
        else
            add_row(out, image, repository, "<none>", "");
    }
    if (json_count(tags) == 0 && json_count(digests) == 0)
        add_row(out, image, "<none>", "<none>", "<none>");
}

/* A tree has its own form. */
static int check_tree(const struct images_options *options, struct error *err)
{
    const char *other = options->quiet      ? "quiet"
                        : options->no_trunc ? "no-trunc"
                        : options->digests  ? "show-digest"
                        : options->format   ? "format"
                                            : NULL;

    return other ? error_set(err, ERROR_INVALID, "--%s is not yet supported with --tree", other)
                 : 0;
}

static int images(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct images_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *list = NULL;
    CLEANUP(strv_done) struct strv filters;
    const char *format = options->format ? options->format : settings_text("imagesFormat");

    strv_copy(&filters, &options->filters);
    if (arguments->count)
        strv_add_format(&filters, "reference=%s", arguments->items[0]);
    if (options->tree)
        return check_tree(options, err) < 0
                   ? -1
                   : image_tree_print(cli->client, &filters, options->all, err);
    client_path_begin(&path, "/images/json");
    client_path_query(&path, "all", options->all ? "1" : NULL);
    if (filter_query_add(&path, &filters, err) < 0 ||
        client_call(cli->client, "GET", &path, NULL, &list, err) < 0)
        return -1;
    struct image_rows made = { .no_trunc = options->no_trunc, .with_digests = options->digests };
    made.needs_digest = options->digests || (format && strstr(format, ".Digest"));
    for (size_t i = 0; i < json_count(list); i++)
        add_image(&made, json_at(list, i));
    const char *keys = options->digests ? "Repository Tag Digest ID CreatedSince Size"
                                        : "Repository Tag ID CreatedSince Size";
    const char *raw = options->quiet     ? "image_id: {{.ID}}"
                      : options->digests ? "repository: {{.Repository}}\ntag: {{.Tag}}\n"
                                           "digest: {{.Digest}}\n" RAW_REST
                                         : "repository: {{.Repository}}\ntag: {{.Tag}}\n" RAW_REST;
    int result = format_rows(options->quiet && !options->format ? "{{.ID}}"
                                                                : format_or_raw(format, raw),
                             keys, images_columns, made.rows, made.count, err);
    for (size_t i = 0; i < made.count; i++)
        json_free(made.rows[i]);
    free(made.rows);
    return result;
}

/* ---- rmi ---- */

struct rmi_options {
    bool force, no_prune;
    struct strv platforms;
};

static const struct option_row rmi_rows[] = {
    { 'f', "force", OPTION_BOOL, offsetof(struct rmi_options, force),
      "Remove it even if it is in use" },
    { 0, "no-prune", OPTION_BOOL, offsetof(struct rmi_options, no_prune), "Keep untagged parents" },
    { 0, "platform", OPTION_LIST, offsetof(struct rmi_options, platforms),
      "Remove it only if it is for this platform" },
    {},
};

static int rmi(struct cli *cli, const void *parsed, const struct strv *arguments, struct error *err)
{
    const struct rmi_options *options = parsed;

    for (size_t i = 0; i < arguments->count; i++) {
        CLEANUP(client_path_done) struct client_path path = {};
        CLEANUP(json_free) struct json *answer = NULL;

        client_path_begin(&path, "/images");
        client_path_segment(&path, arguments->items[i]);
        client_path_query(&path, "force", options->force ? "1" : NULL);
        client_path_query(&path, "noprune", options->no_prune ? "1" : NULL);
        for (size_t k = 0; k < options->platforms.count; k++)
            if (platform_query_add(&path, "platforms", options->platforms.items[k], err) < 0)
                return -1;
        if (client_call(cli->client, "DELETE", &path, NULL, &answer, err) < 0) {
            fflush(stdout);
            fprintf(stderr, "%s\n", err->text);
            if (!options->force || err->kind != ERROR_NOT_FOUND)
                cli->exit_code = 1;
            continue;
        }
        for (size_t r = 0; r < json_count(answer); r++) {
            const char *untagged = json_text(json_get(json_at(answer, r), "Untagged"));

            printf("%s: %s\n", untagged ? "Untagged" : "Deleted",
                   untagged ? untagged : json_text(json_get(json_at(answer, r), "Deleted")));
        }
    }
    return 0;
}

/* ---- tag ---- */

/* Splits off the tag: the last ':' behind the last '/'. */
static void split_tag(const char *name, char **out_repository, const char **out_tag)
{
    const char *slash = strrchr(name, '/'), *colon = strrchr(name, ':');
    bool has_tag = colon && (!slash || colon > slash);

    *out_repository = has_tag ? xstrndup(name, (size_t)(colon - name)) : xstrdup(name);
    *out_tag = has_tag ? colon + 1 : NULL;
}

static int tag(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
               struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *repository = NULL;
    const char *name;

    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(arguments->items[1], &reference, err) < 0)
        return error_context(err, "Error parsing reference: \"%s\" is not a valid repository/tag",
                             arguments->items[1]);
    split_tag(arguments->items[1], &repository, &name);
    client_path_begin(&path, "/images");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/tag");
    client_path_query(&path, "repo", repository);
    client_path_query(&path, "tag", name);
    return client_call(cli->client, "POST", &path, NULL, NULL, err);
}

/* ---- history ---- */

struct history_options {
    bool human, no_trunc, quiet;
    const char *format, *platform;
};

/* clang-format off */
static const struct option_row history_rows[] = {
    { 0,   "format",   OPTION_TEXT, offsetof(struct history_options, format),   "table, table TEMPLATE, json or a Go template" },
    { 'H', "human",    OPTION_BOOL, offsetof(struct history_options, human),    "Print sizes and dates for people", .initially_true = true },
    { 0,   "no-trunc", OPTION_BOOL, offsetof(struct history_options, no_trunc), "Do not shorten" },
    { 0,   "platform", OPTION_TEXT, offsetof(struct history_options, platform), "Only if the image is for this platform" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct history_options, quiet),    "Show ids only" },
    {},
};

static const struct format_column history_columns[] = {
    { "ID", "IMAGE" }, { "CreatedSince", "CREATED" }, { "CreatedAt", "CREATED AT" }, { "CreatedBy", "CREATED BY" },
    { "Size", "SIZE" }, { "Comment", "COMMENT" }, {},
};
/* clang-format on */

static struct json *history_row(const struct json *entry, const struct history_options *options)
{
    struct row row;
    const char *id = json_text(json_get(entry, "Id")),
               *by = json_text(json_get(entry, "CreatedBy"));
    int64_t created = json_to_int64(json_get(entry, "Created")),
            bytes = json_to_int64(json_get(entry, "Size"));
    CLEANUP(free) char *at = format_local_rfc3339(created);
    CLEANUP(free)
    char *shown_id = text_starts(id, "sha256:") && !options->no_trunc ? format_short_id(id)
                                                                      : xstrdup(id);
    CLEANUP(free) char *shown_by = options->no_trunc ? xstrdup(by) : format_truncate(by, 45);
    CLEANUP(free) char *since = options->human ? format_ago(created) : xstrdup(at);
    CLEANUP(free)
    char *size = options->human ? text_human_size(bytes) : xasprintf("%lld", (long long)bytes);

    for (char *c = shown_by; c && *c; c++)
        if (*c == '\t' || *c == '\n')
            *c = ' ';
    row_begin(&row);
    row_add(&row, "Comment", json_text(json_get(entry, "Comment")));
    row_add(&row, "CreatedAt", at);
    row_add(&row, "CreatedBy", shown_by);
    row_add(&row, "CreatedSince", since);
    row_add(&row, "ID", shown_id);
    row_add(&row, "Size", size);
    return row_finish(&row);
}

static int history(struct cli *cli, const void *parsed, const struct strv *arguments,
                   struct error *err)
{
    const struct history_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *list = NULL;

    client_path_begin(&path, "/images");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/history");
    if (platform_query_add(&path, "platform", options->platform, err) < 0 ||
        client_call(cli->client, "GET", &path, NULL, &list, err) < 0)
        return -1;
    size_t count = json_count(list);
    struct json **made = xcalloc(count + 1, sizeof(*made));
    for (size_t i = 0; i < count; i++)
        made[i] = history_row(json_at(list, i), options);
    const char *keys = options->human ? "ID CreatedSince CreatedBy Size Comment"
                                      : "ID CreatedAt CreatedBy Size Comment";
    int result = format_rows(options->quiet && !options->format ? "{{.ID}}" : options->format, keys,
                             history_columns, made, count, err);
    for (size_t i = 0; i < count; i++)
        json_free(made[i]);
    free(made);
    return result;
}

/* ---- import ---- */

struct import_options {
    struct strv changes;
    const char *message, *platform;
};

static const struct option_row import_rows[] = {
    { 'c', "change", OPTION_LIST, offsetof(struct import_options, changes),
      "Apply a Dockerfile instruction" },
    { 'm', "message", OPTION_TEXT, offsetof(struct import_options, message),
      "Comment of the image" },
    { 0, "platform", OPTION_TEXT, offsetof(struct import_options, platform),
      "Platform of the image" },
    {},
};

static int import(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct import_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *repository = NULL;
    CLEANUP(json_free) struct json *message = NULL;
    const char *name = NULL, *source = arguments->items[0];
    struct client_messages messages = {};

    bool is_url = text_starts(source, "http://") || text_starts(source, "https://");
    bool is_file = !is_url && strcmp(source, "-") != 0;
    CLEANUP(close) int file = is_file ? open(source, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0 && is_file)
        return error_sys(err, "open %s", source);
    CLEANUP(stream_close) struct stream *body = stream_from_fd(file < 0 ? STDIN_FILENO : file, 0);
    client_path_begin(&path, "/images/create");
    client_path_query(&path, "fromSrc", is_url ? source : "-");
    if (arguments->count > 1) {
        split_tag(arguments->items[1], &repository, &name);
        client_path_query(&path, "repo", repository);
        client_path_query(&path, "tag", name);
    }
    client_path_query(&path, "message", options->message);
    client_path_query(&path, "platform", platform_or_default(options->platform));
    for (size_t i = 0; i < options->changes.count; i++)
        client_path_query(&path, "changes", options->changes.items[i]);
    if (client_stream(cli->client, "POST", &path, NULL, is_url ? NULL : body,
                      is_url ? NULL : "application/x-tar", &messages.response, err) < 0)
        return -1;
    int more;
    while ((more = client_messages_next(&messages, &message, err)) > 0) {
        const char *failed = json_text(json_get(message, "error")),
                   *status = json_text(json_get(message, "status"));

        if (failed)
            more = error_set(err, ERROR_INTERNAL, "%s", failed);
        else if (status)
            puts(status);
        json_free(TAKE(message));
        if (more < 0)
            break;
    }
    client_messages_done(&messages);
    return more;
}

/* clang-format off */
const struct command command_images = {
    .name = "images", .name_in_group = "ls", .aliases = "ls list", .usage = "[OPTIONS] [REPOSITORY[:TAG]]", .summary = "List images", .most = 1,
    .options = images_rows, .options_size = sizeof(struct images_options), .run = images,
};
const struct command command_rmi = {
    .name = "rmi", .name_in_group = "rm", .aliases = "rm remove", .usage = "[OPTIONS] IMAGE [IMAGE...]", .summary = "Remove images", .least = 1,
    .most = MANY_ARGUMENTS, .options = rmi_rows, .options_size = sizeof(struct rmi_options), .run = rmi,
};
const struct command command_tag = {
    .name = "tag", .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", .summary = "Give an image a further name", .least = 2,
    .most = 2, .run = tag,
};
const struct command command_history = {
    .name = "history", .usage = "[OPTIONS] IMAGE", .summary = "Show the steps that made an image", .least = 1, .most = 1,
    .options = history_rows, .options_size = sizeof(struct history_options), .run = history,
};
const struct command command_import = {
    .name = "import", .usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    .summary = "Make an image from an archive of a root file system", .least = 1, .most = 2, .options = import_rows,
    .options_size = sizeof(struct import_options), .run = import,
};
/* clang-format on */
