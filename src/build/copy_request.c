/* COPY and ADD: reading and finding. */
#include "build/copy_request.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "build/context_sync.h"
#include "build/expand.h"
#include "build/heredoc.h"
#include "build/missing.h"
#include "build/owner.h"
#include "build/provenance.h"
#include "linux/path.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

static void part_done(struct copy_part *part)
{
    if (part->kind != PART_TREE && part->root_fd >= 0)
        close(part->root_fd);
    sources_done(&part->sources);
    remote_done(&part->remote);
    free(part->directory);
}

void copy_request_done(struct job *job, struct copy_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        part_done(&request->parts[i]);
    free(request->parts);
    strv_done(&request->arguments);
    strv_done(&request->exclude_patterns);
    str_done(&request->owner);
    str_done(&request->mode);
    str_done(&request->checksum);
    if (request->excludes)
        dockerignore_free(request->excludes);
    if (request->scratch.top_path)
        store_writable_remove(job->builder->store, &request->scratch, NULL);
    writable_done(&request->scratch);
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

/* ---- flags ---- */

static int read_text(const struct instruction *instruction, const char *name,
                     const struct expander *expander, struct str *out, struct error *err)
{
    const char *flag = instruction_flag(instruction, name);

    return flag ? expand_word(expander, flag, out, err) : 0;
}

static bool read_switch(const struct instruction *instruction, const char *name)
{
    const char *flag = instruction_flag(instruction, name);

    return flag && strcasecmp(flag, "true") == 0;
}

static int read_excludes(const struct instruction *instruction, const struct expander *expander,
                         struct copy_request *out, struct error *err)
{
    for (size_t i = 0; i < instruction->flags.count; i++) {
        const char *flag = instruction->flags.items[i];
        CLEANUP(str_done) struct str pattern = {};

        if (!text_starts(flag, "exclude="))
            continue;
        if (expand_word(expander, flag + strlen("exclude="), &pattern, err) < 0)
            return -1;
        strv_add(&out->exclude_patterns, str_text(&pattern));
    }
    if (out->exclude_patterns.count == 0)
        return 0;
    CLEANUP(free) char *text = strv_join(&out->exclude_patterns, "\n");
    return dockerignore_parse(text, &out->excludes, err) < 0 ? error_context(err, "--exclude") : 0;
}

static int read_flags(const struct instruction *instruction, const struct expander *expander,
                      struct copy_request *out, struct error *err)
{
    const char *unpack = instruction_flag(instruction, "unpack");

    if (read_text(instruction, "chown", expander, &out->owner, err) < 0 ||
        read_text(instruction, "chmod", expander, &out->mode, err) < 0 ||
        read_text(instruction, "checksum", expander, &out->checksum, err) < 0 ||
        read_excludes(instruction, expander, out, err) < 0)
        return -1;
    if (out->mode.length > 0 && mode_check(out->mode.data, err) < 0)
        return -1;
    out->is_linked = read_switch(instruction, "link");
    out->keeps_parents = read_switch(instruction, "parents");
    out->keeps_git_dir = read_switch(instruction, "keep-git-dir");
    out->unpacks = unpack ? strcasecmp(unpack, "true") == 0 : -1;
    return 0;
}

/* ---- sources ---- */

static int part_directory(struct job *job, struct copy_request *request, struct copy_part *part,
                          struct error *err)
{
    char name[24];

    if (!request->scratch.top_path &&
        store_writable_new(job->builder->store, &request->scratch, err) < 0)
        return -1;
    snprintf(name, sizeof(name), "%zu", (size_t)(part - request->parts));
    part->directory = path_join(request->scratch.diff_path, name);
    if (mkdir(part->directory, 0755) < 0)
        return error_sys(err, "make directory %s", part->directory);
    return 0;
}

static int open_root(struct copy_part *part, const char *path, struct error *err)
{
    part->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return part->root_fd < 0 ? error_sys(err, "open %s", path) : 0;
}

/* The text of a here-document as a file, as old as the epoch of computers: it has no time. */
static int read_inline(struct job *job, struct copy_request *request, struct copy_part *part,
                       const struct heredoc *heredoc, const struct strv *environment,
                       struct error *err)
{
    const struct timespec times[2] = {};
    CLEANUP(str_done) struct str content = {};
    CLEANUP(free) char *name = xstrdup(path_base(heredoc->name));

    part->kind = PART_INLINE;
    if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strchr(heredoc->name, '/'))
        return error_set(err, ERROR_INVALID, "\"%s\" is no name of a file", heredoc->name);
    if (part_directory(job, request, part, err) < 0 ||
        heredoc_content(heredoc, environment, &content, err) < 0 ||
        open_root(part, part->directory, err) < 0)
        return -1;
    CLEANUP(close)
    int fd = openat(part->root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || fchmod(fd, 0644) < 0)
        return error_sys(err, "create %s", name);
    if (fd_write_all(fd, str_text(&content), content.length, err) < 0)
        return -1;
    if (futimens(fd, times) < 0)
        return error_sys(err, "set times");
    return source_find_plain(part->root_fd, name, &part->sources, err);
}

static int read_part(struct job *job, struct copy_request *request, struct copy_part *part,
                     const struct instruction *instruction, const struct strv *environment,
                     size_t *heredoc, struct error *err)
{
    const struct heredoc *text = heredoc_of_argument(instruction, part->argument, heredoc);
    bool is_remote = remote_is_url(part->argument) || git_is_source(part->argument);

    if (text)
        return read_inline(job, request, part, text, environment, err);
    if (!request->is_context || !is_remote)
        return 0;
    if (strcmp(request->word, "ADD") != 0)
        return error_set(err, ERROR_INVALID, "source can't be a URL for COPY");
    part->kind = PART_REMOTE;
    return remote_read(part->argument, request->checksum.length ? request->checksum.data : NULL,
                       request->keeps_git_dir, &part->remote, err);
}

static bool is_directory_name(const char *target)
{
    return text_ends(target, "/") || text_ends(target, "/.") || strcmp(target, ".") == 0;
}

/* What makes sense only with certain sources. */
static int check_sources(const struct copy_request *request, struct error *err)
{
    size_t remotes = 0;

    for (size_t i = 0; i < request->count; i++)
        remotes += request->parts[i].kind == PART_REMOTE;
    if (request->checksum.length > 0 && (remotes != 1 || request->count != 1))
        return error_set(err, ERROR_INVALID,
                         "checksum can't be specified for multiple or non-remote sources");
    if (request->keeps_git_dir && remotes == 0)
        return error_set(err, ERROR_INVALID, "keep-git-dir is for Git sources only");
    return 0;
}

int copy_request_read(struct job *job, size_t stage_index, const struct instruction *instruction,
                      const struct strv *arguments, const struct strv *environment,
                      struct copy_request *out, struct error *err)
{
    const struct expander expander = { job->file.escape, 0, environment };
    const char *from = instruction_flag(instruction, "from");
    size_t heredoc = 0;

    out->word = instruction->kind->word;
    strv_copy(&out->arguments, arguments);
    out->target = out->arguments.items[arguments->count - 1];
    out->is_context = !from;
    if (read_flags(instruction, &expander, out, err) < 0)
        return -1;
    if (job_find_tree(job, stage_index, from, &out->tree, err) < 0)
        return from ? -1 : error_context(err, "%s failed", out->word);
    out->count = arguments->count - 1;
    out->parts = xcalloc(out->count + 1, sizeof(struct copy_part));
    for (size_t i = 0; i < out->count; i++)
        out->parts[i] = (struct copy_part){ .argument = out->arguments.items[i], .root_fd = -1 };
    for (size_t i = 0; i < out->count; i++)
        if (read_part(job, out, &out->parts[i], instruction, environment, &heredoc, err) < 0)
            return error_context(err, "%s failed", out->word);
    return check_sources(out, err);
}

/* ---- finding ---- */

/* What may be the matter with a source that is not there. */
static char *explain(const struct job *job, const struct copy_request *request,
                     const struct copy_part *part)
{
    const struct missing_place place = {
        .root_fd = part->root_fd,
        .is_context = request->is_context,
        .ignored = request->is_context ? job_ignored(job) : NULL,
        .manifest = request->is_context && job->options->synced
                        ? context_sync_manifest(job->options->synced)
                        : NULL,
    };

    return missing_explain(&place, part->argument);
}

static int find_in_tree(const struct job *job, const struct copy_request *request,
                        struct copy_part *part, struct error *err)
{
    const char *pattern = part->argument;
    struct error why = {};

    if (request->is_context && leads_out(pattern))
        return error_set(err, ERROR_INVALID, "forbidden path outside the build context: %s ()",
                         pattern);
    int result = request->keeps_parents
                     ? source_find_kept(part->root_fd, pattern, &part->sources, &why)
                     : source_find(part->root_fd, pattern, &part->sources, &why);
    if (result == 0)
        return 0;
    if (why.kind != ERROR_NOT_FOUND)
        return error_set(err, why.kind, "%s", why.text);
    CLEANUP(free) char *hint = explain(job, request, part);
    return error_set(
        err, why.kind, "%s%s%s",
        request->is_context ? "file not found in build context or excluded by .dockerignore: " : "",
        why.text, hint);
}

static int find_remote(struct job *job, struct copy_request *request, struct copy_part *part,
                       struct error *err)
{
    struct remote *remote = &part->remote;

    if (!part->directory && part_directory(job, request, part, err) < 0)
        return -1;
    if (remote_fetch(job->builder, remote, part->directory, job->cancel_fd, err) < 0)
        return -1;
    if (remote->is_git) {
        const char *below = remote->git.subdirectory ? remote->git.subdirectory : "";

        if (open_root(part, remote->path, err) < 0 ||
            source_find_plain(part->root_fd, below, &part->sources, err) < 0)
            return -1;
        part->sources.items[0].digest = xasprintf("git:%s", remote->digest);
        return 0;
    }
    if (is_directory_name(request->target) && !remote->name)
        return error_set(err, ERROR_INVALID, "cannot determine filename for source %s",
                         remote->url);

    /* Under the name that it shall have. */
    const char *name = remote->name ? remote->name : path_base(remote->path);
    CLEANUP(free) char *named_directory = path_join(part->directory, "named");
    CLEANUP(free) char *named = path_join(named_directory, name);
    if (mkdir(named_directory, 0755) < 0 || rename(remote->path, named) < 0)
        return error_sys(err, "name %s", name);
    if (open_root(part, named_directory, err) < 0)
        return -1;
    return source_find_plain(part->root_fd, name, &part->sources, err);
}

static int find_part(struct job *job, struct copy_request *request, struct copy_part *part,
                     struct error *err)
{
    if (part->sources.count > 0)
        return 0;
    if (part->kind == PART_REMOTE)
        return find_remote(job, request, part, err);
    if (part->root_fd < 0)
        part->root_fd = request->tree.is_layers ? job_mount(job, request->tree.chain_id, err)
                                                : request->tree.fd;
    return part->root_fd < 0 ? -1 : find_in_tree(job, request, part, err);
}

static size_t count_sources(const struct copy_request *request)
{
    size_t count = 0;

    for (size_t i = 0; i < request->count; i++)
        count += request->parts[i].sources.count;
    return count;
}

int copy_request_prepare(struct job *job, struct copy_request *request, struct error *err)
{
    size_t count;

    for (size_t i = 0; i < request->count; i++)
        if (find_part(job, request, &request->parts[i], err) < 0)
            return err->kind == ERROR_CANCELLED ? -1
                                                : error_context(err, "%s failed", request->word);
    count = count_sources(request);
    if (count == 0)
        return error_set(err, ERROR_INVALID,
                         "%s failed: no source files were specified (nothing matches %s)",
                         request->word, request->parts[0].argument);
    if (count > 1 && !is_directory_name(request->target) && !request->keeps_parents)
        return error_set(err, ERROR_INVALID,
                         "When using %s with more than one source file, the destination must be a "
                         "directory and end with a /",
                         request->word);
    return 0;
}

/* ---- digests ---- */

/* Files of layers never change, so what was read once is known. */
static bool is_from_layers(const struct copy_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        if (request->parts[i].kind != PART_TREE)
            return false;
    return request->tree.is_layers;
}

static void list_question(const struct copy_request *request, struct strv *out)
{
    strv_add(out, request->keeps_parents ? "parents" : "");
    strv_add(out, request->owner.length > 0 ? "one owner" : "");
    strv_add_all(out, &request->exclude_patterns);
    strv_add(out, "");
    for (size_t i = 0; i < request->count; i++)
        strv_add(out, request->parts[i].argument);
}

/* Remote files are known by what the server says of them, without being fetched if it can be. */
static int look_at_remotes(struct job *job, struct copy_request *request, struct error *err)
{
    for (size_t i = 0; i < request->count; i++) {
        struct copy_part *part = &request->parts[i];

        if (part->kind != PART_REMOTE || *part->remote.digest)
            continue;
        if (part_directory(job, request, part, err) < 0 ||
            remote_look(job->builder, &part->remote, part->directory, job->cancel_fd, err) < 0)
            return err->kind == ERROR_CANCELLED ? -1
                                                : error_context(err, "%s failed", request->word);
        material_add_remote(job, part->remote.url, part->remote.digest);
    }
    return 0;
}

static bool has_remotes(const struct copy_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        if (request->parts[i].kind == PART_REMOTE)
            return true;
    return false;
}

static bool is_from_context(const struct copy_request *request, const struct copy_part *part)
{
    return request->is_context && part->kind == PART_TREE;
}

/* Stages and images have owners that mean something, the files of contexts are root's. */
static bool keeps_owners(const struct copy_request *request, const struct copy_part *part)
{
    return is_from_layers(request) && part->kind == PART_TREE && request->owner.length == 0;
}

static int digest_part(struct job *job, const struct copy_request *request, struct copy_part *part,
                       struct error *err)
{
    for (size_t i = 0; i < part->sources.count; i++)
        if (!part->sources.items[i].digest &&
            source_digest(part->root_fd, &part->sources.items[i], request->excludes,
                          keeps_owners(request, part),
                          is_from_context(request, part) ? job_known_digests(job) : NULL,
                          job->cancel_fd, err) < 0)
            return -1;
    return 0;
}

/* One digest of all: as if the sources of all parts were one list. */
static char *join_digests(const struct copy_request *request)
{
    struct sources all = {
        xcalloc(count_sources(request) + request->count + 1, sizeof(struct source)), 0
    };

    for (size_t i = 0; i < request->count; i++) {
        const struct copy_part *part = &request->parts[i];

        if (part->kind == PART_REMOTE)
            all.items[all.count++] = (struct source){
                .digest = xasprintf(
                    "%s:%s%s%s", part->remote.is_git ? "git" : "file",
                    part->remote.is_git ? part->remote.digest : digest_hex(part->remote.digest),
                    part->remote.git.subdirectory ? ":" : "",
                    part->remote.git.subdirectory ? part->remote.git.subdirectory : ""),
            };
        for (size_t k = 0; part->kind != PART_REMOTE && k < part->sources.count; k++)
            all.items[all.count++] = (struct source){
                .digest = xstrdup(part->sources.items[k].digest),
                .kept = xstrdup(part->sources.items[k].kept),
            };
    }
    char *digest = sources_digest(&all);
    sources_done(&all);
    return digest;
}

char *copy_request_digest(struct job *job, struct copy_request *request, struct error *err)
{
    CLEANUP(strv_done) struct strv question = {};
    char *known = NULL;

    list_question(request, &question);
    if (is_from_layers(request))
        known = builder_digest_get(job->builder, request->tree.chain_id, &question);
    if (known)
        return known;
    if (has_remotes(request)) {
        if (look_at_remotes(job, request, err) < 0)
            return NULL;
        for (size_t i = 0; i < request->count; i++)
            if (request->parts[i].kind != PART_REMOTE &&
                find_part(job, request, &request->parts[i], err) < 0) {
                error_context(err, "%s failed", request->word);
                return NULL;
            }
    } else if (copy_request_prepare(job, request, err) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < request->count; i++)
        if (request->parts[i].kind != PART_REMOTE &&
            digest_part(job, request, &request->parts[i], err) < 0)
            return NULL;
    known = join_digests(request);
    if (is_from_layers(request))
        builder_digest_set(job->builder, request->tree.chain_id, &question, known);
    return known;
}

/* ---- copying ---- */

static int copy_part(const struct copy_request *request, const struct copy_part *part,
                     struct copy *copy, const char *target, struct error *err)
{
    bool is_directory = is_directory_name(request->target);

    copy->source_root_fd = part->root_fd;
    copy->keeps_owners = keeps_owners(request, part);
    copy->unpacks = request->unpacks >= 0
                        ? request->unpacks
                        : strcmp(request->word, "ADD") == 0 && part->kind == PART_TREE;
    for (size_t i = 0; i < part->sources.count; i++) {
        const struct source *source = &part->sources.items[i];
        CLEANUP(free) char *kept = source->kept ? path_join(target, source->kept) : NULL;
        CLEANUP(free) char *cleaned = kept ? path_clean(kept) : xstrdup(target);

        if (copy_source(copy, source, cleaned, is_directory || source->kept, err) < 0)
            return err->kind == ERROR_CANCELLED ? -1 : error_context(err, "failed to copy files");
    }
    return 0;
}

/* Whether the layer may share files with the context: where nobody changes them any more, and where
 * no later source of the same instruction looks at what an earlier one left. */
static bool may_share(const struct job *job, const struct copy_request *request)
{
    return job->options->synced && job->epoch_ns < 0 && request->count == 1 &&
           is_from_context(request, &request->parts[0]) && request->parts[0].sources.count == 1 &&
           strcmp(store_driver(job->builder->store), "overlay2") == 0;
}

int copy_request_carry_out(struct job *job, const struct stage *stage,
                           const struct copy_request *request, const char *diff_path,
                           int target_root_fd, int accounts_root_fd, struct contents *contents,
                           struct error *err)
{
    CLEANUP(close)
    int share_fd = may_share(job, request) ? open(diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                           : -1;
    CLEANUP(free) char *target = config_path(&stage->image.config, request->target);
    struct copy copy = {
        .target_root_fd = target_root_fd,
        .share_root_fd = share_fd,
        .known = share_fd >= 0 ? job_known_digests(job) : NULL,
        .contents = contents,
        .is_owner_given = request->owner.length > 0,
        .mode_change = request->mode.length > 0 ? request->mode.data : NULL,
        .excludes = request->excludes,
        .cancel_fd = job->cancel_fd,
    };

    if (copy.is_owner_given &&
        owner_parse(request->owner.data, accounts_root_fd, &copy.uid, &copy.gid, err) < 0)
        return error_context(err, "unable to convert uid/gid chown string to host mapping");
    for (size_t i = 0; i < request->count; i++)
        if (copy_part(request, &request->parts[i], &copy, target, err) < 0)
            return -1;
    return 0;
}

char *copy_request_text(const struct copy_request *request, const char *digest)
{
    struct str text = {};

    str_add_format(&text, "%s ", request->word);
    if (request->owner.length)
        str_add_format(&text, "--chown=%s ", request->owner.data);
    if (request->mode.length)
        str_add_format(&text, "--chmod=%s ", request->mode.data);
    str_add_format(&text, "%s in %s ", digest, request->target);
    return str_take(&text);
}
