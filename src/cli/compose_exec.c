/* compose exec, attach, top, port, cp, stats: other commands with the names of services in the
 * place of containers. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_session.h"
#include "cli/terminal.h"

#include "base/banned.h"

extern const struct command command_attach, command_cp, command_exec, command_stats;

/* The running container of a service: the given number (0: the first). */
static int find_running(const struct compose_session *session, const char *service, int number,
                        const struct actual_container **out, struct error *err)
{
    const struct actual_container *found = actual_find(&session->actual, service, number);

    if (!found || !actual_is_running(found)) {
        if (number && found)
            return error_set(err, ERROR_CONFLICT, "service \"%s\" is not running container #%d",
                             service, number);
        return error_set(err, ERROR_CONFLICT, "service \"%s\" is not running", service);
    }
    *out = found;
    return 0;
}

/* ---- exec ---- */

struct exec_options {
    bool detach, no_tty, privileged, interactive, tty;
    struct strv env;
    struct optional_int64 index;
    const char *user, *workdir;
};

/* clang-format off */
#define AT(member) offsetof(struct exec_options, member)
static const struct option_row exec_rows[] = {
    { 'd', "detach",      OPTION_BOOL,    AT(detach),      "Run in the background" },
    { 'e', "env",         OPTION_LIST,    AT(env),         "Set an environment variable" },
    { 0,   "index",       OPTION_INTEGER, AT(index),       "Number of the container" },
    { 'i', "interactive", OPTION_BOOL,    AT(interactive), "Keep stdin open", .initially_true = true, .is_hidden = true },
    { 'T', "no-tty",      OPTION_BOOL,    AT(no_tty),      "Do not make a terminal, as is done when stdin is one" },
    { 0,   "no-TTY",      OPTION_BOOL,    AT(no_tty),      "", .is_hidden = true },
    { 0,   "privileged",  OPTION_BOOL,    AT(privileged),  "Give all privileges" },
    { 't', "tty",         OPTION_BOOL,    AT(tty),         "Make a terminal", .initially_true = true, .is_hidden = true },
    { 'u', "user",        OPTION_TEXT,    AT(user),        "Run as this user" },
    { 'w', "workdir",     OPTION_TEXT,    AT(workdir),     "Run in this directory" },
    {},
};
/* clang-format on */

static int exec(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct exec_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv words = {};
    const struct actual_container *container;
    bool has_terminal = !options->no_tty && options->tty && terminal_is(STDIN_FILENO);

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (compose_session_open(cli, NULL, &session, err) < 0 ||
        find_running(&session, arguments->items[0], (int)options->index.value, &container, err) < 0)
        return -1;
    if (options->detach)
        strv_add(&words, "-d");
    else if (options->interactive)
        strv_add(&words, "-i");
    if (has_terminal && !options->detach)
        strv_add(&words, "-t");
    if (options->privileged)
        strv_add(&words, "--privileged");
    if (options->user)
        strv_add_format(&words, "--user=%s", options->user);
    if (options->workdir)
        strv_add_format(&words, "--workdir=%s", options->workdir);
    for (size_t i = 0; i < options->env.count; i++)
        strv_add_format(&words, "--env=%s", options->env.items[i]);
    strv_add(&words, container->id);
    for (size_t i = 1; i < arguments->count; i++)
        strv_add(&words, arguments->items[i]);
    return cli_call(cli, &command_exec, &words, err);
}

const struct command command_compose_exec = {
    .name = "exec",
    .usage = "[OPTIONS] SERVICE COMMAND [ARG...]",
    .summary = "Run a command in a running container of a service",
    .least = 2,
    .most = MANY_ARGUMENTS,
    .options = exec_rows,
    .options_size = sizeof(struct exec_options),
    .stops_early = true,
    .run = exec,
};

/* ---- attach ---- */

struct attach_options {
    struct optional_int64 index;
    const char *detach_keys;
    bool no_stdin, sig_proxy;
};

/* clang-format off */
static const struct option_row attach_rows[] = {
    { 0, "detach-keys", OPTION_TEXT,    offsetof(struct attach_options, detach_keys), "Keys that detach" },
    { 0, "index",       OPTION_INTEGER, offsetof(struct attach_options, index),       "Number of the container" },
    { 0, "no-stdin",    OPTION_BOOL,    offsetof(struct attach_options, no_stdin),    "Do not attach stdin" },
    { 0, "sig-proxy",   OPTION_BOOL,    offsetof(struct attach_options, sig_proxy),   "Hand signals on to the process", .initially_true = true },
    {},
};
/* clang-format on */

static int attach(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct attach_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv words = {};
    const struct actual_container *container;

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (compose_session_open(cli, NULL, &session, err) < 0 ||
        find_running(&session, arguments->items[0], (int)options->index.value, &container, err) < 0)
        return -1;
    if (options->detach_keys)
        strv_add_format(&words, "--detach-keys=%s", options->detach_keys);
    if (options->no_stdin)
        strv_add(&words, "--no-stdin");
    strv_add_format(&words, "--sig-proxy=%s", options->sig_proxy ? "true" : "false");
    strv_add(&words, container->id);
    return cli_call(cli, &command_attach, &words, err);
}

const struct command command_compose_attach = {
    .name = "attach",
    .usage = "[OPTIONS] SERVICE",
    .summary = "Join the streams of a running container of a service",
    .least = 1,
    .most = 1,
    .options = attach_rows,
    .options_size = sizeof(struct attach_options),
    .run = attach,
};

/* ---- port ---- */

struct port_options {
    struct optional_int64 index;
    const char *protocol;
};

/* clang-format off */
static const struct option_row port_rows[] = {
    { 0, "index",    OPTION_INTEGER, offsetof(struct port_options, index),    "Number of the container" },
    { 0, "protocol", OPTION_TEXT,    offsetof(struct port_options, protocol), "tcp or udp" },
    {},
};
/* clang-format on */

static int port(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct port_options *options = parsed;
    const char *protocol = options->protocol ?: "tcp";
    CLEANUP(compose_session_done) struct compose_session session = {};
    const struct actual_container *container;
    int64_t target;

    if (parse_int64(arguments->items[1], 1, 65535, &target, err) < 0 ||
        compose_session_open(cli, NULL, &session, err) < 0 ||
        find_running(&session, arguments->items[0], (int)options->index.value, &container, err) < 0)
        return -1;
    const struct json *ports = json_get(container->document, "Ports");
    CLEANUP(strv_done) struct strv published = {};
    for (size_t i = 0; i < json_count(ports); i++) {
        const struct json *entry = json_at(ports, i);
        const char *ip = json_text(json_get(entry, "IP"));

        if (ip)
            strv_add_format(&published, "%lld/%s",
                            (long long)json_to_int64(json_get(entry, "PublicPort")),
                            json_text(json_get(entry, "Type")));
        if (json_to_int64(json_get(entry, "PrivatePort")) != target || !ip ||
            !text_equal(json_text(json_get(entry, "Type")), protocol))
            continue;
        printf(strchr(ip, ':') ? "[%s]:%lld\n" : "%s:%lld\n", ip,
               (long long)json_to_int64(json_get(entry, "PublicPort")));
        return 0;
    }
    CLEANUP(free) char *list = strv_join(&published, ", ");
    return error_set(err, ERROR_NOT_FOUND, "no port %lld/%s for container %s: %s",
                     (long long)target, protocol, container->name, list);
}

const struct command command_compose_port = {
    .name = "port",
    .usage = "[OPTIONS] SERVICE PRIVATE_PORT",
    .summary = "Print where a port of a service is published",
    .least = 2,
    .most = 2,
    .options = port_rows,
    .options_size = sizeof(struct port_options),
    .run = port,
};

/* ---- cp ---- */

struct cp_options {
    bool archive, follow_link, all;
    struct optional_int64 index;
};

/* clang-format off */
static const struct option_row cp_rows[] = {
    { 0,   "all",         OPTION_BOOL,    offsetof(struct cp_options, all),         "Copy into containers of `run`, too" },
    { 'a', "archive",     OPTION_BOOL,    offsetof(struct cp_options, archive),     "Keep owners" },
    { 'L', "follow-link", OPTION_BOOL,    offsetof(struct cp_options, follow_link), "Follow symlinks in the source" },
    { 0,   "index",       OPTION_INTEGER, offsetof(struct cp_options, index),       "Number of the container" },
    {},
};
/* clang-format on */

/* The service of "web:/path", NULL for a path of ours. Yours. */
static char *service_of(const char *text)
{
    const char *colon = strchr(text, ':');

    return !colon || text[0] == '/' || text[0] == '.' ? NULL
                                                      : xstrndup(text, (size_t)(colon - text));
}

static int copy(struct cli *cli, const struct cp_options *options, const char *from, const char *to,
                struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};

    if (options->archive)
        strv_add(&words, "-a");
    if (options->follow_link)
        strv_add(&words, "-L");
    strv_add(&words, from);
    strv_add(&words, to);
    return cli_call(cli, &command_cp, &words, err);
}

static int copy_out(struct cli *cli, const struct compose_session *session,
                    const struct cp_options *options, const char *service, const char *from,
                    const char *to, struct error *err)
{
    const struct actual_container *container = actual_find(&session->actual, service,
                                                           (int)options->index.value);

    if (options->all)
        return error_set(err, ERROR_INVALID,
                         "cannot use the --all flag when copying from a service");
    if (!container)
        return error_set(err, ERROR_NOT_FOUND, "no container found for service \"%s\"", service);
    CLEANUP(free) char *source = xasprintf("%s%s", container->id, strchr(from, ':'));
    return copy(cli, options, source, to, err);
}

/* Into every container of the service, unless one is named by its number. */
static int copy_in(struct cli *cli, const struct compose_session *session,
                   const struct cp_options *options, const char *service, const char *from,
                   const char *to, struct error *err)
{
    bool has_any = false;

    for (size_t i = 0; i < session->actual.count; i++) {
        const struct actual_container *container = &session->actual.containers[i];

        if (strcmp(container->service, service) != 0 || (container->is_oneoff && !options->all) ||
            (options->index.is_set && container->number != options->index.value))
            continue;
        CLEANUP(free) char *target = xasprintf("%s%s", container->id, strchr(to, ':'));
        has_any = true;
        if (copy(cli, options, from, target, err) < 0)
            return -1;
    }
    return has_any
               ? 0
               : error_set(err, ERROR_NOT_FOUND, "no container found for service \"%s\"", service);
}

static int cp(struct cli *cli, const void *parsed, const struct strv *arguments, struct error *err)
{
    const struct cp_options *options = parsed;
    const char *from = arguments->items[0], *to = arguments->items[1];
    CLEANUP(free) char *source = service_of(from), *target = service_of(to);
    CLEANUP(compose_session_done) struct compose_session session = {};

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (source && target)
        return error_set(err, ERROR_INVALID, "copying between services is not supported");
    if (!source && !target)
        return error_set(err, ERROR_INVALID, "unknown copy direction");
    if (compose_session_open(cli, NULL, &session, err) < 0)
        return -1;
    return source ? copy_out(cli, &session, options, source, from, to, err)
                  : copy_in(cli, &session, options, target, from, to, err);
}

const struct command command_compose_cp = {
    .name = "cp",
    .usage = "[OPTIONS] SERVICE:SOURCE TARGET | SOURCE SERVICE:TARGET",
    .summary = "Copy files into and out of a container of a service",
    .least = 2,
    .most = 2,
    .options = cp_rows,
    .options_size = sizeof(struct cp_options),
    .run = cp,
};

/* ---- stats ---- */

struct stats_options {
    bool all, no_stream, no_trunc;
    const char *format;
};

/* clang-format off */
static const struct option_row stats_rows[] = {
    { 'a', "all",       OPTION_BOOL, offsetof(struct stats_options, all),       "Show stopped containers, too" },
    { 0,   "format",    OPTION_TEXT, offsetof(struct stats_options, format),    "table, json or a template" },
    { 0,   "no-stream", OPTION_BOOL, offsetof(struct stats_options, no_stream), "Print once" },
    { 0,   "no-trunc",  OPTION_BOOL, offsetof(struct stats_options, no_trunc),  "Do not shorten" },
    {},
};
/* clang-format on */

static int stats(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct stats_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv words = {};
    size_t count = 0;

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    if (options->no_stream)
        strv_add(&words, "--no-stream");
    if (options->no_trunc)
        strv_add(&words, "--no-trunc");
    if (options->format)
        strv_add_format(&words, "--format=%s", options->format);
    for (size_t i = 0; i < session.actual.count; i++) {
        const struct actual_container *container = &session.actual.containers[i];

        if (container->is_oneoff || (!options->all && !actual_is_running(container)) ||
            (arguments->count && !strv_contains(arguments, container->service)))
            continue;
        strv_add(&words, container->name);
        count++;
    }
    return count ? cli_call(cli, &command_stats, &words, err) : 0;
}

const struct command command_compose_stats = {
    .name = "stats",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Show what containers use",
    .most = MANY_ARGUMENTS,
    .options = stats_rows,
    .options_size = sizeof(struct stats_options),
    .run = stats,
};
