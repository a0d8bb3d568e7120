/* Further processes in a container that runs. */
#include "programs/runtime_command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/pidfd.h"
#include "programs/runtime_console.h"

#include "base/banned.h"

enum { PROCESS_SIZE_LIMIT = 64 << 20, EXIT_EXEC_FAILED = 255 };

static int read_process(const char *path, struct runtime_process *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, PROCESS_SIZE_LIMIT, &text, err) < 0)
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

    if (command_check_terminal(options, process->terminal, options->detach, err) < 0 ||
        command_preserve_count(options, &wish.preserve_fd_count, err) < 0 ||
        command_compile_seccomp(&state->config, &filter, &program, err) < 0)
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
    if (command_write_pid_file(options->pid_file, container.pid, err) < 0)
        return -1;
    return options->detach ? 0 : console_wait(&container, signal_fd, out_code, err);
}

int command_exec(const struct options *options, int *out_code, struct error *err)
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
