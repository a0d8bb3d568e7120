/* The SBOM by a program of the user's choice: an image that is run with the result mounted, by the
 * protocol that BuildKit has for them.
 * https://github.com/moby/buildkit/blob/v0.25.0/docs/attestations/sbom-protocol.md */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/attest.h"
#include "build/config.h"
#include "build/provenance.h"
#include "build/source.h"
#include "linux/mount.h"
#include "linux/path.h"

#include "base/banned.h"

#define SOURCE      "/run/src/core/sbom"
#define DESTINATION "/run/out"

enum { STATEMENT_SIZE_LIMIT = 64 << 20, STATEMENT_LIMIT = 64, SAID_LIMIT = 4096 };

/* One run of it. */
struct generator {
    struct job *job;
    const char *name;
    struct image *image;
    struct writable root, out; /* what it changes, and what it leaves for us */
    struct str said;           /* its last words */
    int source_fd, out_fd;
};

static void generator_done(struct generator *generator)
{
    struct store *store = generator->job->builder->store;

    close_cleanup(&generator->source_fd);
    close_cleanup(&generator->out_fd);
    if (generator->root.top_path)
        store_writable_remove(store, &generator->root, NULL);
    if (generator->out.top_path)
        store_writable_remove(store, &generator->out, NULL);
    writable_done(&generator->root);
    writable_done(&generator->out);
    image_unref(generator->image);
    str_done(&generator->said);
}
CLEANUP_VALUE(generator_done, struct generator)

static void began(void *data UNUSED, const char *id UNUSED)
{
}

static void said(void *data, bool is_stderr UNUSED, const char *text, size_t size)
{
    struct generator *generator = data;

    str_add_bytes(&generator->said, text, MIN(size, SAID_LIMIT - generator->said.length));
}

/* The result read-only, and a directory for what is found. */
static int make_mounts(struct generator *generator, const struct stage *stage, struct error *err)
{
    struct job *job = generator->job;
    int result_fd = job_mount(job, stage->chain_id, err);

    if (result_fd < 0 || store_writable_new(job->builder->store, &generator->root, err) < 0 ||
        store_writable_new(job->builder->store, &generator->out, err) < 0)
        return -1;
    generator->source_fd = mount_clone(result_fd, "", false, err);
    if (generator->source_fd < 0)
        return -1;
    generator->out_fd = mount_clone(AT_FDCWD, generator->out.diff_path, false, err);
    return generator->out_fd < 0 ? -1 : 0;
}

static int run(struct generator *generator, struct error *err)
{
    struct job *job = generator->job;
    const struct build_worker *worker = &job->builder->worker;
    const struct container_config *config = &generator->image->config.config;
    const struct build_mount mounts[] = { { SOURCE, generator->source_fd },
                                          { DESTINATION, generator->out_fd } };
    CLEANUP(strv_done) struct strv command = {}, environment = {};
    struct build_run step = job->options->limits;
    int exit_code = 0;

    strv_add_all(&command, &config->entrypoint);
    strv_add_all(&command, &config->cmd);
    if (command.count == 0)
        return error_set(err, ERROR_INVALID, "the image has no command");
    strv_add_all(&environment, &config->env);
    if (!strv_env_get(&environment, "PATH"))
        strv_add(&environment, DEFAULT_PATH);
    strv_env_set(&environment, "BUILDKIT_SCAN_SOURCE", SOURCE);
    strv_env_set(&environment, "BUILDKIT_SCAN_DESTINATION", DESTINATION);
    step.chain_id = generator->image->chain_id;
    step.writable = &generator->root;
    step.arguments = &command;
    step.environment = &environment;
    step.working_dir = text_is_empty(config->working_dir) ? "/" : config->working_dir;
    step.user = config->user ?: "";
    step.network_mode = text_is_empty(job->options->network_mode) ? "default"
                                                                  : job->options->network_mode;
    step.hostname = BUILD_HOSTNAME;
    step.mounts = mounts;
    step.mount_count = COUNT(mounts);
    if (worker->run(worker->data, &step, began, said, generator, job->cancel_fd, &exit_code, err) <
        0)
        return -1;
    return exit_code == 0 ? 0
                          : error_set(err, ERROR_INTERNAL, "it returned a non-zero code: %d: %s",
                                      exit_code, str_text(&generator->said));
}

/* ---- what it found ---- */

/* Only the predicate is taken: what it is about is known here better. */
static int take_statement(const char *name, const struct str *text, struct attestations *out,
                          struct error *err)
{
    CLEANUP(json_free) struct json *statement = NULL;
    struct str predicate = {};

    if (json_parse(str_text(text), text->length, &statement, err) < 0)
        return error_context(err, "%.200s", name);
    const char *type = json_text(json_get(statement, "predicateType"));
    const struct json *found = json_get(statement, "predicate");
    if (text_is_empty(type) || !found)
        return error_set(err, ERROR_INVALID, "%.200s is no statement of in-toto", name);
    if (out->count >= STATEMENT_LIMIT)
        return error_set(err, ERROR_INVALID, "it left more than %d statements", STATEMENT_LIMIT);
    json_write(found, &predicate);
    attestations_add(out, type, &predicate);
    return 0;
}

static int read_statement(int dir_fd, const char *name, struct attestations *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return error_sys(err, "open %.200s", name);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_INVALID, "%.200s is no file", name);
    if (file_read_fd(fd, STATEMENT_SIZE_LIMIT, &text, err) < 0)
        return error_context(err, "%.200s", name);
    return take_statement(name, &text, out, err);
}

static int read_statements(const struct generator *generator, struct attestations *out,
                           struct error *err)
{
    CLEANUP(close) int fd = open(generator->out.diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(strv_done) struct strv names = {};
    size_t before = out->count;

    if (fd < 0)
        return error_sys(err, "open %s", generator->out.diff_path);
    if (directory_names(fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++)
        if (text_ends(names.items[i], ".json") && read_statement(fd, names.items[i], out, err) < 0)
            return -1;
    return out->count > before ? 0 : error_set(err, ERROR_INVALID, "it left no statement");
}

int sbom_generate(struct job *job, const struct stage *stage, struct attestations *out,
                  struct error *err)
{
    const char *name = job->options->attest->generator;
    CLEANUP(generator_done)
    struct generator generator = { .job = job, .name = name, .source_fd = -1, .out_fd = -1 };

    if (job_find_image(job, name, NULL, &generator.image, err) < 0)
        return error_context(err, "SBOM generator %s", name);
    job_hold(job, generator.image->chain_id);
    if (make_mounts(&generator, stage, err) < 0 || run(&generator, err) < 0 ||
        read_statements(&generator, out, err) < 0)
        return error_context(err, "SBOM generator %s", name);
    return 0;
}
