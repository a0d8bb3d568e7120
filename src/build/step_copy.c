/* COPY and ADD. */
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "build/copy.h"
#include "build/expand.h"
#include "build/owner.h"
#include "build/step.h"

#include "base/banned.h"

/* What one COPY or ADD asks for, expanded. */
struct request {
    const char *word;     /* "COPY" */
    struct strv patterns; /* sources */
    const char *target;
    struct str owner, mode;
    int root_fd; /* -1: the image 'chain_id', not mounted yet */
    bool is_context;
    char chain_id[DIGEST_TEXT_SIZE];
    struct sources sources; /* once they were looked for */
};

static void request_done(struct request *request)
{
    strv_done(&request->patterns);
    str_done(&request->owner);
    str_done(&request->mode);
    sources_done(&request->sources);
}
CLEANUP_VALUE(request_done, struct request)

static bool is_remote(const char *text)
{
    static const char *const prefixes[] = { "http://", "https://", "git://",
                                            "git@",    "ssh://",   "github.com/" };

    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Does the path lead out of the context, '.' and '..' taken by their letters? */
static bool leads_out(const char *path)
{
    CLEANUP(strv_done) struct strv parts = {};
    int depth = 0;

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.count; i++) {
        if (strcmp(parts.items[i], "..") == 0)
            depth--;
        else if (*parts.items[i] && strcmp(parts.items[i], ".") != 0)
            depth++;
        if (depth < 0)
            return path[0] != '/';
    }
    return false;
}

static int read_flag(const struct instruction *instruction, const char *name,
                     const struct expander *expander, struct str *out, struct error *err)
{
    const char *flag = instruction_flag(instruction, name);

    return flag ? expand_word(expander, flag, out, err) : 0;
}

static int read_request(struct job *job, size_t stage_index, const struct instruction *instruction,
                        const struct strv *arguments, const struct strv *environment,
                        struct request *out, struct error *err)
{
    const struct expander expander = { job->file.escape, 0, environment };
    const char *from = instruction_flag(instruction, "from");

    out->word = instruction->kind->word;
    for (size_t i = 0; i + 1 < arguments->count; i++)
        strv_add(&out->patterns, arguments->items[i]);
    out->target = arguments->items[arguments->count - 1];
    out->root_fd = -1;
    out->is_context = !from;
    if (read_flag(instruction, "chown", &expander, &out->owner, err) < 0 ||
        read_flag(instruction, "chmod", &expander, &out->mode, err) < 0)
        return -1;
    if (out->mode.length > 0 && mode_check(out->mode.data, err) < 0)
        return -1;
    if (from)
        return job_find_chain(job, stage_index, from, out->chain_id, err);
    out->root_fd = job->options->context_fd;
    return out->root_fd < 0
               ? error_set(err, ERROR_INVALID, "%s failed: missing build context", out->word)
               : 0;
}

static int find_one(struct request *request, const char *pattern, struct error *err)
{
    struct error why = {};

    if (request->is_context && is_remote(pattern))
        return error_set(err, ERROR_UNSUPPORTED,
                         strcmp(request->word, "ADD") == 0
                             ? "ADD of a remote source is not supported by this builder yet"
                             : "source can't be a URL for COPY");
    if (request->is_context && leads_out(pattern))
        return error_set(err, ERROR_INVALID, "forbidden path outside the build context: %s ()",
                         pattern);
    if (source_find(request->root_fd, pattern, &request->sources, &why) == 0)
        return 0;
    return error_set(err, why.kind, "%s%s",
                     why.kind == ERROR_NOT_FOUND && request->is_context
                         ? "file not found in build context or excluded by .dockerignore: "
                         : "",
                     why.text);
}

static bool is_directory_name(const char *target)
{
    return text_ends(target, "/") || text_ends(target, "/.") || strcmp(target, ".") == 0;
}

/* Finds the files that the patterns name, unless that was done. */
static int find_sources(struct job *job, struct request *request, struct error *err)
{
    if (request->sources.count > 0)
        return 0;
    if (request->root_fd < 0)
        request->root_fd = job_mount(job, request->chain_id, err);
    if (request->root_fd < 0)
        return -1;
    for (size_t i = 0; i < request->patterns.count; i++)
        if (find_one(request, request->patterns.items[i], err) < 0)
            return error_context(err, "%s failed", request->word);
    if (request->sources.count == 0)
        return error_set(err, ERROR_INVALID, "%s failed: no source files were specified",
                         request->word);
    if (request->sources.count > 1 && !is_directory_name(request->target))
        return error_set(err, ERROR_INVALID,
                         "When using %s with more than one source file, the destination must be a "
                         "directory and end with a /",
                         request->word);
    return 0;
}

/* "file:<hex>" and so on. Files of layers never change, so what was read once is known. */
static char *digest(struct job *job, struct request *request, struct error *err)
{
    char *known = request->is_context
                      ? NULL
                      : builder_digest_get(job->builder, request->chain_id, &request->patterns);

    if (known)
        return known;
    if (find_sources(job, request, err) < 0)
        return NULL;
    for (size_t i = 0; i < request->sources.count; i++)
        if (source_digest(request->root_fd, &request->sources.items[i], job->options->cancel_fd,
                          err) < 0)
            return NULL;
    known = sources_digest(&request->sources);
    if (!request->is_context)
        builder_digest_set(job->builder, request->chain_id, &request->patterns, known);
    return known;
}

static int copy_all(struct job *job, struct stage *stage, struct request *request,
                    int target_root_fd, struct error *err)
{
    CLEANUP(free) char *target = config_path(&stage->image.config, request->target);
    struct copy copy = {
        .source_root_fd = request->root_fd,
        .target_root_fd = target_root_fd,
        .is_owner_given = request->owner.length > 0,
        .mode_change = request->mode.length > 0 ? request->mode.data : NULL,
        .unpacks = strcmp(request->word, "ADD") == 0,
        .cancel_fd = job->options->cancel_fd,
    };

    if (copy.is_owner_given &&
        owner_parse(request->owner.data, target_root_fd, &copy.uid, &copy.gid, err) < 0)
        return error_context(err, "unable to convert uid/gid chown string to host mapping");
    for (size_t i = 0; i < request->sources.count; i++)
        if (copy_source(&copy, &request->sources.items[i], target,
                        is_directory_name(request->target), err) < 0)
            return err->kind == ERROR_CANCELLED ? -1 : error_context(err, "failed to copy files");
    return 0;
}

static int copy_to_layer(struct job *job, struct stage *stage, struct request *request,
                         struct layer *out, struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(close) int mount_fd = -1;
    int result;

    if (find_sources(job, request, err) < 0 || store_writable_new(store, &writable, err) < 0)
        return -1;
    result = store_mount(store, stage->chain_id, &writable, &mount_fd, err);
    if (result == 0)
        result = copy_all(job, stage, request, mount_fd, err);
    if (mount_fd >= 0)
        close(TAKE_FD(mount_fd));
    if (result < 0) {
        store_writable_remove(store, &writable, NULL);
        return -1;
    }
    return step_make_layer(job, stage, &writable, out, err);
}

int step_copy(struct job *job, size_t stage_index, const struct instruction *instruction,
              const struct strv *arguments, const struct strv *environment, struct error *err)
{
    struct stage *stage = &job->stages[stage_index];
    CLEANUP(request_done) struct request request = {};
    CLEANUP(cache_key_free) struct cache_key *key = cache_key_new();
    char key_text[DIGEST_SIZE];
    struct layer layer;

    if (read_request(job, stage_index, instruction, arguments, environment, &request, err) < 0)
        return -1;
    CLEANUP(free) char *content = digest(job, &request, err);
    if (!content)
        return -1;

    CLEANUP(free)
    char *comment = xasprintf("%s %s%s%s%s%s%s%s in %s ", request.word,
                              request.owner.length ? "--chown=" : "", str_text(&request.owner),
                              request.owner.length ? " " : "",
                              request.mode.length ? "--chmod=" : "", str_text(&request.mode),
                              request.mode.length ? " " : "", content, request.target);
    CLEANUP(free) char *created_by = stage_comment(stage, comment);
    cache_key_add(key, stage->image_id);
    cache_key_add(key, created_by);
    cache_key_finish(key, key_text);

    int found = step_probe(job, stage, key_text, err);
    if (found != 0)
        return MIN(found, 0);
    int made = copy_to_layer(job, stage, &request, &layer, err);
    return made < 0 ? -1
                    : step_finish(job, stage, key_text, created_by, made > 0 ? &layer : NULL, err);
}
