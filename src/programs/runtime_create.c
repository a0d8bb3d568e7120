/* From a bundle to a running container: create, start, run. */
#include "programs/runtime_command.h"

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "linux/pidfd.h"
#include "programs/runtime_console.h"
#include "runtime/seccomp_profile.h"

#include "base/banned.h"

enum { CONFIG_SIZE_LIMIT = 64 << 20 };

struct bundle {
    char *path;
    struct str text;
    struct runtime_config config;
    struct buf filter;
    struct seccomp_program program;
};

static void bundle_done(struct bundle *bundle)
{
    free(bundle->path);
    str_done(&bundle->text);
    runtime_config_done(&bundle->config);
    buf_done(&bundle->filter);
}
CLEANUP_VALUE(bundle_done, struct bundle)

int command_compile_seccomp(const struct runtime_config *config, struct buf *filter,
                            struct seccomp_program *out, struct error *err)
{
    if (!config->linux_part.seccomp)
        return 0;
    if (seccomp_profile_compile(config->linux_part.seccomp, filter, err) < 0)
        return -1;
    *out = (struct seccomp_program){ (void *)buf_bytes(filter), filter->size };
    return 0;
}

static int bundle_load(const struct options *options, struct bundle *out, struct error *err)
{
    out->path = path_absolute(options->bundle ? options->bundle : ".");
    CLEANUP(free) char *config_path = path_join(out->path, "config.json");

    if (file_read(config_path, CONFIG_SIZE_LIMIT, &out->text, err) < 0 ||
        runtime_config_decode(str_text(&out->text), out->text.length, &out->config, err) < 0)
        return -1;
    return command_compile_seccomp(&out->config, &out->filter, &out->program, err);
}

int command_check_terminal(const struct options *options, bool terminal, bool detached,
                           struct error *err)
{
    if (terminal && detached && !options->console_socket)
        return error_set(err, ERROR_INVALID,
                         "cannot allocate tty if runc will detach without setting console socket");
    if (options->console_socket && !terminal)
        return error_set(err, ERROR_INVALID,
                         "cannot use console socket if runc will not detach or allocate tty");
    if (options->no_pivot)
        return error_set(err, ERROR_UNSUPPORTED, "--no-pivot is not supported");
    return 0;
}

static int record(const struct bundle *bundle, const char *id, const char *directory,
                  const struct container *container, struct error *err)
{
    const char *root = bundle->config.root.path ? bundle->config.root.path : "";
    CLEANUP(free)
    char *rootfs = root[0] == '/' ? xstrdup(root) : path_join(bundle->path, root);
    struct state state = { .id = (char *)id,
                           .bundle = bundle->path,
                           .rootfs = rootfs,
                           .cgroup_path = container->cgroup_path,
                           .pid = container->pid,
                           .start_time = process_start_time(container->pid),
                           .created_ns = clock_wall_ns(),
                           .directory = (char *)directory };

    return state_save(&state, str_text(&bundle->text), bundle->text.length, err);
}

/* Creates the container and everything that is to be known about it. 'listen': for a later start
 * by another process. */
static int create(const struct options *options, const struct bundle *bundle, bool listen,
                  struct container *out, char **out_directory, struct error *err)
{
    CLEANUP(free) char *directory = NULL;
    CLEANUP(close) int listen_fd = -1;
    const char *id = NULL;
    struct container container = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };
    struct container_options wish = { .config = &bundle->config,
                                      .bundle_path = bundle->path,
                                      .rootfs_fd = -1,
                                      .network_fd = -1,
                                      .seccomp = bundle->program.instructions ? &bundle->program
                                                                              : NULL,
                                      .stdio = { 0, 1, 2 } };

    if (command_id(options, &id, err) < 0 ||
        command_preserve_count(options, &wish.preserve_fd_count, err) < 0 ||
        state_claim(options->root, id, &directory, err) < 0)
        return -1;
    wish.id = id;
    if (listen && (listen_fd = state_listen(directory, err)) < 0)
        goto failed;
    wish.start_listen_fd = listen ? listen_fd : 0;
    if (container_create(&wish, &container, err) < 0)
        goto failed;
    if ((options->console_socket && container.console_fd >= 0 &&
         console_send(options->console_socket, container.console_fd, err) < 0) ||
        record(bundle, id, directory, &container, err) < 0 ||
        command_write_pid_file(options->pid_file, container.pid, err) < 0)
        goto failed;
    *out = container;
    *out_directory = TAKE(directory);
    return 0;
failed:
    if (container.pidfd >= 0) {
        pidfd_signal(container.pidfd, SIGKILL, NULL);
        container_delete(&container, NULL);
    }
    tree_remove(directory, NULL);
    return -1;
}

/* The container goes on; only our handle on it ends. */
static void let_go(struct container *container)
{
    free(TAKE(container->cgroup_path));
    container_delete(container, NULL);
}

int command_create(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(bundle_done) struct bundle bundle = {};
    CLEANUP(free) char *directory = NULL;
    struct container container;

    if (bundle_load(options, &bundle, err) < 0 ||
        command_check_terminal(options, bundle.config.process.terminal, true, err) < 0)
        return -1;
    if (create(options, &bundle, true, &container, &directory, err) < 0)
        return -1;
    let_go(&container);
    return 0;
}

int command_start(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    struct container container = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };

    if (command_load(options, &state, err) < 0)
        return -1;
    const char *status = state_status(&state);
    if (strcmp(status, "created") != 0)
        return error_set(err, ERROR_CONFLICT,
                         strcmp(status, "stopped") == 0
                             ? "cannot start a container that has stopped"
                             : "cannot start an already running container");
    container.start_fd = state_connect(&state, err);
    if (container.start_fd < 0)
        return -1;
    state_forget_socket(&state);
    if (container_start(&container, err) < 0)
        return -1;
    struct hook_state hook_state = command_hook_state(&state, "running");
    return hooks_run(&state.config.hooks.poststart, &hook_state, err);
}

static int finish(const struct options *options, const char *id, struct container *container,
                  struct error *err)
{
    CLEANUP(state_done) struct state state = {};

    if (container_delete(container, err) < 0 || state_load(options->root, id, &state, err) < 0)
        return -1;
    struct hook_state hook_state = command_hook_state(&state, "stopped");
    hook_state.pid = 0;
    if (hooks_run(&state.config.hooks.poststop, &hook_state, err) < 0)
        return -1;
    return state_remove(&state, err);
}

int command_run(const struct options *options, int *out_code, struct error *err)
{
    CLEANUP(bundle_done) struct bundle bundle = {};
    CLEANUP(free) char *directory = NULL;
    CLEANUP(close) int signal_fd = -1;
    struct container container;
    struct error failure = {};
    int code = 0;

    if (bundle_load(options, &bundle, err) < 0 ||
        command_check_terminal(options, bundle.config.process.terminal, options->detach, err) < 0)
        return -1;
    if (!options->detach && (signal_fd = console_catch_signals(err)) < 0)
        return -1;
    if (create(options, &bundle, false, &container, &directory, err) < 0)
        return -1;
    const char *id = options->arguments[0];
    if (container_start(&container, err) < 0) {
        pidfd_signal(container.pidfd, SIGKILL, NULL);
        finish(options, id, &container, &failure);
        return -1;
    }
    struct hook_state state = { .id = id,
                                .bundle_path = bundle.path,
                                .status = "running",
                                .pid = container.pid,
                                .annotations = &bundle.config.annotations };
    if (hooks_run(&bundle.config.hooks.poststart, &state, err) < 0) {
        pidfd_signal(container.pidfd, SIGKILL, NULL);
        finish(options, id, &container, &failure);
        return -1;
    }
    if (options->detach) {
        let_go(&container);
        return 0;
    }
    if (options->console_socket)
        close(TAKE_FD(container.console_fd));
    if (console_wait(&container, signal_fd, &code, err) < 0)
        return -1;
    *out_code = code;
    if (!options->keep)
        return finish(options, id, &container, err);
    let_go(&container);
    return 0;
}
