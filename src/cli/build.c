/* build */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/build.h"
#include "cli/build_cache.h"
#include "cli/build_lend.h"
#include "cli/build_output.h"
#include "cli/build_progress.h"
#include "cli/command.h"
#include "cli/context.h"
#include "cli/context_sync.h"
#include "cli/credentials.h"
#include "cli/csv.h"
#include "cli/labelled.h"
#include "cli/platform_query.h"
#include "cli/proxies.h"

#include "base/banned.h"

struct build_options {
    bool no_cache, quiet, remove, force_remove, pull, push, check, verify, load;
    struct strv add_host, build_arg, cache_from, cache_to, label, tag, allow, build_context,
        no_cache_filter, output, secret, ssh, attest;
    const char *file, *iidfile, *metadata_file, *network, *platform, *target, *cgroup_parent,
        *cpuset_cpus, *cpuset_mems, *progress, *provenance, *sbom;
    struct optional_int64 memory, memory_swap, shm_size, cpu_shares, cpu_period, cpu_quota;
};

/* clang-format off */
#define AT(member) offsetof(struct build_options, member)
static const struct option_row rows[] = {
    { 0,   "add-host",      OPTION_LIST,    AT(add_host),      "Add a line to /etc/hosts (name:ip)" },
    { 0,   "attest",        OPTION_LIST,    AT(attest),        "Attest something of the image (type=provenance,mode=max; type=sbom)" },
    { 0,   "allow",         OPTION_LIST,    AT(allow),         "Let RUN have a privilege (security.insecure)" },
    { 0,   "build-arg",     OPTION_LIST,    AT(build_arg),     "Set a variable of the build" },
    { 0,   "build-context", OPTION_LIST,    AT(build_context), "Further context (name=path, URL or docker-image://image)" },
    { 0,   "cache-from",    OPTION_LIST,    AT(cache_from),    "Take steps of another build as done (image, type=local,src=dir)" },
    { 0,   "cache-to",      OPTION_LIST,    AT(cache_to),      "Put the steps where others find them (type=inline, registry, local)" },
    { 0,   "cgroup-parent", OPTION_TEXT,    AT(cgroup_parent), "Cgroup to make those of RUN in" },
    { 0,   "check",         OPTION_BOOL,    AT(check),         "Only say what is unwise in the Dockerfile" },
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
    { 0,   "load",          OPTION_BOOL,    AT(load),          "Keep the image in the engine, besides other outputs" },
    { 'm', "memory",        OPTION_BYTES,   AT(memory),        "Memory limit of RUN" },
    { 0,   "memory-swap",   OPTION_BYTES,   AT(memory_swap),   "Limit of memory and swap together" },
    { 0,   "metadata-file", OPTION_TEXT,    AT(metadata_file), "Write what the build resulted in to this file" },
    { 0,   "network",       OPTION_TEXT,    AT(network),       "Network of RUN" },
    { 0,   "no-cache",      OPTION_BOOL,    AT(no_cache),      "Do every step anew" },
    { 0,   "no-cache-filter", OPTION_LIST,  AT(no_cache_filter), "Do the steps of these stages anew" },
    { 'o', "output",        OPTION_LIST,    AT(output),        "Where the result goes (type=local,dest=path; tar, oci, docker, image)" },
    { 0,   "platform",      OPTION_TEXT,    AT(platform),      "Platform of the image" },
    { 0,   "progress",      OPTION_TEXT,    AT(progress),      "How to show what happens (auto, tty, plain, quiet, rawjson)" },
    { 0,   "pull",          OPTION_BOOL,    AT(pull),          "Fetch base images even if they are here" },
    { 0,   "push",          OPTION_BOOL,    AT(push),          "Push the image under all its names" },
    { 0,   "provenance",    OPTION_TEXT,    AT(provenance),    "Attest where the image comes from (true, false, mode=min, mode=max)" },
    { 'q', "quiet",         OPTION_BOOL,    AT(quiet),         "Print the image's id only" },
    { 0,   "rm",            OPTION_BOOL,    AT(remove),        "Remove what steps left", .initially_true = true },
    { 0,   "sbom",          OPTION_TEXT,    AT(sbom),          "Attest which packages are in the image (true, false)" },
    { 0,   "secret",        OPTION_LIST,    AT(secret),        "Let steps read a secret (id=name,src=file or id=name,env=NAME)" },
    { 0,   "security-opt",  OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "shm-size",      OPTION_BYTES,   AT(shm_size),      "Size of /dev/shm for RUN" },
    { 0,   "squash",        OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 0,   "ssh",           OPTION_LIST,    AT(ssh),           "Let steps talk to an SSH agent (default or id=socket)" },
    { 't', "tag",           OPTION_LIST,    AT(tag),           "Name of the image" },
    { 0,   "target",        OPTION_TEXT,    AT(target),        "Stage to build" },
    { 0,   "ulimit",        OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "verify",        OPTION_BOOL,    AT(verify),        "Build twice and see whether the results are the same" },
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
static void write_pairs(struct json_writer *w, const struct strv *pairs, bool from_environment)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *entry = pairs->items[i], *equals = strchr(entry, '=');
        CLEANUP(free)
        char *key = equals ? xstrndup(entry, (size_t)(equals - entry)) : xstrdup(entry);

        json_add_text(w, key, equals ? equals + 1 : from_environment ? getenv(entry) : "");
    }
}

static void add_pairs(struct client_path *path, const char *name, const struct strv *pairs,
                      bool from_environment)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (!pairs->count)
        return;
    json_begin_dict(&w, NULL);
    write_pairs(&w, pairs, from_environment);
    json_end_dict(&w);
    client_path_query(path, name, str_text(&text));
}

/* An epoch in our environment is meant for the build. */
static void add_arguments(const struct cli *cli, struct client_path *path, const struct strv *given)
{
    CLEANUP(strv_done) struct strv pairs = {};

    strv_add_all(&pairs, given);
    if (!text_is_empty(getenv("SOURCE_DATE_EPOCH")) && !strv_env_get(&pairs, "SOURCE_DATE_EPOCH"))
        strv_add(&pairs, "SOURCE_DATE_EPOCH");
    proxies_add(cli->client, &pairs, &pairs);
    add_pairs(path, "buildargs", &pairs, true);
}

static void add_list(struct client_path *path, const char *name, const struct strv *list)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (!list->count)
        return;
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < list->count; i++)
        json_add_text(&w, NULL, list->items[i]);
    json_end_list(&w);
    client_path_query(path, name, str_text(&text));
}

static void add_query(const struct cli *cli, struct client_path *path,
                      const struct build_options *options, const char *dockerfile)
{
    client_path_query(path, "dockerfile", dockerfile);
    for (size_t i = 0; i < options->tag.count; i++)
        client_path_query(path, "t", options->tag.items[i]);
    for (size_t i = 0; i < options->add_host.count; i++)
        client_path_query(path, "extrahosts", options->add_host.items[i]);
    add_arguments(cli, path, &options->build_arg);
    add_pairs(path, "labels", &options->label, false);
    add_list(path, "allow", &options->allow);
    add_list(path, "nocachefilter", &options->no_cache_filter);
    client_path_query(path, "pull", options->pull ? "1" : NULL);
    client_path_query(path, "check", options->check ? "1" : NULL);
    client_path_query(path, "verify", options->verify ? "1" : NULL);
    client_path_query(path, "nocache", options->no_cache ? "1" : NULL);
    client_path_query(path, "rm", options->remove ? "1" : "0");
    client_path_query(path, "forcerm", options->force_remove ? "1" : NULL);
    client_path_query(path, "networkmode", options->network);
    client_path_query(path, "platform", platform_or_default(options->platform));
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

/* ---- where the files come from ---- */

#define CONTEXTS_NAME  ".berth-contexts" /* the engine takes it out of the context */
#define CONTEXTS_LIMIT 64
#define STDIN_LIMIT    ((size_t)16 << 20) /* of a Dockerfile */
#define TAR_MAGIC_AT   257

static bool is_remote(const char *text)
{
    static const char *const prefixes[] = { "http://", "https://", "git://",
                                            "git@",    "ssh://",   "github.com/" };

    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (text_starts(text, prefixes[i]))
            return true;
    return false;
}

/* What is sent, and what is told in the query. */
struct input {
    struct stream *body;
    struct str archive;              /* memory behind the body, if it has any */
    struct strv directories, places; /* of further contexts: on our side, in the archive */
    struct strv contexts;            /* "name=dir:0" */
    char *dockerfile, *extra;
    struct context_syncing synced; /* instead of all of them */
    struct strv cache_from;        /* images that the engine has now */
    struct strv attestations;      /* "provenance=mode=max" */
    struct strv cache_to;    /* registries to which the engine sends the steps of all stages */
    bool wants_cache_images; /* to be saved here */
};

static void input_done(struct input *input)
{
    stream_close(input->body);
    str_done(&input->archive);
    strv_done(&input->directories);
    strv_done(&input->places);
    strv_done(&input->contexts);
    free(input->dockerfile);
    free(input->extra);
    context_syncing_done(&input->synced);
    strv_done(&input->cache_from);
    strv_done(&input->attestations);
    strv_done(&input->cache_to);
}
CLEANUP_VALUE(input_done, struct input)

static int read_contexts(const struct strv *given, struct input *out, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        const char *entry = given->items[i], *equals = strchr(entry, '=');

        if (!equals || equals == entry || !equals[1])
            return error_set(err, ERROR_INVALID, "invalid context value: %s, expected key=value",
                             entry);
        if (is_remote(equals + 1) || text_starts(equals + 1, "docker-image://")) {
            strv_add(&out->contexts, entry);
            continue;
        }
        if (text_starts(equals + 1, "oci-layout://") || text_starts(equals + 1, "target:"))
            return error_set(err, ERROR_UNSUPPORTED, "build context %s is not supported", entry);
        if (out->directories.count >= CONTEXTS_LIMIT)
            return error_set(err, ERROR_INVALID, "more than %d build contexts", CONTEXTS_LIMIT);
        strv_add_format(&out->contexts, "%.*s=dir:%zu", (int)(equals - entry), entry,
                        out->directories.count);
        strv_add_format(&out->places, "%s/%zu", CONTEXTS_NAME, out->directories.count);
        strv_add(&out->directories, equals + 1);
    }
    return 0;
}

/* A Dockerfile inside the context is named by its path there; one from outside is sent along. */
static int place_dockerfile(const char *context, const char *dockerfile, struct input *out,
                            struct error *err)
{
    CLEANUP(free) char *absolute = path_absolute(dockerfile);
    CLEANUP(free) char *root = path_absolute(context);
    size_t length = strlen(root);

    if (!file_exists(absolute))
        return error_set(err, ERROR_NOT_FOUND,
                         "unable to prepare context: unable to evaluate symlinks in Dockerfile "
                         "path: lstat %s: no such file or directory",
                         absolute);
    if (text_starts(absolute, root) && (absolute[length] == '/' || length == 1)) {
        out->dockerfile = xstrdup(absolute + length + (length > 1));
    } else {
        out->dockerfile = xasprintf(".dockerfile.%d", (int)getpid());
        out->extra = xstrdup(dockerfile);
    }
    return 0;
}

static bool is_archive(const struct str *text)
{
    static const struct {
        const char *magic;
        size_t size;
    } heads[] = { { "\x1f\x8b", 2 },
                  { "BZh", 3 },
                  { "\xfd"
                    "7zXZ",
                    5 },
                  { "\x28\xb5\x2f\xfd", 4 } };

    for (size_t i = 0; i < COUNT(heads); i++)
        if (text->length > heads[i].size && memcmp(text->data, heads[i].magic, heads[i].size) == 0)
            return true;
    return text->length > TAR_MAGIC_AT + 5 && memcmp(text->data + TAR_MAGIC_AT, "ustar", 5) == 0;
}

/* What was read of stdin already, then the rest of it. */
struct joined {
    struct stream stream;
    const struct str *head;
    size_t at;
};

static ssize_t joined_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct joined *joined = CONTAINER_OF(stream, struct joined, stream);
    size_t left = joined->head->length - joined->at;

    if (left == 0) {
        ssize_t count = read(STDIN_FILENO, data, size);

        return count < 0 ? error_sys(err, "read stdin") : count;
    }
    size = MIN(size, left);
    memcpy(data, joined->head->data + joined->at, size);
    joined->at += size;
    return (ssize_t)size;
}

static void joined_close(struct stream *stream)
{
    free(CONTAINER_OF(stream, struct joined, stream));
}

/* "-": an archive, or a Dockerfile on nothing. */
static int read_stdin(struct input *out, struct error *err)
{
    struct joined *joined = NULL;
    ssize_t count;

    str_reserve(&out->archive, 512);
    count = fd_read_full(STDIN_FILENO, out->archive.data, 512, err);
    if (count < 0)
        return -1;
    out->archive.length = (size_t)count;
    out->archive.data[count] = 0;
    if (!is_archive(&out->archive)) {
        CLEANUP(str_done) struct str text = {};

        str_add_bytes(&text, str_text(&out->archive), out->archive.length);
        str_clear(&out->archive);
        if (count == 512 && file_read_fd(STDIN_FILENO, STDIN_LIMIT, &text, err) < 0)
            return error_context(err, "Dockerfile on stdin");
        if (context_of_dockerfile(str_text(&text), text.length, &out->archive, err) < 0)
            return -1;
        out->body = stream_from_memory(out->archive.data, out->archive.length);
        return 0;
    }
    joined = NEW(struct joined);
    joined->stream.read = joined_read;
    joined->stream.close = joined_close;
    joined->head = &out->archive;
    out->body = &joined->stream;
    return 0;
}

/* "-f -": the Dockerfile comes on stdin, the files from a directory. */
static int dockerfile_from_stdin(struct input *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    char path[] = "/tmp/berth-dockerfile-XXXXXX";
    CLEANUP(close) int fd = -1;

    if (file_read_fd(STDIN_FILENO, STDIN_LIMIT, &text, err) < 0)
        return error_context(err, "Dockerfile on stdin");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "create %s", path);
    out->extra = xstrdup(path);
    out->dockerfile = xasprintf(".dockerfile.%d", (int)getpid());
    return fd_write_all(fd, str_text(&text), text.length, err);
}

static int open_directory(const char *context, const char *dockerfile, struct input *out,
                          struct error *err)
{
    struct context_part parts[CONTEXTS_LIMIT + 1] = { { context, "" } };
    bool from_stdin = text_equal(dockerfile, "-");
    int result = 0;

    if (from_stdin)
        result = dockerfile_from_stdin(out, err);
    else if (dockerfile)
        result = place_dockerfile(context, dockerfile, out, err);
    for (size_t i = 0; i < out->directories.count; i++)
        parts[i + 1] = (struct context_part){ out->directories.items[i], out->places.items[i] };
    if (result == 0)
        result = context_stream(parts, out->directories.count + 1, out->extra, out->dockerfile,
                                &out->body, err);
    return result;
}

/* The engine keeps the context: 1; or it has to be sent whole: 0. The Dockerfile comes by itself,
 * and is shown under its name in the context. */
static int sync_input(struct cli *cli, const struct build_options *options, const char *context,
                      struct input *out, struct error *err)
{
    const char *given = options->file, *name = given ? given : "Dockerfile";
    CLEANUP(free) char *path = given ? xstrdup(given) : path_join(context, name);
    CLEANUP(free) char *other = path_join(context, "dockerfile");

    if (out->directories.count > 0 || text_equal(given, "-"))
        return 0;
    if (!given && !file_exists(path) && file_exists(other)) {
        free(path);
        path = TAKE(other);
        name = "dockerfile";
    }
    int result = context_sync(cli, context, path, options->build_context.count > 0, &out->synced,
                              err);
    if (result > 0)
        out->dockerfile = xstrdup(given ? path_base(given) : name);
    return result;
}

static int open_input(struct cli *cli, const struct build_options *options, const char *context,
                      struct input *out, struct error *err)
{
    bool has_files = !is_remote(context) && strcmp(context, "-") != 0;

    if (read_contexts(&options->build_context, out, err) < 0)
        return -1;
    int synced = has_files ? sync_input(cli, options, context, out, err) : 0;
    if (synced != 0)
        return MIN(synced, 0);
    if (has_files)
        return open_directory(context, options->file, out, err);
    if (out->directories.count > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "directories as further contexts need a directory as context");
    if (text_equal(options->file, "-"))
        return error_set(err, ERROR_INVALID,
                         "invalid argument: can't use stdin for both build context and Dockerfile");
    out->dockerfile = xstrdup(options->file);
    return is_remote(context) ? 0 : read_stdin(out, err);
}

/* ---- afterwards ---- */

static int write_metadata(const struct build_options *options, const char *id, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *names = strv_join(&options->tag, ",");
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "containerimage.config.digest", id);
    json_add_text(&w, "containerimage.digest", id);
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

struct outputs {
    struct build_output items[16];
    size_t count;
};

static void outputs_done(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++)
        build_output_done(&outputs->items[i]);
}
CLEANUP_VALUE(outputs_done, struct outputs)

static int read_outputs(const struct strv *given, struct outputs *out, struct error *err)
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

/* Is the image only a way to its outputs? The engine holds it for them then. */
static bool is_passing(const struct build_options *options, const struct outputs *outputs)
{
    bool is_kept = options->tag.count > 0 || options->load || outputs->count == 0;

    for (size_t i = 0; i < outputs->count; i++)
        is_kept |= outputs->items[i].type == OUTPUT_IMAGE ||
                   (outputs->items[i].type == OUTPUT_DOCKER && !outputs->items[i].destination);
    return !is_kept;
}

/* "type=provenance,mode=max" as the engine has it: the type, and the rest. */
static int add_attestation(const char *text, struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {}, rest = {};
    const char *type = NULL;

    if (csv_split(text, &fields, err) < 0)
        return -1;
    for (size_t i = 0; i < fields.count; i++)
        if (text_starts(fields.items[i], "type="))
            type = fields.items[i] + strlen("type=");
        else
            strv_add(&rest, fields.items[i]);
    if (!type || (strcmp(type, "provenance") != 0 && strcmp(type, "sbom") != 0))
        return error_set(err, ERROR_INVALID,
                         "invalid attestation %s: type=provenance or type=sbom is needed", text);
    CLEANUP(free) char *settings = strv_join(&rest, ",");
    strv_add_format(out, "%s=%s", type, settings);
    return 0;
}

/* What is to be attested: "type=settings" each. */
static int read_attestations(const struct build_options *options, struct strv *out,
                             struct error *err)
{
    for (size_t i = 0; i < options->attest.count; i++)
        if (add_attestation(options->attest.items[i], out, err) < 0)
            return -1;
    if (options->provenance)
        strv_add_format(out, "provenance=%s", options->provenance);
    if (options->sbom)
        strv_add_format(out, "sbom=%s", options->sbom);
    return 0;
}

/* What is asked for and cannot be had is said before anything is built. */
static int check_options(const struct build_options *options, struct error *err)
{
    for (size_t i = 0; i < options->cache_to.count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(options->cache_to.items[i], true, &cache, err) < 0)
            return -1;
    }
    if (options->push && options->tag.count == 0)
        return error_set(err, ERROR_INVALID, "a pushed image needs a name: --tag");
    return 0;
}

/* What the engine has to do for --cache-to. */
static int read_caches(const struct strv *given, struct input *out, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(given->items[i], true, &cache, err) < 0)
            return -1;
        if (cache.is_max && cache.type == BUILD_CACHE_REGISTRY)
            strv_add(&out->cache_to, cache.place);
        out->wants_cache_images |= cache.is_max && cache.type == BUILD_CACHE_LOCAL;
    }
    return 0;
}

static int write_caches(struct cli *cli, const struct strv *given, const struct build_told *told,
                        struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(given->items[i], true, &cache, err) < 0 ||
            build_cache_write(cli, &cache, told->id, &told->cache_images, err) < 0)
            return -1;
    }
    return 0;
}

static int push_image(struct cli *cli, const struct build_options *options, const char *id,
                      struct error *err)
{
    const struct build_output output = { .type = OUTPUT_IMAGE, .is_pushed = true };

    return options->push ? build_output_write(cli, &output, id, &options->tag, err) : 0;
}

static int finish(struct cli *cli, const struct build_options *options,
                  const struct outputs *outputs, const struct build_told *told, struct error *err)
{
    const char *id = told->id;

    int written = write_caches(cli, &options->cache_to, told, err);
    for (size_t i = 0; i < told->cache_images.count; i++)
        forget_image(cli, told->cache_images.items[i]);
    if (written < 0 || push_image(cli, options, id, err) < 0)
        return -1;

    for (size_t i = 0; i < outputs->count; i++)
        if (build_output_write(cli, &outputs->items[i], id, &options->tag, err) < 0)
            return -1;
    if (options->iidfile &&
        file_write_atomic(options->iidfile, id, strlen(id), 0644, false, err) < 0)
        return -1;
    return options->metadata_file ? write_metadata(options, id, err) : 0;
}

/* What the builder says at its end, where it was not let. */
static void tell(const struct cli *cli, const struct build_options *options,
                 const struct outputs *outputs, enum progress_style style, const char *id)
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
static int send_context(struct cli *cli, const struct client_path *path, struct input *input,
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
                struct input *input, const char *lender_id, bool is_held, enum progress_style style,
                struct client_messages *messages, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/build");
    add_query(cli, &path, options, input->dockerfile);
    add_pairs(&path, "contexts", &input->contexts, false);
    add_pairs(&path, "attest", &input->attestations, false);
    add_list(&path, "cachefrom", &input->cache_from);
    add_list(&path, "cacheto", &input->cache_to);
    client_path_query(&path, "cacheimages", input->wants_cache_images ? "1" : NULL);
    client_path_query(&path, "lender", lender_id);
    client_path_query(&path, "hold", is_held ? "1" : NULL);
    client_path_query(&path, "context", input->synced.id);
    client_path_query(&path, "remote", is_remote(context) ? context : NULL);
    client_path_query(&path, "q", style == PROGRESS_QUIET ? "1" : NULL);
    client_path_query(&path, "steps", progress_wants_steps(style) ? "1" : NULL);
    return send_context(cli, &path, input, messages, err);
}

static int run(struct cli *cli, const struct build_options *options, const char *context,
               bool is_silent, struct error *err)
{
    CLEANUP(outputs_done) struct outputs outputs = {};
    CLEANUP(input_done) struct input input = {};
    CLEANUP(build_lending_end) struct build_lending *lending = NULL;
    CLEANUP(build_told_done) struct build_told told = {};
    struct client_messages messages = {};
    enum progress_style style;

    if (progress_style_read(options->progress, &style, err) < 0 ||
        read_outputs(&options->output, &outputs, err) < 0 || check_options(options, err) < 0)
        return -1;
    if (options->quiet)
        style = PROGRESS_QUIET;
    if (options->check)
        style = PROGRESS_CLASSIC;
    for (size_t i = 0; i < outputs.count; i++)
        if (text_equal(outputs.items[i].destination, "-") && style != PROGRESS_QUIET)
            return error_set(err, ERROR_INVALID,
                             "an output on stdout needs --progress=quiet: both would mix");
    int result = read_attestations(options, &input.attestations, err);
    if (result == 0)
        result = read_caches(&options->cache_to, &input, err);
    if (result == 0)
        result = open_input(cli, options, context, &input, err);
    if (result == 0)
        result = build_cache_bring(cli, &options->cache_from, &input.cache_from, err);
    const struct build_loan loan = { &options->secret, &options->ssh,
                                     is_passing(options, &outputs) && !options->check };
    if (result == 0)
        result = build_lending_begin(cli, &loan, &lending, err);
    if (result == 0)
        result = send(cli, options, context, &input, build_lending_id(lending), loan.holds_image,
                      style, &messages, err);
    if (result == 0)
        result = build_progress_follow(cli, &messages, style, &told, err);
    client_messages_done(&messages);
    if (input.extra && text_equal(options->file, "-"))
        unlink(input.extra);
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
    int result = options_parse(rows, words->items, false, &options, &rest, &wants_help, err);
    if (result == 0 && is_silent)
        options.quiet = true;
    if (result == 0)
        result = run(cli, &options, rest.items[0], is_silent, err);
    options_done(rows, &options);
    return result;
}

const struct command command_build = {
    .name = "build",
    .usage = "[OPTIONS] PATH | URL | -",
    .summary = "Build an image from a Dockerfile",
    .least = 1,
    .most = 1,
    .options = rows,
    .options_size = sizeof(struct build_options),
    .run = build,
};
