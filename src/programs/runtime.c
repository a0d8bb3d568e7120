/* berth-runtime: the OCI runtime command line over the runtime library. Each call does one thing
 * and ends; what a later call must know is in the state directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/capability.h"
#include "linux/cgroup.h"
#include "linux/mount.h"
#include "linux/pidfd.h"
#include "programs/runtime_console.h"
#include "programs/runtime_options.h"
#include "programs/runtime_state.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/limits.h"
#include "runtime/seccomp_profile.h"

#include "base/banned.h"

enum {
    CONFIG_SIZE_LIMIT = 64 << 20,
    PRESERVE_LIMIT = 4096,
    EXIT_FAILED = 1,
    EXIT_EXEC_FAILED = 255,
    KILL_LIMIT_MS = 10000,
};

extern char **environ;

/* ---- help ---- */

static const char usage[] =
    "Usage: berth-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND [OPTIONS] "
    "[ARGS]\n"
    "\n"
    "Runs containers from OCI bundles.\n"
    "\n"
    "Commands:\n"
    "  create [-b BUNDLE] [--pid-file FILE] [--console-socket PATH] [--preserve-fds N] ID\n"
    "  start ID\n"
    "  run [-d] [-b BUNDLE] [--pid-file FILE] [--console-socket PATH] [--keep] ID\n"
    "  state ID\n"
    "  exec [-t] [-d] [-u USER] [-e K=V] [--cwd DIR] [-p FILE] [-c CAP] ID COMMAND [ARG...]\n"
    "  kill [-a] ID [SIGNAL]\n"
    "  delete [-f] ID\n"
    "  pause ID\n"
    "  resume ID\n"
    "  update -r FILE ID\n"
    "  ps [-f table|json] ID\n"
    "  list [-q] [-f table|json]\n"
    "  features\n";

/* ---- little things ---- */

static int only_id(const struct options *options, const char **out, struct error *err)
{
    if (options->argument_count != 1)
        return error_set(err, ERROR_INVALID, "%s: exactly one container id is needed",
                         options->command);
    *out = options->arguments[0];
    return state_check_id(*out, err);
}

static int preserve_count(const struct options *options, int *out, struct error *err)
{
    int64_t count = 0;

    if (options->preserve_fds &&
        parse_int64(options->preserve_fds, 0, PRESERVE_LIMIT, &count, err) < 0)
        return error_context(err, "preserve-fds");
    *out = (int)count;
    return 0;
}

static int write_pid_file(const char *path, pid_t pid, struct error *err)
{
    char text[16];

    if (!path)
        return 0;
    snprintf(text, sizeof(text), "%d", (int)pid);
    return file_write_atomic(path, text, strlen(text), 0644, false, err);
}

static int signal_number(const char *text, struct error *err)
{
    int64_t number;

    if (parse_int64(text, 0, NSIG - 1, &number, NULL) == 0)
        return (int)number;
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int i = 1; i < NSIG; i++)
        if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), name) == 0)
            return i;
    return error_set(err, ERROR_INVALID, "unknown signal \"%s\"", text);
}

static struct hook_state hook_state_of(const struct state *state, const char *status)
{
    return (struct hook_state){ .id = state->id,
                                .bundle_path = state->bundle,
                                .status = status,
                                .pid = (pid_t)state->pid,
                                .annotations = &state->config.annotations };
}

static int load(const struct options *options, struct state *out, struct error *err)
{
    const char *id = NULL;

    return only_id(options, &id, err) < 0 ? -1 : state_load(options->root, id, out, err);
}

/* ---- create, start, run ---- */

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

static int compile_seccomp(const struct runtime_config *config, struct buf *filter,
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
    return compile_seccomp(&out->config, &out->filter, &out->program, err);
}

static int check_terminal(const struct options *options, bool terminal, bool detached,
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

    if (only_id(options, &id, err) < 0 ||
        preserve_count(options, &wish.preserve_fd_count, err) < 0 ||
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
        write_pid_file(options->pid_file, container.pid, err) < 0)
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

static int run_create(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(bundle_done) struct bundle bundle = {};
    CLEANUP(free) char *directory = NULL;
    struct container container;

    if (bundle_load(options, &bundle, err) < 0 ||
        check_terminal(options, bundle.config.process.terminal, true, err) < 0)
        return -1;
    if (create(options, &bundle, true, &container, &directory, err) < 0)
        return -1;
    let_go(&container);
    return 0;
}

static int run_start(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    struct container container = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };

    if (load(options, &state, err) < 0)
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
    struct hook_state hook_state = hook_state_of(&state, "running");
    return hooks_run(&state.config.hooks.poststart, &hook_state, err);
}

static int finish(const struct options *options, const char *id, struct container *container,
                  struct error *err)
{
    CLEANUP(state_done) struct state state = {};

    if (container_delete(container, err) < 0 || state_load(options->root, id, &state, err) < 0)
        return -1;
    struct hook_state hook_state = hook_state_of(&state, "stopped");
    hook_state.pid = 0;
    if (hooks_run(&state.config.hooks.poststop, &hook_state, err) < 0)
        return -1;
    return state_remove(&state, err);
}

static int run_run(const struct options *options, int *out_code, struct error *err)
{
    CLEANUP(bundle_done) struct bundle bundle = {};
    CLEANUP(free) char *directory = NULL;
    CLEANUP(close) int signal_fd = -1;
    struct container container;
    struct error failure = {};
    int code = 0;

    if (bundle_load(options, &bundle, err) < 0 ||
        check_terminal(options, bundle.config.process.terminal, options->detach, err) < 0)
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

/* ---- exec ---- */

static int read_process(const char *path, struct runtime_process *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, CONFIG_SIZE_LIMIT, &text, err) < 0)
        return -1;
    return json_decode(runtime_process_fields, str_text(&text), text.length, out, err);
}

static void add_capabilities(const struct strv *caps, struct runtime_process *process)
{
    if (!process->capabilities)
        process->capabilities = NEW(struct runtime_capabilities);
    struct strv *sets[] = { &process->capabilities->bounding, &process->capabilities->effective,
                            &process->capabilities->permitted };

    for (size_t i = 0; i < caps->count; i++)
        for (size_t s = 0; s < COUNT(sets); s++)
            if (!strv_contains(sets[s], caps->items[i]))
                strv_add(sets[s], caps->items[i]);
}

/* "uid[:gid]", or names. */
static void set_user(const char *user, struct runtime_process *process)
{
    free(process->user.username);
    free(process->user.additional_gids);
    process->user.additional_gids = NULL;
    process->user.username = xstrdup(user);
}

/* The container's own process with what the command line says instead. */
static void derive_process(const struct options *options, const struct state *state,
                           struct runtime_process *out)
{
    json_fields_copy(runtime_process_fields, &state->config.process, out);
    strv_done(&out->args);
    out->args = (struct strv){};
    for (int i = 1; i < options->argument_count; i++)
        strv_add(&out->args, options->arguments[i]);
    out->terminal = options->tty;
    for (size_t i = 0; i < options->env.count; i++)
        strv_add(&out->env, options->env.items[i]);
    if (options->cwd) {
        free(out->cwd);
        out->cwd = xstrdup(options->cwd);
    }
    if (options->user)
        set_user(options->user, out);
    if (options->additional_gids) {
        free(out->user.additional_gids);
        out->user.additional_gids = xasprintf("[%s]", options->additional_gids);
    }
    if (options->caps.count)
        add_capabilities(&options->caps, out);
    out->no_new_privileges |= options->no_new_privs;
}

static int check_running(const struct options *options, const struct state *state,
                         struct error *err)
{
    const char *status = state_status(state);

    if (strcmp(status, "stopped") == 0)
        return error_set(err, ERROR_CONFLICT, "cannot exec in a stopped container");
    if (strcmp(status, "paused") == 0 && !options->ignore_paused)
        return error_set(err, ERROR_CONFLICT,
                         "cannot exec in a paused container (use --ignore-paused to override)");
    return 0;
}

static int exec_in(const struct options *options, const struct state *state,
                   const struct runtime_process *process, int *out_code, struct error *err)
{
    CLEANUP(buf_done) struct buf filter = {};
    CLEANUP(close) int signal_fd = -1;
    struct seccomp_program program = {};
    struct container container;
    struct exec_options wish = { .init_pid = (pid_t)state->pid,
                                 .process = process,
                                 .config = &state->config,
                                 .cgroup_path =
                                     text_is_empty(state->cgroup_path) ? NULL : state->cgroup_path,
                                 .stdio = { 0, 1, 2 } };

    if (check_terminal(options, process->terminal, options->detach, err) < 0 ||
        preserve_count(options, &wish.preserve_fd_count, err) < 0 ||
        compile_seccomp(&state->config, &filter, &program, err) < 0)
        return -1;
    wish.seccomp = program.instructions ? &program : NULL;
    if (!options->detach && (signal_fd = console_catch_signals(err)) < 0)
        return -1;
    if (container_exec(&wish, &container, err) < 0)
        return -1;
    if (options->console_socket && container.console_fd >= 0) {
        int sent = console_send(options->console_socket, container.console_fd, err);

        close(container.console_fd);
        container.console_fd = -1;
        if (sent < 0) {
            pidfd_signal(container.pidfd, SIGKILL, NULL);
            return -1;
        }
    }
    if (write_pid_file(options->pid_file, container.pid, err) < 0)
        return -1;
    return options->detach ? 0 : console_wait(&container, signal_fd, out_code, err);
}

static int run_exec(const struct options *options, int *out_code, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    struct runtime_process process = {};
    int result;

    *out_code = EXIT_EXEC_FAILED;
    if (options->argument_count < (options->process ? 1 : 2))
        return error_set(err, ERROR_INVALID, "exec: a container id and a command are needed");
    if (options->apparmor || options->process_label)
        return error_set(err, ERROR_UNSUPPORTED, "exec: labels come with --process only");
    if (state_load(options->root, options->arguments[0], &state, err) < 0 ||
        check_running(options, &state, err) < 0)
        return -1;
    if (options->process) {
        if (read_process(options->process, &process, err) < 0)
            return -1;
    } else {
        derive_process(options, &state, &process);
    }
    int code = 0;
    result = exec_in(options, &state, &process, &code, err);
    if (result == 0)
        *out_code = code;
    json_fields_done(runtime_process_fields, &process);
    return result;
}

/* ---- the living and the dead ---- */

static void print_state(const struct state *state, struct json_writer *w)
{
    const char *status = state_status(state);

    json_begin_dict(w, NULL);
    json_add_text(w, "ociVersion", "1.2.0");
    json_add_text(w, "id", state->id);
    json_add_int64(w, "pid", strcmp(status, "stopped") == 0 ? 0 : state->pid);
    json_add_text(w, "status", status);
    json_add_text(w, "bundle", state->bundle);
    json_add_text(w, "rootfs", state->rootfs);
    json_add_time(w, "created", state->created_ns);
    if (state->config.annotations.count)
        json_add_texts(w, "annotations", &state->config.annotations);
    json_add_text(w, "owner", "");
    json_end_dict(w);
}

static int run_state(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (load(options, &state, err) < 0)
        return -1;
    print_state(&state, &w);
    puts(str_text(&text));
    return 0;
}

static int run_list(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };
    bool as_json = text_equal(options->format, "json");
    DIR *directory = opendir(options->root);
    struct dirent *entry;

    if (!directory && errno != ENOENT)
        return error_sys(err, "open %s", options->root);
    if (!as_json && !options->quiet)
        printf("%-24s %-8s %-10s %-40s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
    json_begin_list(&w, NULL);
    while (directory && (entry = readdir(directory))) {
        CLEANUP(state_done) struct state state = {};
        char created[TIME_TEXT_SIZE];
        struct error ignored = {};

        if (state_load(options->root, entry->d_name, &state, &ignored) < 0)
            continue;
        const char *status = state_status(&state);
        time_format(state.created_ns, created);
        if (as_json)
            print_state(&state, &w);
        else if (options->quiet)
            puts(state.id);
        else
            printf("%-24s %-8lld %-10s %-40s %s\n", state.id,
                   strcmp(status, "stopped") == 0 ? 0 : (long long)state.pid, status, state.bundle,
                   created);
    }
    json_end_list(&w);
    if (directory)
        closedir(directory);
    if (as_json)
        puts(str_text(&text));
    return 0;
}

static int run_kill(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};

    if (options->argument_count < 1 || options->argument_count > 2)
        return error_set(err, ERROR_INVALID, "kill: a container id and maybe a signal are needed");
    int signal = options->argument_count > 1 ? signal_number(options->arguments[1], err) : SIGTERM;
    if (signal < 0 || state_load(options->root, options->arguments[0], &state, err) < 0)
        return -1;
    if (options->all && !text_is_empty(state.cgroup_path))
        return cgroup_kill(state.cgroup_path, signal, err);
    CLEANUP(close) int pidfd = pidfd_open_process((pid_t)state.pid, NULL);
    if (strcmp(state_status(&state), "stopped") == 0 || pidfd < 0)
        return error_set(err, ERROR_CONFLICT, "container not running");
    return pidfd_signal(pidfd, signal, err);
}

static int end_init(const struct state *state, struct error *err)
{
    CLEANUP(close) int pidfd = pidfd_open_process((pid_t)state->pid, NULL);
    struct pollfd poller = { .fd = pidfd, .events = POLLIN };

    if (pidfd < 0 || strcmp(state_status(state), "stopped") == 0)
        return 0;
    if (strcmp(state_status(state), "paused") == 0)
        cgroup_freeze(state->cgroup_path, false, NULL);
    pidfd_signal(pidfd, SIGKILL, NULL);
    if (poll(&poller, 1, KILL_LIMIT_MS) != 1)
        return error_set(err, ERROR_INTERNAL, "container init still running");
    return 0;
}

static int run_delete(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    struct error failure = {};

    if (load(options, &state, &failure) < 0) {
        if (failure.kind == ERROR_NOT_FOUND && options->force)
            return 0;
        *err = failure;
        return -1;
    }
    const char *status = state_status(&state);
    if (!options->force && strcmp(status, "stopped") != 0 && strcmp(status, "created") != 0)
        return error_set(err, ERROR_CONFLICT, "cannot delete container %s that is not stopped: %s",
                         state.id, status);
    if (end_init(&state, err) < 0 ||
        (!text_is_empty(state.cgroup_path) && cgroup_remove(state.cgroup_path, err) < 0))
        return -1;
    struct hook_state hook_state = hook_state_of(&state, "stopped");
    hook_state.pid = 0;
    if (hooks_run(&state.config.hooks.poststop, &hook_state, err) < 0)
        return -1;
    return state_remove(&state, err);
}

static int freeze(const struct options *options, bool frozen, struct error *err)
{
    CLEANUP(state_done) struct state state = {};

    if (load(options, &state, err) < 0)
        return -1;
    if (strcmp(state_status(&state), "stopped") == 0 || text_is_empty(state.cgroup_path))
        return error_set(err, ERROR_CONFLICT, "container not running");
    return cgroup_freeze(state.cgroup_path, frozen, err);
}

static int run_pause(const struct options *options, int *out_code UNUSED, struct error *err)
{
    return freeze(options, true, err);
}

static int run_resume(const struct options *options, int *out_code UNUSED, struct error *err)
{
    return freeze(options, false, err);
}

static int run_update(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(str_done) struct str text = {};
    struct runtime_resources resources = {};

    if (!options->resources)
        return error_set(err, ERROR_INVALID, "update: --resources FILE is needed (- for stdin)");
    if (load(options, &state, err) < 0)
        return -1;
    if (strcmp(options->resources, "-") == 0
            ? file_read_fd(0, CONFIG_SIZE_LIMIT, &text, err) < 0
            : file_read(options->resources, CONFIG_SIZE_LIMIT, &text, err) < 0)
        return -1;
    if (json_decode(runtime_resources_fields, str_text(&text), text.length, &resources, err) < 0)
        return -1;
    int result = limits_update(state.cgroup_path, &resources, err);
    json_fields_done(runtime_resources_fields, &resources);
    return result;
}

static int run_ps(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(free) pid_t *pids = NULL;
    size_t count = 0;

    if (load(options, &state, err) < 0 || cgroup_pids(state.cgroup_path, &pids, &count, err) < 0)
        return -1;
    if (text_equal(options->format, "json")) {
        putchar('[');
        for (size_t i = 0; i < count; i++)
            printf("%s%d", i ? "," : "", (int)pids[i]);
        puts("]");
        return 0;
    }
    printf("%-10s %s\n", "PID", "CMD");
    for (size_t i = 0; i < count; i++) {
        CLEANUP(str_done) struct str line = {};
        CLEANUP(free) char *path = xasprintf("/proc/%d/cmdline", (int)pids[i]);

        file_read(path, CONFIG_SIZE_LIMIT, &line, NULL);
        for (size_t at = 0; at + 1 < line.length; at++)
            if (!line.data[at])
                line.data[at] = ' ';
        printf("%-10d %s\n", (int)pids[i], str_text(&line));
    }
    return 0;
}

static void add_texts(struct json_writer *w, const char *key, const char *words)
{
    CLEANUP(strv_done) struct strv list = {};

    strv_split(&list, words, ' ');
    json_add_strv(w, key, &list);
}

static int run_features(const struct options *options UNUSED, int *out_code UNUSED,
                        struct error *err UNUSED)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };
    CLEANUP(strv_done) struct strv capabilities = {};

    for (int i = 0; i <= capability_last(); i++)
        strv_add(&capabilities, capability_name(i));
    json_begin_dict(&w, NULL);
    json_add_text(&w, "ociVersionMin", "1.0.0");
    json_add_text(&w, "ociVersionMax", "1.2.0");
    add_texts(&w, "hooks",
              "prestart createRuntime createContainer startContainer poststart poststop");
    add_texts(&w, "mountOptions",
              "atime bind defaults dev diratime exec noatime nodev nodiratime noexec norelatime "
              "nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime rexec "
              "rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow "
              "ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow "
              "runbindable rw shared slave strictatime suid symfollow unbindable");
    json_begin_dict(&w, "linux");
    add_texts(&w, "namespaces", "cgroup ipc mount network pid time user uts");
    json_add_strv(&w, "capabilities", &capabilities);
    json_begin_dict(&w, "cgroup");
    json_add_bool(&w, "v1", true);
    json_add_bool(&w, "v2", true);
    json_add_bool(&w, "systemd", false);
    json_add_bool(&w, "systemdUser", false);
    json_add_bool(&w, "rdma", false);
    json_end_dict(&w);
    json_begin_dict(&w, "seccomp");
    json_add_bool(&w, "enabled", true);
    add_texts(&w, "actions",
              "SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS "
              "SCMP_ACT_KILL_THREAD SCMP_ACT_LOG SCMP_ACT_TRACE SCMP_ACT_TRAP");
    add_texts(&w, "operators",
              "SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_LE SCMP_CMP_LT SCMP_CMP_MASKED_EQ "
              "SCMP_CMP_NE");
    json_end_dict(&w);
    const char *const modules[] = { "apparmor", "selinux" };
    for (size_t i = 0; i < COUNT(modules); i++) {
        json_begin_dict(&w, modules[i]);
        json_add_bool(&w, "enabled", true);
        json_end_dict(&w);
    }
    json_begin_dict(&w, "intelRdt");
    json_add_bool(&w, "enabled", false);
    json_end_dict(&w);
    json_begin_dict(&w, "mountExtensions");
    json_begin_dict(&w, "idmap");
    json_add_bool(&w, "enabled", false);
    json_end_dict(&w);
    json_end_dict(&w);
    json_end_dict(&w);
    json_end_dict(&w);
    puts(str_text(&text));
    return 0;
}

/* ---- main ---- */

/* clang-format off */
static const struct {
    const char *name;
    int (*run)(const struct options *options, int *out_code, struct error *err);
    bool makes_processes;
} commands[] = {
    { "create",   run_create,   true  },
    { "delete",   run_delete,   false },
    { "exec",     run_exec,     true  },
    { "features", run_features, false },
    { "kill",     run_kill,     false },
    { "list",     run_list,     false },
    { "pause",    run_pause,    false },
    { "ps",       run_ps,       false },
    { "resume",   run_resume,   false },
    { "run",      run_run,      true  },
    { "start",    run_start,    false },
    { "state",    run_state,    false },
    { "update",   run_update,   false },
};
/* clang-format on */

/* What becomes a container is a copy of this program until it execs: it runs from a read-only
 * mount, so that no container can reach the file through it. */
static int seal(char **argv, struct error *err)
{
    char path[32];

    prctl(PR_SET_NAME, "berth-runtime", 0, 0, 0); /* not the number of a descriptor */
    if (mount_program_is_sealed())
        return 0;
    CLEANUP(close) int fd = mount_program("/proc/self/exe", err);
    if (fd < 0)
        return error_context(err, "cannot seal own program");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    execve(path, argv, environ);
    return error_sys(err, "cannot seal own program");
}

static void tell(const struct options *options, const struct error *err)
{
    CLEANUP(str_done) struct str line = {};
    char now[TIME_TEXT_SIZE];

    fprintf(stderr, "berth-runtime: %s\n", err->text);
    if (!options->log)
        return;
    time_format(clock_wall_ns(), now);
    if (strcmp(options->log_format, "json") == 0) {
        struct json_writer w = { .out = &line };

        json_begin_dict(&w, NULL);
        json_add_text(&w, "level", "error");
        json_add_text(&w, "msg", err->text);
        json_add_text(&w, "time", now);
        json_end_dict(&w);
    } else {
        str_add_format(&line, "time=\"%s\" level=error msg=", now);
        json_quote(&line, err->text, strlen(err->text));
    }
    str_add(&line, "\n");
    CLEANUP(close) int fd = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0)
        fd_write_all(fd, line.data, line.length, NULL);
}

static int dispatch(const struct options *options, char **argv, int *out_code, struct error *err)
{
    if (options->systemd_cgroup)
        return error_set(err, ERROR_UNSUPPORTED,
                         "--systemd-cgroup is not supported: cgroups are made in the file system");
    if (strcmp(options->log_format, "json") != 0 && strcmp(options->log_format, "text") != 0)
        return error_set(err, ERROR_INVALID, "invalid log-format \"%s\"", options->log_format);
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (strcmp(commands[i].name, options->command) != 0)
            continue;
        if (commands[i].makes_processes && seal(argv, err) < 0)
            return -1;
        return commands[i].run(options, out_code, err);
    }
    return error_set(err, ERROR_INVALID, "unknown command \"%s\"", options->command);
}

int main(int argc, char **argv)
{
    CLEANUP(options_done) struct options options = {};
    struct error err = {};
    int code = 0;

    if (options_parse(argc, argv, &options, &err) < 0) {
        tell(&options, &err);
        return EXIT_FAILED;
    }
    if (options.version) {
        printf("berth-runtime version %s\nspec: 1.2.0\n", BERTH_VERSION);
        return 0;
    }
    if (options.help || !options.command) {
        fputs(usage, options.help ? stdout : stderr);
        return options.help ? 0 : EXIT_FAILED;
    }
    if (dispatch(&options, argv, &code, &err) < 0) {
        tell(&options, &err);
        return code ? code : EXIT_FAILED;
    }
    return code;
}
