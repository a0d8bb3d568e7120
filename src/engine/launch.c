/* Starting a supervisor: bundle directory with config.json, the compiled seccomp filter, then
 * berth-shim. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "engine/internal.h"
#include "linux/cgroup.h"
#include "runtime/seccomp_profile.h"

#include "base/banned.h"

/* Fills 'out' with the path of the compiled filter. A filter is named by what it is made of, and
 * compiled once. */
static int filter_path(struct engine *engine, const struct launch *launch, char **out,
                       struct error *err)
{
    const struct runtime_capabilities *capabilities = launch->config->process.capabilities;
    static const struct strv none;
    const struct strv *names = capabilities ? &capabilities->bounding : &none;
    const char *profile = launch->seccomp_profile;
    CLEANUP(free) char *joined = strv_join(names, ",");
    CLEANUP(free) char *key = xasprintf("%s\n%s\n%s", BERTH_VERSION, profile, joined);
    CLEANUP(buf_done) struct buf program = {};
    struct runtime_seccomp rules = {};
    char digest[DIGEST_SIZE];

    *out = NULL;
    if (strcmp(profile, "unconfined") == 0)
        return 0;
    sha256_digest(key, strlen(key), digest);
    char *path = xasprintf("%s/%.32s.bpf", engine->filters_path, digest_hex(digest));
    if (file_exists(path)) {
        *out = path;
        return 0;
    }
    mutex_lock(&engine->filter_lock);
    int result = 0;
    if (!file_exists(path)) {
        if (strcmp(profile, "builtin") == 0)
            seccomp_profile_default(names, &rules);
        else
            result = seccomp_profile_decode(profile, strlen(profile), names, &rules, err);
        if (result == 0)
            result = seccomp_profile_compile(&rules, &program, err);
        if (result == 0)
            result = file_write_atomic(path, buf_bytes(&program), program.size, 0600, false, err);
        json_fields_done(runtime_seccomp_fields, &rules);
    }
    mutex_unlock(&engine->filter_lock);
    if (result < 0) {
        free(path);
        return -1;
    }
    *out = path;
    return 0;
}

/* A runtime of others gets the rules themselves and compiles them. */
static int describe_filter(const struct launch *launch, struct str *config, struct error *err)
{
    const struct runtime_capabilities *capabilities = launch->config->process.capabilities;
    static const struct strv none;
    const struct strv *names = capabilities ? &capabilities->bounding : &none;
    const char *profile = launch->seccomp_profile;
    struct runtime_seccomp rules = {};
    struct runtime_config described = *launch->config;
    int result = 0;

    if (strcmp(profile, "builtin") == 0)
        seccomp_profile_default(names, &rules);
    else if (strcmp(profile, "unconfined") != 0)
        result = seccomp_profile_decode(profile, strlen(profile), names, &rules, err);
    if (strcmp(profile, "unconfined") != 0)
        described.linux_part.seccomp = &rules;
    if (result == 0)
        runtime_config_encode(&described, config);
    json_fields_done(runtime_seccomp_fields, &rules);
    return result;
}

int launch_create(struct engine *engine, const struct launch *launch, struct shim **out,
                  pid_t *out_pid, struct error *err)
{
    CLEANUP(free) char *bundle = path_join(engine->bundles_path, launch->id);
    CLEANUP(free) char *config_path = path_join(bundle, "config.json");
    CLEANUP(free) char *filter = NULL;
    CLEANUP(str_done) struct str config = {};

    if ((launch->runtime ? describe_filter(launch, &config, err)
                         : filter_path(engine, launch, &filter, err)) < 0 ||
        dir_make(bundle, 0700, err) < 0)
        return -1;
    if (!launch->runtime)
        runtime_config_encode(launch->config, &config);
    if (file_write_atomic(config_path, config.data, config.length, 0600, false, err) < 0) {
        launch_clean(engine, launch->id);
        return -1;
    }
    struct shim_options options = {
        .program_path = engine->sealed_shim_path,
        .container_id = launch->id,
        .bundle_path = bundle,
        .seccomp_path = filter,
        .init_path = launch->init_path,
        .runtime_path = launch->runtime ? launch->runtime->path : NULL,
        .runtime_arguments = launch->runtime ? &launch->runtime->arguments : NULL,
        .rootfs_fd = launch->rootfs_fd,
        .network_fd = launch->network_fd,
        .kept_fds = launch->kept_fds,
        .kept_fd_count = launch->kept_fd_count,
        .mounts = launch->sources ? launch->sources->mounts : NULL,
        .mount_count = launch->sources ? launch->sources->count : 0,
        .stdin_open = launch->stdin_open,
        .stdin_once = launch->stdin_once,
        .log = launch->log,
        .logger_fd = engine->logger_fd,
    };
    if (shim_create(engine->monitor, &options, out, out_pid, err) < 0) {
        launch_end(engine, launch->id, launch->config->linux_part.cgroups_path, NULL);
        return -1;
    }
    return 0;
}

void launch_clean(struct engine *engine, const char *id)
{
    CLEANUP(free) char *bundle = path_join(engine->bundles_path, id);
    struct error err = {};

    if (tree_remove(bundle, &err) < 0)
        log_warn("cannot remove a bundle", "container", id, "error", err.text);
}

/* A supervisor that was killed leaves what it supervised: processes, their cgroup, its socket. */
static void end_orphans(struct engine *engine, const char *id, const char *cgroup)
{
    CLEANUP(shim_unref) struct shim *shim = NULL;
    struct shim_status status;
    struct error err = {}, ignored;

    if (cgroup_remove(cgroup, &err) < 0) {
        log_warn("cannot remove a cgroup yet", "path", cgroup, "error", err.text);
        leftover_end(engine, id, cgroup);
    }
    /* One that was told to go and did not. */
    if (shim_kill(id, &err) < 0)
        log_warn("cannot end a supervisor", "container", id, "error", err.text);
    /* Nobody answers there: that removes the socket. */
    shim_connect(engine->monitor, id, &shim, &status, &ignored);
}

void launch_end(struct engine *engine, const char *id, const char *cgroup, struct shim *shim)
{
    struct error err = {};
    bool is_orphaned = !shim;

    if (shim && shim_forget(shim, &err) < 0) {
        log_warn("a supervisor did not end", "container", id, "error", err.text);
        is_orphaned = true;
    }
    if (is_orphaned)
        end_orphans(engine, id, cgroup);
    launch_clean(engine, id);
}

int engine_root_mount(struct engine *engine, const char *chain_id, const struct writable *writable,
                      int user_namespace_fd, int *out_fd, struct error *err)
{
    struct writable with_init = *writable;

    with_init.init_path = engine->init_layer_path;
    return store_mount_mapped(engine->store, chain_id, &with_init, user_namespace_fd, out_fd, err);
}
