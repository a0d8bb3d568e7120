/* Each hook gets its state through a pipe, nothing else of ours, and as much time as it has. */
#include "runtime/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "linux/pidfd.h"

#include "base/banned.h"

void hook_state_encode(const struct hook_state *state, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "ociVersion", "1.2.0");
    json_add_text(&w, "id", state->id ? state->id : "");
    json_add_text(&w, "status", state->status);
    if (state->pid)
        json_add_int64(&w, "pid", state->pid);
    json_add_text(&w, "bundle", state->bundle_path ? state->bundle_path : "");
    if (state->annotations && state->annotations->count)
        json_add_texts(&w, "annotations", state->annotations);
    json_end_dict(&w);
}

static int wait_for(const struct runtime_hook *hook, pid_t pid, struct error *err)
{
    CLEANUP(close) int pidfd = pidfd_open_process(pid, err);
    int timeout_ms = hook->timeout_s.is_set && hook->timeout_s.value > 0
                         ? (int)MIN(hook->timeout_s.value, INT32_MAX / 1000) * 1000
                         : -1;
    struct pollfd poller = { .fd = pidfd, .events = POLLIN };
    int code, ready;

    if (pidfd < 0)
        return -1;
    while ((ready = poll(&poller, 1, timeout_ms)) < 0 && errno == EINTR)
        continue;
    if (ready == 0)
        pidfd_signal(pidfd, SIGKILL, NULL);
    if (pidfd_wait(pidfd, &code, err) < 0)
        return -1;
    if (ready == 0)
        return error_set(err, ERROR_INTERNAL, "hook %s ran past timeout of %d s", hook->path,
                         timeout_ms / 1000);
    if (code)
        return error_set(err, ERROR_INTERNAL, "error running hook %s: exit status %d", hook->path,
                         code);
    return 0;
}

static int run_one(const struct runtime_hook *hook, const struct str *state, struct error *err)
{
    static char *no_environment[] = { NULL };
    char *only_path[] = { hook->path, NULL };
    int pipe_fds[2];
    pid_t pid;

    if (text_is_empty(hook->path) || hook->path[0] != '/')
        return error_set(err, ERROR_INVALID, "hook path \"%s\" is not absolute", hook->path ?: "");
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_sys(err, "pipe");
    CLEANUP(close) int read_fd = pipe_fds[0];
    CLEANUP(close) int write_fd = pipe_fds[1];
    /* Room for all of it, so that a hook which does not read cannot hold us up. */
    (void)fcntl(write_fd, F_SETPIPE_SZ, (int)state->length + 1);
    (void)fcntl(write_fd, F_SETFL, O_NONBLOCK);
    struct process_options options = {
        .path = hook->path,
        .arguments = hook->args.count ? hook->args.items : only_path,
        .environment = hook->env.count ? hook->env.items : no_environment,
        .fds = { read_fd, -1, 2 },
        .fd_count = 3,
    };
    if (process_spawn(&options, &pid, err) < 0)
        return error_context(err, "hook");
    signal(SIGPIPE, SIG_IGN);
    if (write(write_fd, state->data, state->length) < 0 && errno != EPIPE) {
        kill(pid, SIGKILL);
        error_sys(err, "write state to hook %s", hook->path);
        wait_for(hook, pid, NULL);
        return -1;
    }
    close(TAKE_FD(write_fd));
    return wait_for(hook, pid, err);
}

int hooks_run(const struct json_list *hooks, const struct hook_state *state, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (hooks->count)
        hook_state_encode(state, &text);
    for (size_t i = 0; i < hooks->count; i++)
        if (run_one(&JSON_ITEMS(hooks, const struct runtime_hook)[i], &text, err) < 0)
            return -1;
    return 0;
}
