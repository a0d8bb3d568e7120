/* build */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/context.h"

#include "base/banned.h"

struct build_options {
    bool no_cache, quiet, remove, force_remove, pull;
    struct strv add_host, build_arg, cache_from, label, tag, ulimit;
    const char *file, *iidfile, *network, *platform, *target, *cgroup_parent, *cpuset_cpus,
        *cpuset_mems;
    struct optional_int64 memory, memory_swap, shm_size, cpu_shares, cpu_period, cpu_quota;
};

/* clang-format off */
#define AT(member) offsetof(struct build_options, member)
static const struct option_row rows[] = {
    { 0,   "add-host",      OPTION_LIST,    AT(add_host),      "Add a line to /etc/hosts (name:ip)" },
    { 0,   "build-arg",     OPTION_LIST,    AT(build_arg),     "Set a variable of the build" },
    { 0,   "cache-from",    OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "cgroup-parent", OPTION_TEXT,    AT(cgroup_parent), "Cgroup to make those of RUN in" },
    { 0,   "compress",      OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 0,   "cpu-period",    OPTION_INTEGER, AT(cpu_period),    "Period of the CPU quota, in microseconds" },
    { 0,   "cpu-quota",     OPTION_INTEGER, AT(cpu_quota),     "CPU time per period, in microseconds" },
    { 'c', "cpu-shares",    OPTION_INTEGER, AT(cpu_shares),    "CPU weight against others" },
    { 0,   "cpuset-cpus",   OPTION_TEXT,    AT(cpuset_cpus),   "CPUs that RUN may use" },
    { 0,   "cpuset-mems",   OPTION_TEXT,    AT(cpuset_mems),   "Memory nodes that RUN may use" },
    { 'f', "file",          OPTION_TEXT,    AT(file),          "The Dockerfile (PATH/Dockerfile)" },
    { 0,   "force-rm",      OPTION_BOOL,    AT(force_remove),  "Remove what a step left even if it failed" },
    { 0,   "iidfile",       OPTION_TEXT,    AT(iidfile),       "Write the image's id to this file" },
    { 0,   "isolation",     OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "label",         OPTION_LIST,    AT(label),         "Set a label of the image" },
    { 'm', "memory",        OPTION_BYTES,   AT(memory),        "Memory limit of RUN" },
    { 0,   "memory-swap",   OPTION_BYTES,   AT(memory_swap),   "Limit of memory and swap together" },
    { 0,   "network",       OPTION_TEXT,    AT(network),       "Network of RUN" },
    { 0,   "no-cache",      OPTION_BOOL,    AT(no_cache),      "Do every step anew" },
    { 0,   "platform",      OPTION_TEXT,    AT(platform),      "Platform of the image" },
    { 0,   "pull",          OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 'q', "quiet",         OPTION_BOOL,    AT(quiet),         "Print the image's id only" },
    { 0,   "rm",            OPTION_BOOL,    AT(remove),        "Remove what steps left", .initially_true = true },
    { 0,   "security-opt",  OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "shm-size",      OPTION_BYTES,   AT(shm_size),      "Size of /dev/shm for RUN" },
    { 0,   "squash",        OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 't', "tag",           OPTION_LIST,    AT(tag),           "Name of the image" },
    { 0,   "target",        OPTION_TEXT,    AT(target),        "Stage to build" },
    { 0,   "ulimit",        OPTION_UNSUPPORTED, 0, NULL },
    {},
};
/* clang-format on */

static void add_number(struct client_path *path, const char *name,
                       const struct optional_int64 *value)
{
    CLEANUP(free) char *text = xasprintf("%lld", (long long)value->value);

    client_path_query(path, name, value->is_set ? text : NULL);
}

/* K=V as a JSON object; K alone: from the environment, or null. */
static void add_pairs(struct client_path *path, const char *name, const struct strv *pairs,
                      bool from_environment)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (!pairs->count)
        return;
    json_begin_dict(&w, NULL);
    for (size_t i = 0; i < pairs->count; i++) {
        const char *entry = pairs->items[i], *equals = strchr(entry, '=');
        CLEANUP(free)
        char *key = equals ? xstrndup(entry, (size_t)(equals - entry)) : xstrdup(entry);

        json_add_text(&w, key, equals ? equals + 1 : from_environment ? getenv(entry) : "");
    }
    json_end_dict(&w);
    client_path_query(path, name, str_text(&text));
}

static void add_query(struct client_path *path, const struct build_options *options,
                      const char *dockerfile)
{
    client_path_query(path, "dockerfile", dockerfile);
    for (size_t i = 0; i < options->tag.count; i++)
        client_path_query(path, "t", options->tag.items[i]);
    for (size_t i = 0; i < options->add_host.count; i++)
        client_path_query(path, "extrahosts", options->add_host.items[i]);
    add_pairs(path, "buildargs", &options->build_arg, true);
    add_pairs(path, "labels", &options->label, false);
    client_path_query(path, "nocache", options->no_cache ? "1" : NULL);
    client_path_query(path, "q", options->quiet ? "1" : NULL);
    client_path_query(path, "rm", options->remove ? "1" : "0");
    client_path_query(path, "forcerm", options->force_remove ? "1" : NULL);
    client_path_query(path, "networkmode", options->network);
    client_path_query(path, "platform", options->platform);
    client_path_query(path, "target", options->target);
    client_path_query(path, "cgroupparent", options->cgroup_parent);
    client_path_query(path, "cpusetcpus", options->cpuset_cpus);
    client_path_query(path, "cpusetmems", options->cpuset_mems);
    add_number(path, "memory", &options->memory);
    add_number(path, "memswap", &options->memory_swap);
    add_number(path, "shmsize", &options->shm_size);
    add_number(path, "cpushares", &options->cpu_shares);
    add_number(path, "cpuperiod", &options->cpu_period);
    add_number(path, "cpuquota", &options->cpu_quota);
}

/* Prints the progress; gives the image's id. */
static int follow(struct cli *cli, struct client_messages *messages, bool quiet, char **out_id,
                  struct error *err)
{
    CLEANUP(str_done) struct str last = {};
    int more;
    struct json *message = NULL;

    while ((more = client_messages_next(messages, &message, err)) > 0) {
        const char *text = json_text(json_get(message, "stream")),
                   *failed = json_text(json_get(message, "error"));
        const char *id = json_text(json_get(json_get(message, "aux"), "ID"));

        if (text && !quiet)
            fputs(text, stdout);
        if (text && quiet) {
            str_clear(&last);
            str_add(&last, text);
        }
        if (id) {
            free(*out_id);
            *out_id = xstrdup(id);
        }
        if (failed) {
            int64_t code = json_to_int64(json_get(json_get(message, "errorDetail"), "code"));

            if (code > 0 && code < 256)
                cli->exit_code = (int)code;
            error_set(err, ERROR_INTERNAL, "%s", failed);
        }
        json_free(message);
        fflush(stdout);
        if (failed)
            return -1;
    }
    if (more == 0 && quiet)
        fputs(str_text(&last), stdout);
    return more;
}

static int build(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct build_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(stream_close) struct stream *body = NULL;
    CLEANUP(free) char *id = NULL;
    const char *context = arguments->items[0], *dockerfile = options->file, *extra = NULL;
    struct client_messages messages = {};
    CLEANUP(free) char *inside = NULL;

    if (text_starts(context, "http://") || text_starts(context, "https://") ||
        text_starts(context, "git@"))
        return error_set(err, ERROR_UNSUPPORTED, "remote build contexts are not supported yet");
    if (dockerfile && strcmp(dockerfile, "-") == 0)
        return error_set(err, ERROR_UNSUPPORTED, "a Dockerfile on stdin is not supported yet");
    if (strcmp(context, "-") == 0) {
        body = stream_from_fd(STDIN_FILENO, 0);
    } else {
        /* A Dockerfile inside the context is named by its path there; one from outside is sent
         * along. */
        if (dockerfile) {
            CLEANUP(free) char *absolute = path_absolute(dockerfile);
            CLEANUP(free) char *root = path_absolute(context);
            size_t length = strlen(root);

            if (!file_exists(absolute))
                return error_set(
                    err, ERROR_NOT_FOUND,
                    "unable to prepare context: unable to evaluate symlinks in Dockerfile "
                    "path: lstat %s: no such file or directory",
                    absolute);
            if (text_starts(absolute, root) && absolute[length] == '/') {
                inside = xstrdup(absolute + length + 1);
            } else {
                inside = xasprintf(".dockerfile.%d", (int)getpid());
                extra = dockerfile;
            }
            dockerfile = inside;
        }
        if (context_stream(context, extra, inside, &body, err) < 0)
            return -1;
    }
    client_path_begin(&path, "/build");
    add_query(&path, options, dockerfile);
    if (client_stream(cli->client, "POST", &path, NULL, body, "application/x-tar",
                      &messages.response, err) < 0)
        return -1;
    int result = follow(cli, &messages, options->quiet, &id, err);
    client_messages_done(&messages);
    if (result == 0 && options->iidfile && id)
        result = file_write_atomic(options->iidfile, id, strlen(id), 0644, false, err);
    return result;
}

const struct command command_build = {
    .name = "build",
    .usage = "[OPTIONS] PATH | -",
    .summary = "Build an image from a Dockerfile",
    .least = 1,
    .most = 1,
    .options = rows,
    .options_size = sizeof(struct build_options),
    .run = build,
};
