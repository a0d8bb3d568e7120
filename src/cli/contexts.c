/* context: create, export, import, inspect, ls, rm, show, update, use. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/context_store.h"
#include "cli/csv.h"
#include "cli/format.h"
#include "cli/settings.h"
#include "cli/terminal.h"

#include "base/banned.h"

#define DEFAULT_DESCRIPTION "Current DOCKER_HOST based configuration"
#define IN_MEMORY           "<IN MEMORY>"

enum { ERROR_WIDTH = 45 };

static bool is_default(const char *name)
{
    return strcmp(name, DEFAULT_CONTEXT) == 0;
}

static bool host_is_in_environment(void)
{
    return !text_is_empty(getenv("DOCKER_HOST"));
}

/* What the default context would say if it were one on disk. */
static void describe_default(struct engine_context *out)
{
    context_begin(DEFAULT_CONTEXT, out);
    out->host = xstrdup(settings_default_host());
    out->description = xstrdup(DEFAULT_DESCRIPTION);
    free(out->meta_path);
    free(out->tls_path);
    out->meta_path = xstrdup(IN_MEMORY);
    out->tls_path = xstrdup(IN_MEMORY);
}

static int load(const char *name, struct engine_context *out, struct error *err)
{
    if (!is_default(name))
        return context_load(name, out, err);
    describe_default(out);
    return 0;
}

/* ---- create, update ---- */

struct endpoint_options {
    const char *description, *from;
    struct strv docker; /* CSV of key=value */
};

#define AT(member) offsetof(struct endpoint_options, member)

/* clang-format off */
static const struct option_row create_rows[] = {
    { 0, "description", OPTION_TEXT, AT(description), "What the context is for" },
    { 0, "docker",      OPTION_LIST, AT(docker),      "The engine: host=URL,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL, or from=CONTEXT" },
    { 0, "from",        OPTION_TEXT, AT(from),        "Copy this context" },
    {},
};

static const struct option_row update_rows[] = {
    { 0, "description", OPTION_TEXT, AT(description), "What the context is for" },
    { 0, "docker",      OPTION_LIST, AT(docker),      "The engine: host=URL,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL, or from=CONTEXT" },
    {},
};

static const struct { const char *key, *file; } certificates[] = {
    { "ca",   "ca.pem" },
    { "cert", "cert.pem" },
    { "key",  "key.pem" },
};
/* clang-format on */

static int set_host(struct engine_context *context, const char *value, struct error *err)
{
    if (*value && !strstr(value, "://"))
        return error_set(
            err, ERROR_INVALID,
            "unable to apply docker endpoint options: unable to parse docker host `%s`", value);
    free(context->host);
    context->host = *value ? xstrdup(value) : NULL;
    return 0;
}

static int copy_from(struct engine_context *context, const char *name, struct error *err)
{
    CLEANUP(engine_context_done) struct engine_context from = {};

    if (load(name, &from, err) < 0)
        return -1;
    context_copy_endpoint(context, &from);
    return 0;
}

static int set_key(struct engine_context *context, const char *key, const char *value,
                   struct error *err)
{
    if (strcmp(key, "host") == 0)
        return set_host(context, value, err);
    if (strcmp(key, "from") == 0)
        return copy_from(context, value, err);
    if (strcmp(key, "skip-tls-verify") == 0)
        return text_parse_bool(value, &context->skip_tls_verify)
                   ? 0
                   : error_set(err, ERROR_INVALID,
                               "skip-tls-verify: parsing \"%s\": invalid syntax", value);
    for (size_t i = 0; i < COUNT(certificates); i++)
        if (strcmp(key, certificates[i].key) == 0)
            return context_set_tls(context, certificates[i].file, *value ? value : NULL, err);
    return error_set(err, ERROR_INVALID, "unrecognized config key: %s", key);
}

/* What is given describes the endpoint whole: keys that are not named are gone afterwards. */
static int set_endpoint(struct engine_context *context, const struct strv *given, struct error *err)
{
    static const struct engine_context nothing;

    if (!given->count)
        return 0;
    context_copy_endpoint(context, &nothing);
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(strv_done) struct strv fields = {};

        if (csv_split(given->items[i], &fields, err) < 0)
            return -1;
        for (size_t k = 0; k < fields.count; k++) {
            char *equals = strchr(fields.items[k], '=');

            if (!equals)
                return error_set(err, ERROR_INVALID, "%s must be formatted as key=value",
                                 fields.items[k]);
            *equals = 0;
            if (set_key(context, fields.items[k], equals + 1, err) < 0)
                return error_context(err, "unable to create docker endpoint config");
        }
    }
    return 0;
}

static void set_description(struct engine_context *context, const char *text)
{
    if (!text)
        return;
    free(context->description);
    context->description = *text ? xstrdup(text) : NULL;
}

static int finish(const struct engine_context *context, const char *what, struct error *err)
{
    if (context_store(context, err) < 0)
        return -1;
    puts(context->name);
    fflush(stdout);
    fprintf(stderr, "Successfully %s context \"%s\"\n", what, context->name);
    return 0;
}

static int check_new(const char *name, struct error *err)
{
    if (context_check_name(name, err) < 0)
        return -1;
    if (context_exists(name))
        return error_set(err, ERROR_CONFLICT, "context \"%s\" already exists", name);
    return 0;
}

/* Without a word on the engine it is the engine that is in use now. */
static int context_create(struct cli *cli UNUSED, const void *parsed, const struct strv *arguments,
                          struct error *err)
{
    const struct endpoint_options *options = parsed;
    CLEANUP(engine_context_done) struct engine_context context = {}, from = {};

    if (check_new(arguments->items[0], err) < 0)
        return -1;
    if (options->from && options->docker.count)
        return error_set(err, ERROR_INVALID, "cannot use --docker flag when --from is set");
    context_begin(arguments->items[0], &context);
    if (!options->docker.count) {
        if (load(options->from ? options->from : settings_context(), &from, err) < 0)
            return -1;
        context_copy_endpoint(&context, &from);
        context.description = xstrdup(from.description);
    }
    set_description(&context, options->description);
    if (set_endpoint(&context, &options->docker, err) < 0)
        return -1;
    return finish(&context, "created", err);
}

static int context_update(struct cli *cli UNUSED, const void *parsed, const struct strv *arguments,
                          struct error *err)
{
    const struct endpoint_options *options = parsed;
    CLEANUP(engine_context_done) struct engine_context context = {};

    if (context_check_name(arguments->items[0], err) < 0 ||
        context_load(arguments->items[0], &context, err) < 0)
        return -1;
    set_description(&context, options->description);
    if (set_endpoint(&context, &options->docker, err) < 0)
        return -1;
    return finish(&context, "updated", err);
}

/* ---- export, import ---- */

static int context_export_command(struct cli *cli UNUSED, const void *options UNUSED,
                                  const struct strv *arguments, struct error *err)
{
    CLEANUP(engine_context_done) struct engine_context context = {};
    CLEANUP(free) char *named = xasprintf("%s.dockercontext", arguments->items[0]);
    const char *path = arguments->count > 1 ? arguments->items[1] : named;

    if (load(arguments->items[0], &context, err) < 0)
        return -1;
    if (strcmp(path, "-") == 0) {
        if (terminal_is(STDOUT_FILENO))
            return error_set(err, ERROR_INVALID,
                             "cowardly refusing to export to a terminal, specify a file path");
        CLEANUP(stream_close) struct stream *out = stream_from_fd(STDOUT_FILENO, 0);
        return context_export(&context, out, err);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* it holds keys */
    if (fd < 0 && errno == EEXIST)
        return error_set(err, ERROR_CONFLICT, "open %s: file exists", path);
    if (fd < 0)
        return error_sys(err, "open %s", path);
    CLEANUP(stream_close) struct stream *out = stream_from_fd(fd, 1);
    if (context_export(&context, out, err) < 0) {
        unlink(path);
        return -1;
    }
    fprintf(stderr, "Written file \"%s\"\n", path);
    return 0;
}

static int context_import_command(struct cli *cli UNUSED, const void *options UNUSED,
                                  const struct strv *arguments, struct error *err)
{
    CLEANUP(engine_context_done) struct engine_context context = {};
    const char *name = arguments->items[0], *path = arguments->items[1];
    int fd = STDIN_FILENO;

    if (check_new(name, err) < 0)
        return -1;
    if (strcmp(path, "-") != 0) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return error_sys(err, "open %s", path);
    }
    if (context_import(stream_from_fd(fd, 1), name, &context, err) < 0)
        return -1;
    return finish(&context, "imported", err);
}

/* ---- inspect, ls, show ---- */

static struct json *context_to_json(const struct engine_context *context)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };
    struct json *made = NULL;

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", context->name);
    json_begin_dict(&w, "Metadata");
    if (context->description && !is_default(context->name))
        json_add_text(&w, "Description", context->description);
    json_end_dict(&w);
    json_begin_dict(&w, "Endpoints");
    json_begin_dict(&w, "docker");
    if (context->host)
        json_add_text(&w, "Host", context->host);
    json_add_bool(&w, "SkipTLSVerify", context->skip_tls_verify);
    json_end_dict(&w);
    json_end_dict(&w);
    json_begin_dict(&w, "TLSMaterial");
    if (context->tls.count) {
        json_begin_list(&w, "docker");
        MAP_EACH (&context->tls, entry)
            json_add_text(&w, NULL, entry->key);
        json_end_list(&w);
    }
    json_end_dict(&w);
    json_begin_dict(&w, "Storage");
    json_add_text(&w, "MetadataPath", context->meta_path);
    json_add_text(&w, "TLSPath", context->tls_path);
    json_end_dict(&w);
    json_end_dict(&w);
    json_parse(text.data, text.length, &made, NULL);
    return made;
}

struct inspect_options {
    const char *format;
};

static const struct option_row inspect_rows[] = {
    { 'f', "format", OPTION_TEXT, offsetof(struct inspect_options, format),
      "json or a Go template" },
    {},
};

static void print_documents(const struct str *list)
{
    CLEANUP(json_free) struct json *whole = NULL;
    CLEANUP(str_done) struct str text = {};

    if (json_parse(str_text(list), list->length, &whole, NULL) == 0)
        json_write_indented(whole, 4, &text);
    puts(str_text(&text));
}

static int context_inspect(struct cli *cli, const void *parsed, const struct strv *arguments,
                           struct error *err)
{
    const struct inspect_options *options = parsed;
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(str_done) struct str list = {}, failures = {};
    struct json_writer w = { .out = &list };

    strv_add_all(&names, arguments);
    if (!names.count)
        strv_add(&names, settings_context());
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(engine_context_done) struct engine_context context = {};
        struct error failed = {};

        if (load(names.items[i], &context, &failed) < 0) {
            str_add_format(&failures, "%s%s", failures.length ? "\n" : "", failed.text);
            continue;
        }
        CLEANUP(json_free) struct json *document = context_to_json(&context);
        if (!options->format)
            json_add_value(&w, NULL, document);
        else if (format_document(options->format, document, err) < 0)
            return -1;
    }
    json_end_list(&w);
    if (!options->format)
        print_documents(&list);
    if (!failures.length)
        return 0;
    cli->exit_code = 1;
    return error_set(err, ERROR_NOT_FOUND, "%s", str_text(&failures));
}

struct list_options {
    const char *format;
    bool quiet;
};

/* clang-format off */
static const struct option_row list_rows[] = {
    { 0,   "format", OPTION_TEXT, offsetof(struct list_options, format), "table, table TEMPLATE, json or a Go template" },
    { 'q', "quiet",  OPTION_BOOL, offsetof(struct list_options, quiet),  "Show names only" },
    {},
};

static const struct format_column columns[] = {
    { "Name", "NAME" }, { "Description", "DESCRIPTION" }, { "DockerEndpoint", "DOCKER ENDPOINT" }, { "Error", "ERROR" },
    { "Current", "CURRENT" }, {},
};
/* clang-format on */

/* One that is in use but not there, or cannot be read, is listed with what is wrong. */
static struct json *context_row(const char *name, bool marks_current)
{
    CLEANUP(engine_context_done) struct engine_context context = {};
    bool is_current = strcmp(name, settings_context()) == 0;
    struct error failed = {};
    struct row row;

    load(name, &context, &failed);
    CLEANUP(free)
    char *shown = xasprintf("%s%s", name, is_current && marks_current ? " *" : "");
    CLEANUP(free)
    char *error = marks_current ? format_truncate(failed.text, ERROR_WIDTH) : xstrdup(failed.text);
    row_begin(&row);
    json_add_bool(&row.writer, "Current", is_current);
    row_add(&row, "Description", context.description);
    row_add(&row, "DockerEndpoint", context.host);
    row_add(&row, "Error", error);
    row_add(&row, "Name", shown);
    return row_finish(&row);
}

static int by_name(const void *a, const void *b)
{
    return text_compare_natural(*(const char *const *)a, *(const char *const *)b);
}

static int context_ls(struct cli *cli UNUSED, const void *parsed,
                      const struct strv *arguments UNUSED, struct error *err)
{
    const struct list_options *options = parsed;
    CLEANUP(strv_done) struct strv names = {};
    const char *format = options->format ? options->format : options->quiet ? "{{.Name}}" : NULL;

    if (context_list(&names, err) < 0)
        return -1;
    strv_add(&names, DEFAULT_CONTEXT);
    if (!strv_contains(&names, settings_context()))
        strv_add(&names, settings_context());
    qsort(names.items, names.count, sizeof(char *), by_name);
    struct json **rows = xcalloc(names.count, sizeof(*rows));
    for (size_t i = 0; i < names.count; i++)
        rows[i] = context_row(names.items[i], !format);
    int result = format_rows(format, "Name Description DockerEndpoint Error", columns, rows,
                             names.count, err);
    for (size_t i = 0; i < names.count; i++)
        json_free(rows[i]);
    free(rows);
    fflush(stdout);
    if (result == 0 && host_is_in_environment() && is_default(settings_context()))
        fprintf(stderr, "Warning: DOCKER_HOST is set and goes before the active context. To use a "
                        "context, give --context or unset DOCKER_HOST.\n");
    return result;
}

static int context_show(struct cli *cli UNUSED, const void *options UNUSED,
                        const struct strv *arguments UNUSED, struct error *err UNUSED)
{
    puts(settings_context());
    return 0;
}

/* ---- rm, use ---- */

struct rm_options {
    bool force;
};

static const struct option_row rm_rows[] = {
    { 'f', "force", OPTION_BOOL, offsetof(struct rm_options, force),
      "Remove it though it is in use; what is missing is no error" },
    {},
};

static int remove_one(struct cli *cli UNUSED, const char *name, const void *parsed,
                      struct error *err)
{
    const struct rm_options *options = parsed;

    if (is_default(name))
        return error_set(err, ERROR_INVALID, "context \"%s\" cannot be removed", name);
    bool is_current = text_equal(name, settings_text("currentContext"));
    if (is_current && !options->force)
        return error_set(err, ERROR_CONFLICT,
                         "context \"%s\" is in use, set -f flag to force remove", name);
    if (context_remove(name, err) < 0 && !(options->force && err->kind == ERROR_NOT_FOUND))
        return -1;
    return is_current ? settings_replace("currentContext", NULL, err) : 0;
}

static int context_rm(struct cli *cli, const void *options, const struct strv *arguments,
                      struct error *err)
{
    return cli_each(cli, arguments, remove_one, options, err);
}

static int context_use(struct cli *cli UNUSED, const void *options UNUSED,
                       const struct strv *arguments, struct error *err)
{
    const char *name = arguments->items[0];
    CLEANUP(engine_context_done) struct engine_context context = {};
    CLEANUP(str_done) struct str text = {};

    if (!is_default(name) &&
        (context_check_name(name, err) < 0 || context_load(name, &context, err) < 0))
        return -1;
    json_quote(&text, name, strlen(name));
    if (settings_replace("currentContext", is_default(name) ? NULL : str_text(&text), err) < 0)
        return -1;
    puts(name);
    fflush(stdout);
    fprintf(stderr, "Current context is now \"%s\"\n", name);
    if (host_is_in_environment() && !is_default(name))
        fprintf(stderr,
                "Warning: DOCKER_HOST is set and goes before the active context. To use \"%s\", "
                "give --context or unset DOCKER_HOST.\n",
                name);
    return 0;
}

/* clang-format off */
const struct command command_context_create = {
    .name = "create", .usage = "[OPTIONS] CONTEXT", .summary = "Give an engine a name", .least = 1, .most = 1, .is_local = true,
    .options = create_rows, .options_size = sizeof(struct endpoint_options), .run = context_create,
};
const struct command command_context_export = {
    .name = "export", .usage = "[OPTIONS] CONTEXT [FILE|-]", .summary = "Write a context, with its keys, as a tar archive", .least = 1, .most = 2,
    .is_local = true, .run = context_export_command,
};
const struct command command_context_import = {
    .name = "import", .usage = "CONTEXT FILE|-", .summary = "Make a context of what export wrote", .least = 2, .most = 2,
    .is_local = true, .run = context_import_command,
};
const struct command command_context_inspect = {
    .name = "inspect", .usage = "[OPTIONS] [CONTEXT] [CONTEXT...]", .summary = "Show all that is known of contexts", .most = MANY_ARGUMENTS,
    .is_local = true, .options = inspect_rows, .options_size = sizeof(struct inspect_options), .run = context_inspect,
};
const struct command command_context_ls = {
    .name = "ls", .aliases = "list", .usage = "[OPTIONS]", .summary = "List contexts", .is_local = true,
    .options = list_rows, .options_size = sizeof(struct list_options), .run = context_ls,
};
const struct command command_context_rm = {
    .name = "rm", .aliases = "remove", .usage = "[OPTIONS] CONTEXT [CONTEXT...]", .summary = "Remove contexts", .least = 1, .most = MANY_ARGUMENTS,
    .is_local = true, .options = rm_rows, .options_size = sizeof(struct rm_options), .run = context_rm,
};
const struct command command_context_show = {
    .name = "show", .usage = "", .summary = "Print the name of the context in use", .is_local = true, .run = context_show,
};
const struct command command_context_update = {
    .name = "update", .usage = "[OPTIONS] CONTEXT", .summary = "Change a context", .least = 1, .most = 1, .is_local = true,
    .options = update_rows, .options_size = sizeof(struct endpoint_options), .run = context_update,
};
const struct command command_context_use = {
    .name = "use", .usage = "CONTEXT", .summary = "Use this context from now on", .least = 1, .most = 1, .is_local = true,
    .run = context_use,
};
/* clang-format on */
