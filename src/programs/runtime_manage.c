/* What is known of containers, what is changed while they run, and how they end. */
#include "programs/runtime_command.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/capability.h"
#include "linux/cgroup.h"
#include "linux/pidfd.h"
#include "runtime/limits.h"

#include "base/banned.h"

enum { KILL_LIMIT_MS = 10000, RESOURCES_SIZE_LIMIT = 64 << 20 };

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

int command_state(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (command_load(options, &state, err) < 0)
        return -1;
    print_state(&state, &w);
    puts(str_text(&text));
    return 0;
}

int command_list(const struct options *options, int *out_code UNUSED, struct error *err)
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

int command_kill(const struct options *options, int *out_code UNUSED, struct error *err)
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

int command_delete(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    struct error failure = {};

    if (command_load(options, &state, &failure) < 0) {
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
    struct hook_state hook_state = command_hook_state(&state, "stopped");
    hook_state.pid = 0;
    if (hooks_run(&state.config.hooks.poststop, &hook_state, err) < 0)
        return -1;
    return state_remove(&state, err);
}

static int freeze(const struct options *options, bool frozen, struct error *err)
{
    CLEANUP(state_done) struct state state = {};

    if (command_load(options, &state, err) < 0)
        return -1;
    if (strcmp(state_status(&state), "stopped") == 0 || text_is_empty(state.cgroup_path))
        return error_set(err, ERROR_CONFLICT, "container not running");
    return cgroup_freeze(state.cgroup_path, frozen, err);
}

int command_pause(const struct options *options, int *out_code UNUSED, struct error *err)
{
    return freeze(options, true, err);
}

int command_resume(const struct options *options, int *out_code UNUSED, struct error *err)
{
    return freeze(options, false, err);
}

int command_update(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(str_done) struct str text = {};
    struct runtime_resources resources = {};

    if (!options->resources)
        return error_set(err, ERROR_INVALID, "update: --resources FILE is needed (- for stdin)");
    if (command_load(options, &state, err) < 0)
        return -1;
    if (strcmp(options->resources, "-") == 0
            ? file_read_fd(0, RESOURCES_SIZE_LIMIT, &text, err) < 0
            : file_read(options->resources, RESOURCES_SIZE_LIMIT, &text, err) < 0)
        return -1;
    if (json_decode(runtime_resources_fields, str_text(&text), text.length, &resources, err) < 0)
        return -1;
    int result = limits_update(state.cgroup_path, &resources, err);
    json_fields_done(runtime_resources_fields, &resources);
    return result;
}

int command_ps(const struct options *options, int *out_code UNUSED, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(free) pid_t *pids = NULL;
    size_t count = 0;

    if (command_load(options, &state, err) < 0 ||
        cgroup_pids(state.cgroup_path, &pids, &count, err) < 0)
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

        file_read(path, RESOURCES_SIZE_LIMIT, &line, NULL);
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

int command_features(const struct options *options UNUSED, int *out_code UNUSED,
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
