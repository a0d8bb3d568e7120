/* Builds: the context goes to a directory of its own, RUN steps run like containers (supervisor,
 * network, limits), with an id that no client sees in lists. */
#include "engine/build.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_check.h"
#include "engine/internal.h"

#include "base/banned.h"

/* ---- one RUN ---- */

/* A container that is in no list: what the other parts need to know of it. */
static struct container *make_step(struct engine *engine, const char *id,
                                   const struct build_run *run)
{
    struct container_spec *spec = NEW(struct container_spec);
    struct host_config *host = &spec->host_config;
    const char *mode = text_is_empty(run->network_mode) ? "default" : run->network_mode;

    spec->reference_count = 1;
    spec->image_id = xstrdup("");
    spec->image_name = xstrdup("");
    spec->chain_id = xstrdup(run->chain_id);
    spec->driver = xstrdup("");
    spec->path = xstrdup(run->arguments->count ? run->arguments->items[0] : "");
    for (size_t i = 1; i < run->arguments->count; i++)
        strv_add(&spec->args, run->arguments->items[i]);
    if (run->environment)
        strv_copy(&spec->config.env, run->environment);
    spec->config.hostname = xstrdup(run->hostname);
    spec->config.user = xstrdup(run->user);
    spec->config.working_dir = xstrdup(run->working_dir);
    host->network_mode = xstrdup(mode);
    host->privileged = run->is_privileged;
    if (run->extra_hosts)
        strv_copy(&host->extra_hosts, run->extra_hosts);
    host->memory_bytes = run->memory_bytes;
    host->memory_swap_bytes = run->memory_swap_bytes;
    host->cpu_shares = run->cpu_shares;
    host->cpu_period_us = run->cpu_period_us;
    host->cpu_quota_us = run->cpu_quota_us;
    host->shm_size_bytes = run->shm_size_bytes;
    host->cpuset_cpus = xstrdup(run->cpuset_cpus);
    host->cpuset_mems = xstrdup(run->cpuset_mems);
    host->cgroup_parent = xstrdup(run->cgroup_parent);
    for (size_t i = 0; run->ulimits && i < run->ulimits->count; i++) {
        struct ulimit *limit = json_list_add(&host->ulimits, sizeof(*limit));

        *limit = JSON_ITEMS(run->ulimits, struct ulimit)[i];
        limit->name = xstrdup(limit->name);
    }
    host->log_config.type = xstrdup("none");
    host_config_fill(engine, host);
    struct container *step = container_new(engine, id, "", spec, clock_wall_ns(), 0);
    container_spec_unref(spec);
    return step;
}

/* Binds whose sources are descriptors. */
static void add_mounts(const struct build_run *run, struct runtime_config *config,
                       struct container_sources *out)
{
    out->mounts = xcalloc(run->mount_count + 1, sizeof(struct shim_mount));
    for (size_t i = 0; i < run->mount_count; i++) {
        struct runtime_mount *mount = json_list_add(&config->mounts, sizeof(*mount));

        mount->destination = xstrdup(run->mounts[i].target);
        mount->type = xstrdup("bind");
        out->mounts[out->count++] = (struct shim_mount){ run->mounts[i].target, run->mounts[i].fd };
    }
}

static int launch_step(struct engine *engine, struct container *step, const struct build_run *run,
                       const struct container_network *network, struct shim **out,
                       struct error *err)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {};
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(step);
    CLEANUP(close) int root_fd = -1;
    const char *parent = text_is_empty(run->cgroup_parent) ? engine->cgroup_path
                                                           : run->cgroup_parent;
    CLEANUP(free)
    char *cgroup = xasprintf("%s%s/%s", parent[0] == '/' ? "" : "/", parent, step->id);
    struct runtime_config_paths paths = { .hosts = network->hosts_path,
                                          .hostname = network->hostname_path,
                                          .resolv = network->resolv_path,
                                          .cgroup = cgroup };
    struct launch launch = {
        .id = step->id,
        .config = &config,
        .seccomp_profile = run->is_privileged ? "unconfined" : "builtin",
        .network_fd = network->namespace_fd,
        .log = { .driver = "none" },
    };
    pid_t pid;

    if (container_runtime_config(engine, info, info->spec, &paths, &config, err) < 0 ||
        engine_root_mount(engine, run->chain_id, run->writable, -1, &root_fd, err) < 0)
        return -1;
    struct container_sources sources = {};
    add_mounts(run, &config, &sources);
    launch.sources = &sources;
    launch.rootfs_fd = root_fd;
    int result = launch_create(engine, &launch, out, &pid, err);
    free(sources.mounts);
    return result;
}

/* Reads exactly 'size' bytes. 1: read, 0: the end. */
static int read_exactly(int fd, void *data, size_t size)
{
    struct error ignored;

    return fd_read_full(fd, data, size, &ignored) == (ssize_t)size;
}

/* Output of the step, frame by frame, until its end or until the build is called off (0). */
static int follow_output(int fd, int cancel_fd, void (*output)(void *, bool, const char *, size_t),
                         void *output_data)
{
    char block[16 * 1024];
    unsigned char head[8];

    for (;;) {
        struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                                { .fd = cancel_fd, .events = POLLIN } };

        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            return 0;
        if (!read_exactly(fd, head, sizeof(head)))
            return 1;
        size_t left = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 |
                      head[7];
        while (left) {
            size_t count = MIN(left, sizeof(block));

            if (!read_exactly(fd, block, count))
                return 1;
            output(output_data, head[0] == 2, block, count);
            left -= count;
        }
    }
}

static int run_launched(struct shim *shim, struct build_process *process,
                        void (*output)(void *, bool, const char *, size_t), void *output_data,
                        int cancel_fd, int *out_exit_code, struct error *err)
{
    struct shim_stream_options streams = { .stdout_wanted = true,
                                           .stderr_wanted = true,
                                           .framed = true };
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return error_sys(err, "make a socket pair");
    CLEANUP(close) int ours = sockets[0];
    if (shim_attach(shim, sockets[1], &streams, err) < 0 || shim_start(shim, err) < 0)
        return -1;
    struct error ignored;
    if (!follow_output(ours, cancel_fd, output, output_data))
        shim_signal(shim, NULL, SIGKILL, &ignored);
    struct pollfd ended = { .fd = process->exit_fd, .events = POLLIN };
    while (poll(&ended, 1, -1) < 0)
        ;
    *out_exit_code = process->exit_code;
    if (fd_is_readable(cancel_fd))
        return error_set(err, ERROR_CANCELLED, "build cancelled");
    return 0;
}

static void take_back(struct engine *engine, struct container *step, struct shim *shim)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(step);
    CLEANUP(free) char *directory = container_directory(engine, step->id);
    CLEANUP(free) char *cgroup = container_cgroup(engine, info);
    struct error err = {};

    if (shim)
        launch_end(engine, step->id, cgroup, shim);
    if (endpoint_detach(engine->networks, step->id, NULL, &err) < 0)
        log_warn("cannot take a build step off its network", "id", step->id, "error", err.text);
    if (tree_remove(directory, &err) < 0)
        log_warn("cannot remove a build step's directory", "id", step->id, "error", err.text);
}

int build_worker_run(void *data, const struct build_run *run, void (*began)(void *, const char *),
                     void (*output)(void *, bool, const char *, size_t), void *output_data,
                     int cancel_fd, int *out_exit_code, struct error *err)
{
    struct engine *engine = data;
    struct build_process process = {};
    CLEANUP(container_network_done) struct container_network network = { .namespace_fd = -1 };
    CLEANUP(shim_unref) struct shim *shim = NULL;

    id_generate(process.id);
    CLEANUP(container_unref) struct container *step = make_step(engine, process.id, run);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(step);
    CLEANUP(free) char *directory = container_directory(engine, process.id);
    CLEANUP(close) int exit_fd = process.exit_fd = eventfd(0, EFD_CLOEXEC);
    if (exit_fd < 0)
        return error_sys(err, "make an event");
    mutex_lock(&engine->lock);
    map_set(&engine->build_processes, process.id, &process);
    mutex_unlock(&engine->lock);
    began(output_data, process.id);
    int result = mkdir(directory, 0700) < 0 ? error_sys(err, "make directory %s", directory) : 0;
    if (result == 0)
        result = container_network_setup(step, info, -1, &network, err);
    if (result == 0)
        result = launch_step(engine, step, run, &network, &shim, err);
    if (result == 0)
        result = run_launched(shim, &process, output, output_data, cancel_fd, out_exit_code, err);
    take_back(engine, step, shim);
    mutex_lock(&engine->lock);
    map_take(&engine->build_processes, process.id);
    mutex_unlock(&engine->lock);
    return result;
}
