/* pull, push, login, logout, search. */
#include "cli/registry.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/credentials.h"
#include "cli/filter_query.h"
#include "cli/format.h"
#include "cli/platform_query.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "spec/reference.h"

#include "base/banned.h"

#define SECRET_LIMIT ((size_t)64 * 1024)

static int stream_with_auth(struct cli *cli, const char *image, const struct client_path *path,
                            struct client_messages *out, struct error *err)
{
    CLEANUP(free) char *server = credentials_server_of_image(image, err);
    struct map headers;

    if (!server || credentials_headers(server, &headers, err) < 0)
        return -1;
    int result = client_stream_with(cli->client, "POST", path, &headers, NULL, NULL, &out->response,
                                    err);
    map_done(&headers);
    return result;
}

/* ---- pull ---- */

struct pull_options {
    bool all_tags, quiet;
    const char *platform;
};

/* clang-format off */
static const struct option_row pull_rows[] = {
    { 'a', "all-tags", OPTION_BOOL, offsetof(struct pull_options, all_tags), "Get all tags of the repository" },
    { 0,   "platform", OPTION_TEXT, offsetof(struct pull_options, platform), "Get the image for this platform" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct pull_options, quiet),    "Print the name only" },
    {},
};
/* clang-format on */

static int pull_reference(struct cli *cli, const struct reference *reference, const char *platform,
                          FILE *out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *name = reference_familiar_name(reference);
    struct client_messages messages = {};

    client_path_begin(&path, "/images/create");
    client_path_query(&path, "fromImage", name);
    client_path_query(&path, "tag", reference->digest ?: reference->tag);
    client_path_query(&path, "platform", platform_or_default(platform));
    if (stream_with_auth(cli, name, &path, &messages, err) < 0)
        return -1;
    int result = progress_follow(&messages, out, err);
    client_messages_done(&messages);
    return result;
}

int cli_pull(struct cli *cli, const char *image, const char *platform, FILE *out, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(image, &reference, err) < 0)
        return -1;
    return pull_reference(cli, &reference, platform, out, err);
}

static int pull(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct pull_options *options = parsed;
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse_exact(arguments->items[0], &reference, err) < 0)
        return -1;
    if (options->all_tags && (reference.tag || reference.digest))
        return error_set(err, ERROR_INVALID, "tag can't be used with --all-tags/-a");
    if (!options->all_tags && !reference.tag && !reference.digest) {
        reference.tag = xstrdup("latest");
        if (!options->quiet)
            puts("Using default tag: latest");
    }
    if (pull_reference(cli, &reference, options->platform, options->quiet ? NULL : stdout, err) < 0)
        return -1;
    CLEANUP(free) char *canonical = reference_canonical(&reference);
    puts(canonical);
    return 0;
}

/* ---- push ---- */

struct push_options {
    bool all_tags, quiet;
    const char *platform;
};

/* clang-format off */
static const struct option_row push_rows[] = {
    { 'a', "all-tags", OPTION_BOOL, offsetof(struct push_options, all_tags), "Send all tags of the repository" },
    { 0,   "platform", OPTION_TEXT, offsetof(struct push_options, platform), "Send the image only if it is for this platform" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct push_options, quiet),    "Print the name only" },
    {},
};
/* clang-format on */

static int push_path(const struct reference *reference, const char *name, struct client_path *out,
                     struct error *err)
{
    if (reference->digest)
        return error_set(err, ERROR_INVALID, "cannot push a digest reference");
    client_path_begin(out, "/images");
    client_path_segment(out, name);
    client_path_begin(out, "/push");
    client_path_query(out, "tag", reference->tag);
    return 0;
}

/* Without a tag: all of the repository. */
static int push_reference(struct cli *cli, const struct reference *reference, const char *platform,
                          FILE *out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *name = reference_familiar_name(reference);
    struct client_messages messages = {};

    if (push_path(reference, name, &path, err) < 0)
        return -1;
    client_path_query(&path, "platform", platform);
    if (stream_with_auth(cli, name, &path, &messages, err) < 0)
        return -1;
    int result = progress_follow(&messages, out, err);
    client_messages_done(&messages);
    return result;
}

static int follow_push(struct client_messages *messages, char **out_digest, struct error *err)
{
    struct json *message = NULL;
    int more;

    while ((more = client_messages_next(messages, &message, err)) > 0) {
        const char *failed = json_text(json_get(message, "error"));
        const char *digest = json_text(json_get(json_get(message, "aux"), "Digest"));

        if (failed)
            more = error_set(err, ERROR_INTERNAL, "%s", failed);
        if (digest && out_digest) {
            free(*out_digest);
            *out_digest = xstrdup(digest);
        }
        json_free(message);
        if (more < 0)
            break;
    }
    return more;
}

int cli_push_images(struct cli *cli, const char *image, const struct strv *ids, char **out_digest,
                    struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(reference_done) struct reference reference = {};
    struct client_messages messages = {};

    if (reference_parse(image, &reference, err) < 0)
        return -1;
    CLEANUP(free) char *name = reference_familiar_name(&reference);
    if (push_path(&reference, name, &path, err) < 0)
        return -1;
    for (size_t i = 0; i < ids->count; i++)
        client_path_query(&path, "images", ids->items[i]);
    if (stream_with_auth(cli, name, &path, &messages, err) < 0)
        return -1;
    int result = follow_push(&messages, out_digest, err);
    client_messages_done(&messages);
    return result;
}

int cli_push(struct cli *cli, const char *image, FILE *out, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(image, &reference, err) < 0)
        return -1;
    return push_reference(cli, &reference, NULL, out, err);
}

static int push(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct push_options *options = parsed;
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse_exact(arguments->items[0], &reference, err) < 0)
        return -1;
    if (options->all_tags && reference.tag)
        return error_set(err, ERROR_INVALID, "tag can't be used with --all-tags/-a");
    if (!options->all_tags && !reference.tag && !reference.digest) {
        reference.tag = xstrdup("latest");
        if (!options->quiet)
            puts("Using default tag: latest");
    }
    int result = push_reference(cli, &reference, options->platform, options->quiet ? NULL : stdout,
                                err);
    if (result == 0 && options->quiet) {
        CLEANUP(free) char *canonical = reference_canonical(&reference);

        puts(canonical);
    }
    return result;
}

/* ---- login ---- */

struct login_options {
    const char *password, *username;
    bool password_stdin;
};

/* clang-format off */
static const struct option_row login_rows[] = {
    { 'p', "password",       OPTION_TEXT, offsetof(struct login_options, password),       "Password or access token (seen by others in the list of processes)" },
    { 0,   "password-stdin", OPTION_BOOL, offsetof(struct login_options, password_stdin), "Read the password from stdin" },
    { 'u', "username",       OPTION_TEXT, offsetof(struct login_options, username),       "User name" },
    {},
};
/* clang-format on */

static char *read_line(const char *prompt, bool is_secret, struct error *err)
{
    struct termios before, silent;
    char *line = NULL;
    size_t size = 0;

    if (!terminal_is(STDIN_FILENO)) {
        error_set(err, ERROR_INVALID,
                  "Error: Cannot perform an interactive login from a non TTY device");
        return NULL;
    }
    fputs(prompt, stdout);
    fflush(stdout);
    tcgetattr(STDIN_FILENO, &before);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    if (is_secret)
        tcsetattr(STDIN_FILENO, TCSANOW, &silent);
    ssize_t length = getline(&line, &size, stdin);
    if (is_secret) {
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
        puts("");
    }
    if (length <= 0) {
        free(line);
        error_set(err, ERROR_INVALID, "%s required", is_secret ? "password" : "username");
        return NULL;
    }
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

static int read_password(const struct login_options *options, char **out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (options->password) {
        *out = xstrdup(options->password);
        return 0;
    }
    if (options->password_stdin && file_read_fd(STDIN_FILENO, SECRET_LIMIT, &text, err) < 0)
        return error_context(err, "read the password from stdin");
    size_t length = strcspn(str_text(&text), "\r\n");
    *out = length ? xstrndup(str_text(&text), length) : read_line("Password: ", true, err);
    return *out ? 0 : -1;
}

static int check_login(struct cli *cli, const char *server, struct user_credentials *credentials,
                       struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    if (!text_is_empty(credentials->identity_token)) {
        json_add_text(&w, "identitytoken", credentials->identity_token);
    } else {
        json_add_text(&w, "username", credentials->username);
        json_add_text(&w, "password", credentials->password);
    }
    json_add_text(&w, "serveraddress", server);
    json_end_dict(&w);
    client_path_begin(&path, "/auth");
    if (client_call(cli->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    const char *token = json_text(json_get(answer, "IdentityToken"));
    if (!text_is_empty(token)) {
        free(credentials->identity_token);
        credentials->identity_token = xstrdup(token);
    }
    return 0;
}

/* What is stored is tried first, as docker does when nothing is given. */
static bool stored_works(struct cli *cli, const char *server, const struct login_options *options)
{
    CLEANUP(user_credentials_done) struct user_credentials stored = {};

    if (options->username || options->password || options->password_stdin ||
        credentials_load(server, &stored, NULL) < 0 ||
        (text_is_empty(stored.username) && text_is_empty(stored.identity_token)))
        return false;
    puts("Authenticating with existing credentials...");
    return check_login(cli, server, &stored, NULL) == 0;
}

static int check_login_options(const struct login_options *options, struct error *err)
{
    if (options->password && options->password_stdin)
        return error_set(err, ERROR_INVALID,
                         "conflicting options: cannot specify both --password and "
                         "--password-stdin");
    if (options->password_stdin && text_is_empty(options->username))
        return error_set(err, ERROR_INVALID,
                         "the --password-stdin option requires --username to be set");
    if (options->username && !*options->username)
        return error_set(err, ERROR_INVALID, "username is empty");
    if (options->password && !*options->password)
        return error_set(err, ERROR_INVALID, "password is empty");
    return 0;
}

static int login(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct login_options *options = parsed;
    CLEANUP(user_credentials_done) struct user_credentials credentials = {};
    CLEANUP(free) char *server = credentials_server(arguments->count ? arguments->items[0] : NULL);
    bool warns;

    if (check_login_options(options, err) < 0)
        return -1;
    if (options->password)
        fputs("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n", stderr);
    if (stored_works(cli, server, options)) {
        puts("Login Succeeded");
        return 0;
    }
    credentials.username = options->username ? xstrdup(options->username)
                                             : read_line("Username: ", false, err);
    if (!credentials.username || read_password(options, &credentials.password, err) < 0 ||
        check_login(cli, server, &credentials, err) < 0 ||
        credentials_store(server, &credentials, &warns, err) < 0)
        return -1;
    if (warns)
        fputs("\nWARNING! Your credentials are stored unencrypted in config.json.\n"
              "Configure a credential helper to remove this warning.\n\n",
              stderr);
    puts("Login Succeeded");
    return 0;
}

static int logout(struct cli *cli UNUSED, const void *options UNUSED, const struct strv *arguments,
                  struct error *err)
{
    CLEANUP(free) char *server = credentials_server(arguments->count ? arguments->items[0] : NULL);

    printf("Removing login credentials for %s\n", server);
    return credentials_erase(server, err);
}

/* ---- search ---- */

struct search_options {
    struct strv filters;
    const char *format;
    struct optional_int64 limit;
    bool no_trunc;
};

/* clang-format off */
static const struct option_row search_rows[] = {
    { 'f', "filter",   OPTION_LIST,    offsetof(struct search_options, filters),  "Show only those that fit", .check = filter_check },
    { 0,   "format",   OPTION_TEXT,    offsetof(struct search_options, format),   "table, table TEMPLATE, json or a Go template" },
    { 0,   "limit",    OPTION_INTEGER, offsetof(struct search_options, limit),    "Largest number of results" },
    { 0,   "no-trunc", OPTION_BOOL,    offsetof(struct search_options, no_trunc), "Do not shorten" },
    {},
};

static const struct format_column search_columns[] = {
    { "Name", "NAME" }, { "Description", "DESCRIPTION" }, { "StarCount", "STARS" }, { "IsOfficial", "OFFICIAL" },
    { "IsAutomated", "AUTOMATED" }, {},
};
/* clang-format on */

static struct json *search_row(const struct json *result, bool no_trunc)
{
    struct row row;
    const char *text = json_text(json_get(result, "description")) ?: "";
    CLEANUP(free) char *shown = no_trunc ? xstrdup(text) : format_truncate(text, 45);
    CLEANUP(free)
    char *stars = xasprintf("%lld", (long long)json_to_int64(json_get(result, "star_count")));

    for (char *c = shown; *c; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
    row_begin(&row);
    row_add(&row, "Description", shown);
    row_add(&row, "IsAutomated", "");
    row_add(&row, "IsOfficial", json_is_true(json_get(result, "is_official")) ? "[OK]" : "");
    row_add(&row, "Name", json_text(json_get(result, "name")));
    row_add(&row, "StarCount", stars);
    return row_finish(&row);
}

static int search(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct search_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *list = NULL;
    CLEANUP(free)
    char *limit = xasprintf("%lld", (long long)(options->limit.is_set ? options->limit.value : 25));

    client_path_begin(&path, "/images/search");
    client_path_query(&path, "term", arguments->items[0]);
    client_path_query(&path, "limit", limit);
    if (filter_query_add(&path, &options->filters, err) < 0 ||
        client_call(cli->client, "GET", &path, NULL, &list, err) < 0)
        return -1;
    size_t count = json_count(list);
    struct json **made = xcalloc(count + 1, sizeof(*made));
    for (size_t i = 0; i < count; i++)
        made[i] = search_row(json_at(list, i), options->no_trunc);
    int result = format_rows(options->format, "Name Description StarCount IsOfficial",
                             search_columns, made, count, err);
    for (size_t i = 0; i < count; i++)
        json_free(made[i]);
    free(made);
    return result;
}

/* clang-format off */
const struct command command_pull = {
    .name = "pull", .usage = "[OPTIONS] NAME[:TAG|@DIGEST]", .summary = "Get an image from a registry", .least = 1, .most = 1,
    .options = pull_rows, .options_size = sizeof(struct pull_options), .run = pull,
};
const struct command command_push = {
    .name = "push", .usage = "[OPTIONS] NAME[:TAG]", .summary = "Send an image to a registry", .least = 1, .most = 1,
    .options = push_rows, .options_size = sizeof(struct push_options), .run = push,
};
const struct command command_login = {
    .name = "login", .usage = "[OPTIONS] [SERVER]", .summary = "Say who you are to a registry", .most = 1,
    .options = login_rows, .options_size = sizeof(struct login_options), .run = login,
};
const struct command command_logout = {
    .name = "logout", .usage = "[SERVER]", .summary = "Forget who you are to a registry", .most = 1, .is_local = true,
    .run = logout,
};
const struct command command_search = {
    .name = "search", .usage = "[OPTIONS] TERM", .summary = "Look for images on Docker Hub", .least = 1, .most = 1,
    .options = search_rows, .options_size = sizeof(struct search_options), .run = search,
};
/* clang-format on */
