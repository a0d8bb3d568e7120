/* Mounts of RUN. Sources are somebody else's trees: looked up in their root only. */
#include "build/run_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/config.h"
#include "build/heredoc.h"
#include "build/source.h"
#include "linux/memory_file.h"
#include "linux/mount.h"
#include "linux/path.h"
#include "linux/tree.h"

#include "base/banned.h"

/* ---- reading ---- */

/* Where a secret or the socket of an agent appears; NULL: a secret that is a variable only. */
static char *hidden_target(const struct mount_rule *rule, const struct container_config *config,
                           size_t agent_count)
{
    if (rule->target)
        return config_path(config, rule->target);
    if (rule->type == MOUNT_SSH)
        return xasprintf("/run/buildkit/ssh_agent.%zu", agent_count);
    return rule->environment_name ? NULL : xasprintf("/run/secrets/%s", path_base(rule->id));
}

int run_mounts_read(struct job *job, const struct stage *stage,
                    const struct instruction *instruction, struct run_mounts *out,
                    struct error *err)
{
    CLEANUP(strv_done) struct strv environment = {};
    const struct expander expander = { job->file.escape, 0, &environment };
    size_t agent_count = 0;

    stage_environment(stage, &environment);
    for (size_t i = 0; i < instruction->flags.count; i++) {
        const char *flag = instruction->flags.items[i];

        if (!text_starts(flag, "mount="))
            continue;
        if (out->count >= RUN_MOUNT_LIMIT)
            return error_set(err, ERROR_INVALID, "more than %d mounts (line %d)", RUN_MOUNT_LIMIT,
                             instruction->line);
        struct run_mount *mount = &out->items[out->count++];
        *mount = (struct run_mount){ .fd = -1 };
        if (mount_rule_read(flag + strlen("mount="), &expander, &mount->rule, err) < 0)
            return error_context(err, "dockerfile parse error on line %d", instruction->line);
        if (mount_rule_is_hidden(&mount->rule))
            mount->target = hidden_target(&mount->rule, &stage->image.config, agent_count);
        else
            mount->target = config_path(&stage->image.config, mount->rule.target);
        agent_count += mount->rule.type == MOUNT_SSH;
    }
    return 0;
}

/* ---- what they contribute to the key ---- */

static char *source_text(const struct mount_rule *rule)
{
    return xstrdup(text_is_empty(rule->source) ? "." : rule->source);
}

/* The content of what is bound. */
static int add_content(struct job *job, size_t stage_index, const struct mount_rule *rule,
                       struct cache_key *key, struct error *err)
{
    CLEANUP(sources_done) struct sources sources = {};
    CLEANUP(strv_done) struct strv asked = {};
    CLEANUP(free) char *source = source_text(rule);
    struct job_tree tree;

    if (job_find_tree(job, stage_index, rule->from, &tree, err) < 0)
        return -1;
    strv_add(&asked, "mount");
    strv_add(&asked, source);
    char *known = tree.is_layers ? builder_digest_get(job->builder, tree.chain_id, &asked) : NULL;
    if (!known) {
        int fd = tree.is_layers ? job_mount(job, tree.chain_id, err) : tree.fd;
        CLEANUP(free) char *plain = xasprintf("/%s", source);

        if (fd < 0 || source_find_plain(fd, plain, &sources, err) < 0 ||
            source_digest(fd, &sources.items[0], NULL, false,
                          rule->from || tree.is_layers ? NULL : job_known_digests(job),
                          job->cancel_fd, err) < 0)
            return error_context(err, "mount source %s", source);
        known = sources_digest(&sources);
        if (tree.is_layers)
            builder_digest_set(job->builder, tree.chain_id, &asked, known);
    }
    cache_key_add(key, known);
    free(known);
    return 0;
}

int run_mounts_add_key(struct job *job, size_t stage_index, const struct run_mounts *mounts,
                       struct cache_key *key, struct error *err)
{
    for (size_t i = 0; i < mounts->count; i++) {
        const struct run_mount *mount = &mounts->items[i];
        const struct mount_rule *rule = &mount->rule;
        CLEANUP(free)
        char *numbers = xasprintf("%d %d %d %o %u %u %lld", rule->type, rule->sharing,
                                  rule->is_writable, rule->is_mode_given ? rule->mode : 010000,
                                  rule->uid, rule->gid, (long long)rule->size_bytes);

        cache_key_add(key, numbers);
        cache_key_add(key, mount->target);
        cache_key_add(key, rule->id);
        if (rule->environment_name)
            cache_key_add(key, rule->environment_name);
        if (rule->type == MOUNT_BIND && add_content(job, stage_index, rule, key, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- making ---- */

/* The same by copying: what the kernel cannot show otherwise, and single files to be changed. */
static int copy_part(int root_fd, const char *path, bool is_directory, struct run_mount *mount,
                     struct error *err)
{
    CLEANUP(free) char *copied = path_join(mount->writable.top_path, "copy");
    if (mkdir(copied, 0755) < 0)
        return error_sys(err, "make %s", copied);
    CLEANUP(close) int to_fd = open(copied, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int from_fd = path_open(root_fd, path, O_RDONLY | O_NONBLOCK, 0, err);
    if (to_fd < 0 || from_fd < 0)
        return -1;
    if (is_directory)
        return tree_copy(from_fd, to_fd, NULL, err) < 0 ? -1 : mount_clone(to_fd, "", false, err);
    CLEANUP(close) int file_fd = openat(to_fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CLEANUP(stream_close) struct stream *from = stream_from_fd(from_fd, false);
    CLEANUP(stream_close) struct stream *to = stream_from_fd(file_fd, false);
    if (file_fd < 0 || stream_copy(from, to, err) < 0 ||
        tree_copy_attributes(from_fd, file_fd, NULL, err) < 0)
        return -1;
    return mount_clone(to_fd, "file", false, err);
}

/* A mount of what is at 'path' below 'root_fd': a detached copy, or where the kernel cannot copy
 * from a detached mount, a copy of the files. */
static int bind_part(struct job *job, int root_fd, bool is_detached, const char *path,
                     struct run_mount *mount, struct error *err)
{
    CLEANUP(close) int fd = path_open(root_fd, path, O_PATH, 0, err);
    CLEANUP(close) int bound_fd = -1;
    struct stat info;

    if (fd < 0)
        return -1;
    if (fstat(fd, &info) < 0)
        return error_sys(err, "stat %s", path);
    bound_fd = mount_clone(fd, "", false, is_detached ? NULL : err);
    if (bound_fd >= 0 || !is_detached)
        return TAKE_FD(bound_fd);
    if (!mount->writable.diff_path &&
        store_writable_new(job->builder->store, &mount->writable, err) < 0)
        return -1;

    return copy_part(root_fd, path, S_ISDIR(info.st_mode), mount, err);
}

/* A directory of a context as the lower part of an overlay; its changes are thrown away. */
static int bind_writable_directory(int fd, const struct run_mount *mount, struct error *err)
{
    CLEANUP(strv_done) struct strv lower = {};
    char link[32], *path = xcalloc(1, PATH_MAX);

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, path, PATH_MAX - 1) < 0) {
        free(path);
        return error_sys(err, "read link of a descriptor");
    }
    strv_add_take(&lower, path);
    const struct mount_overlay options = { .lower = &lower,
                                           .upper = mount->writable.diff_path,
                                           .work = mount->writable.work_path };
    return mount_overlay(&options, err);
}

/* Of a context: its files are the host's, not detached. */
static int bind_context(struct job *job, const struct job_tree *tree, const char *path,
                        struct run_mount *mount, struct error *err)
{
    bool is_overlay = strcmp(store_driver(job->builder->store), "overlay2") == 0;
    struct stat info;

    if (!mount->rule.is_writable)
        return bind_part(job, tree->fd, false, path, mount, err);
    if (store_writable_new(job->builder->store, &mount->writable, err) < 0)
        return -1;
    CLEANUP(close) int fd = path_open(tree->fd, path, O_PATH, 0, err);
    if (fd < 0 || fstat(fd, &info) < 0)
        return fd < 0 ? -1 : error_sys(err, "stat %s", path);
    if (S_ISDIR(info.st_mode) && is_overlay)
        return bind_writable_directory(fd, mount, err);

    return copy_part(tree->fd, path, S_ISDIR(info.st_mode), mount, err);
}

static int bind_layers(struct job *job, const struct job_tree *tree, const char *path,
                       struct run_mount *mount, struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(close) int fd = -1;

    if (mount->rule.is_writable && store_writable_new(store, &mount->writable, err) < 0)
        return -1;
    if (store_mount(store, tree->chain_id, mount->rule.is_writable ? &mount->writable : NULL, &fd,
                    err) < 0)
        return -1;
    if (strcmp(path, "/.") == 0 || strcmp(path, "/") == 0 || strcmp(path, "//") == 0)
        return TAKE_FD(fd);
    return bind_part(job, fd, true, path, mount, err);
}

static int make_bind(struct job *job, size_t stage_index, struct run_mount *mount,
                     struct error *err)
{
    CLEANUP(free) char *source = source_text(&mount->rule);
    CLEANUP(free) char *rooted = xasprintf("/%s", source);
    struct job_tree tree;

    if (job_find_tree(job, stage_index, mount->rule.from, &tree, err) < 0)
        return -1;
    return tree.is_layers ? bind_layers(job, &tree, rooted, mount, err)
                          : bind_context(job, &tree, rooted, mount, err);
}

/* What a new cache directory begins with. */
static int fill_cache(struct job *job, size_t stage_index, const struct mount_rule *rule,
                      const char *path, struct error *err)
{
    CLEANUP(free) char *source = source_text(rule);
    CLEANUP(close) int from_fd = -1, to_fd = -1;
    struct job_tree tree;

    if (job_find_tree(job, stage_index, rule->from, &tree, err) < 0)
        return -1;
    int root_fd = tree.is_layers ? job_mount(job, tree.chain_id, err) : tree.fd;
    if (root_fd < 0)
        return -1;
    from_fd = path_open(root_fd, source, O_RDONLY | O_DIRECTORY, 0, err);
    to_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from_fd < 0 || to_fd < 0)
        return from_fd < 0 ? -1 : error_sys(err, "open %s", path);
    return tree_copy(from_fd, to_fd, NULL, err);
}

static const char *cache_id(const struct run_mount *mount)
{
    return text_is_empty(mount->rule.id) ? mount->target : mount->rule.id;
}

/* The directory that another mount of the same RUN has taken already, NULL: none. */
static const char *shared_within(const struct run_mounts *all, const struct run_mount *mount)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].cache_path && strcmp(cache_id(&all->items[i]), cache_id(mount)) == 0)
            return all->items[i].cache_path;
    return NULL;
}

static int make_cache(struct job *job, size_t stage_index, const struct run_mounts *all,
                      struct run_mount *mount, struct error *err)
{
    struct cache_mounts *mounts = &job->builder->cache_mounts;
    CLEANUP(free) char *path = NULL;
    const char *own = shared_within(all, mount);
    bool is_new;

    if (own)
        return mount_clone(AT_FDCWD, own, false, err);

    if (cache_mount_take(mounts, &mount->rule, mount->target, job->cancel_fd, mount->cache_name,
                         &path, &is_new, err) < 0) {
        *mount->cache_name = 0;
        return -1;
    }
    if (is_new && mount->rule.from && fill_cache(job, stage_index, &mount->rule, path, err) < 0) {
        cache_mount_give_back(mounts, mount->cache_name, mount->rule.sharing != SHARING_SHARED);
        cache_mount_remove(mounts, mount->cache_name, NULL);
        *mount->cache_name = 0;
        return -1;
    }
    mount->cache_path = TAKE(path);
    return mount_clone(AT_FDCWD, mount->cache_path, false, err);
}

static int make_tmpfs(const struct run_mount *mount, struct error *err)
{
    char size[24], mode[16];
    struct mount_setting settings[3] = { { "source", "tmpfs" } };
    size_t count = 1;

    snprintf(size, sizeof(size), "%lld", (long long)mount->rule.size_bytes);
    snprintf(mode, sizeof(mode), "%o", mount->rule.mode);
    if (mount->rule.size_bytes)
        settings[count++] = (struct mount_setting){ "size", size };
    settings[count++] = (struct mount_setting){ "mode", mount->rule.is_mode_given ? mode : "1777" };
    return mount_create("tmpfs", settings, count, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

/* ---- what is not to be kept ---- */

static int no_secret(const struct mount_rule *rule, struct error *err)
{
    if (!rule->is_required)
        return 0;
    return error_set(
        err, ERROR_INVALID,
        "secret %s: not found: give it to the build (--secret id=%s,src=FILE), or leave "
        "required out",
        rule->id, rule->id);
}

static int add_variable(struct run_mounts *mounts, const char *name, const struct str *value,
                        struct error *err)
{
    if (strlen(str_text(value)) != value->length)
        return error_set(err, ERROR_INVALID, "a variable cannot hold a zero byte");
    strv_add_format(&mounts->hidden_environment, "%s=%s", name, str_text(value));
    return 0;
}

static int make_secret(struct job *job, struct run_mounts *mounts, struct run_mount *mount,
                       struct error *err)
{
    const struct build_secrets *secrets = job->options->secrets;
    const struct mount_rule *rule = &mount->rule;
    CLEANUP(secret_done) struct str value = {};
    int found = secrets ? secrets->get(secrets->data, rule->id, job->cancel_fd, &value, err) : 0;

    if (found <= 0)
        return found < 0 ? -1 : no_secret(rule, err);
    if (rule->environment_name && add_variable(mounts, rule->environment_name, &value, err) < 0)
        return -1;
    if (!mount->target)
        return 0;
    const struct memory_file file = { value.data, value.length,
                                      rule->is_mode_given ? rule->mode : 0400, rule->uid,
                                      rule->gid };
    mount->fd = memory_file_mount(&file, err);
    return mount->fd < 0 ? -1 : 0;
}

static int no_agent(const struct mount_rule *rule, struct error *err)
{
    if (!rule->is_required)
        return 0;
    return error_set(
        err, ERROR_INVALID,
        "ssh %s: not found: forward an agent to the build (--ssh %s), or leave required "
        "out",
        rule->id, rule->id);
}

static int make_agent(struct job *job, struct run_mounts *mounts, struct run_mount *mount,
                      struct error *err)
{
    const struct build_secrets *secrets = job->options->secrets;
    const struct mount_rule *rule = &mount->rule;
    int found = secrets ? secrets->has_agent(secrets->data, rule->id, job->cancel_fd, err) : 0;

    if (found <= 0)
        return found < 0 ? -1 : no_agent(rule, err);
    if (store_writable_new(job->builder->store, &mount->writable, err) < 0)
        return -1;
    CLEANUP(free) char *path = path_join(mount->writable.top_path, "agent");
    if (agent_socket_open(secrets, rule->id, mount->writable.top_path, "agent", &mount->agent,
                          err) < 0)
        return -1;
    if (chown(path, rule->uid, rule->gid) < 0 ||
        chmod(path, rule->is_mode_given ? rule->mode : 0600) < 0)
        return error_sys(err, "set owner and mode of the socket of an agent");
    if (!strv_env_get(&mounts->hidden_environment, "SSH_AUTH_SOCK"))
        strv_add_format(&mounts->hidden_environment, "SSH_AUTH_SOCK=%s", mount->target);
    mount->fd = mount_clone(AT_FDCWD, path, false, err);
    return mount->fd < 0 ? -1 : 0;
}

static int make_hidden(struct job *job, struct run_mounts *mounts, struct run_mount *mount,
                       struct error *err)
{
    const char *word = mount->rule.type == MOUNT_SSH ? "ssh" : "secret";
    int result = mount->rule.type == MOUNT_SSH ? make_agent(job, mounts, mount, err)
                                               : make_secret(job, mounts, mount, err);

    return result < 0 ? error_context(err, "RUN --mount=type=%s", word) : 0;
}

static int make_one(struct job *job, size_t stage_index, struct run_mounts *all,
                    struct run_mount *mount, struct error *err)
{
    switch (mount->rule.type) {
    case MOUNT_BIND:
        mount->fd = make_bind(job, stage_index, mount, err);
        break;
    case MOUNT_CACHE:
        mount->fd = make_cache(job, stage_index, all, mount, err);
        break;
    case MOUNT_TMPFS:
        mount->fd = make_tmpfs(mount, err);
        break;
    case MOUNT_SECRET:
    case MOUNT_SSH:
        return make_hidden(job, all, mount, err);
    }
    if (mount->fd < 0 ||
        mount_change(mount->fd, false, mount->rule.is_writable ? 0 : MOUNT_ATTR_RDONLY, 0,
                     MS_PRIVATE, err) < 0)
        return error_context(err, "mount on %s", mount->target);
    return 0;
}

/* The script of a here-document that names its interpreter, as a file. */
static int make_script(struct job *job, const struct heredoc *script, struct run_mounts *mounts,
                       struct error *err)
{
    struct run_mount *mount = &mounts->items[mounts->count++];

    *mount = (struct run_mount){ .fd = -1, .rule.type = MOUNT_BIND };
    mount->target = xasprintf("%s/%s", SCRIPT_DIRECTORY, script->name);
    if (store_writable_new(job->builder->store, &mount->writable, err) < 0)
        return -1;
    CLEANUP(free) char *path = path_join(mount->writable.top_path, "script");
    if (file_write_atomic(path, script->content, strlen(script->content), 0755, false, err) < 0)
        return -1;
    if (chmod(path, 0755) < 0)
        return error_sys(err, "set mode of a script");
    mount->fd = mount_clone(AT_FDCWD, path, false, err);
    return mount->fd < 0 ||
                   mount_change(mount->fd, false, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, err) < 0
               ? error_context(err, "script %s", script->name)
               : 0;
}

/* Caches are taken in the order of their ids, so that no two RUNs wait for each other. */
static int make_caches(struct job *job, size_t stage_index, struct run_mounts *mounts,
                       struct error *err)
{
    for (;;) {
        struct run_mount *next = NULL;

        for (size_t i = 0; i < mounts->count; i++) {
            struct run_mount *mount = &mounts->items[i];

            if (mount->rule.type == MOUNT_CACHE && mount->fd < 0 &&
                (!next || strcmp(cache_id(mount), cache_id(next)) < 0))
                next = mount;
        }
        if (!next)
            return 0;
        if (make_one(job, stage_index, mounts, next, err) < 0)
            return -1;
    }
}

int run_mounts_make(struct job *job, size_t stage_index, const struct instruction *instruction,
                    struct run_mounts *mounts, struct error *err)
{
    const struct heredoc *script = heredoc_script(instruction);

    if (make_caches(job, stage_index, mounts, err) < 0)
        return -1;
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].rule.type != MOUNT_CACHE &&
            make_one(job, stage_index, mounts, &mounts->items[i], err) < 0)
            return -1;
    if (script && heredoc_has_interpreter(script))
        return make_script(job, script, mounts, err);
    return 0;
}

/* ---- afterwards ---- */

static bool is_there(int root_fd, const char *path)
{
    int fd = path_open(root_fd, path, O_PATH | O_NOFOLLOW, 0, NULL);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Removes an empty directory, or an empty file. */
static bool remove_empty(int root_fd, const char *path)
{
    const char *name;
    CLEANUP(close) int parent_fd = path_open_parent(root_fd, path, 0, &name, NULL);
    struct stat info;

    if (parent_fd < 0 || fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (S_ISDIR(info.st_mode))
        return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
    return S_ISREG(info.st_mode) && info.st_size == 0 && unlinkat(parent_fd, name, 0) == 0;
}

static void tidy_one(int base_fd, int changes_fd, const char *target)
{
    CLEANUP(free) char *path = xstrdup(target);

    while (path[1] && !is_there(base_fd, path) && remove_empty(changes_fd, path)) {
        char *slash = strrchr(path, '/');

        slash[slash == path] = 0;
    }
}

void run_mounts_tidy(struct job *job, const struct stage *stage, const struct run_mounts *mounts,
                     const struct writable *changes)
{
    int base_fd = job_mount(job, stage->chain_id, NULL);
    CLEANUP(close)
    int changes_fd = open(changes->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = mounts->count; base_fd >= 0 && changes_fd >= 0 && i-- > 0;)
        if (mounts->items[i].fd >= 0)
            tidy_one(base_fd, changes_fd, mounts->items[i].target);
}

void run_mounts_done(struct job *job, struct run_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        struct run_mount *mount = &mounts->items[i];

        if (mount->fd >= 0)
            close(mount->fd);
        agent_socket_close(mount->agent);
        if (*mount->cache_name)
            cache_mount_give_back(&job->builder->cache_mounts, mount->cache_name,
                                  mount->rule.sharing != SHARING_SHARED);
        if (mount->writable.top_path)
            store_writable_remove(job->builder->store, &mount->writable, NULL);
        writable_done(&mount->writable);
        mount_rule_done(&mount->rule);
        free(mount->target);
        free(mount->cache_path);
    }
    for (size_t i = 0; i < mounts->hidden_environment.count; i++)
        explicit_bzero(mounts->hidden_environment.items[i],
                       strlen(mounts->hidden_environment.items[i]));
    strv_done(&mounts->hidden_environment);
    mounts->count = 0;
}
