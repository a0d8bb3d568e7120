/* compose watch. Changes are gathered until it is quiet for a moment, then each service gets what
 * its rules say: a rebuild makes everything else needless; files are copied before a restart. */
#include "cli/compose_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_image.h"
#include "cli/compose_up.h"
#include "cli/context.h"
#include "cli/file_watch.h"
#include "codec/tar.h"
#include "compose/watch_rule.h"

#include "base/banned.h"

enum { QUIET_MS = 100, GATHER_LIMIT_MS = 2000, EXIT_INTERRUPTED = 130 };

struct watcher {
    struct cli *cli;
    const struct project *project;
    const struct compose_watch_options *options;
    struct watch_rules rules;
    struct file_watch *files;
};

static bool skips(void *data, const char *directory)
{
    const struct watcher *watcher = data;

    return watch_rules_skip(&watcher->rules, directory);
}

static void say(const struct watcher *watcher, const char *format, ...) PRINTF(2, 3);
static void say(const struct watcher *watcher, const char *format, ...)
{
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    if (watcher->options->quiet)
        return;
    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    printf("%s\n", str_text(&text));
    fflush(stdout);
}

/* ---- files into containers ---- */

/* What is there goes into an archive under its place in the container, what is not into 'gone'. */
static int pack(const struct watch_rule *rule, const struct map *paths, struct tar_writer *writer,
                struct strv *gone, size_t *out_count, struct error *err)
{
    *out_count = 0;
    MAP_EACH (paths, entry) {
        const char *path = entry->key;
        struct stat status;

        if (!watch_rule_matches(rule, path))
            continue;
        CLEANUP(free) char *target = watch_rule_target(rule, path);
        bool is_there = lstat(path, &status) == 0;
        if (strcmp(path, rule->path) == 0 && (!is_there || S_ISDIR(status.st_mode)))
            continue; /* the top itself */
        if (!is_there)
            strv_add(gone, target);
        else if (context_add_file(writer, AT_FDCWD, path, target + 1, &status, err) < 0)
            return -1;
        (*out_count)++;
    }
    return tar_writer_finish(writer, err);
}

static int upload(struct client *client, const char *id, int fd, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind");
    CLEANUP(stream_close) struct stream *body = stream_from_fd(fd, 0);
    client_path_begin(&path, "/containers/%s/archive", id);
    client_path_query(&path, "path", "/");
    return client_stream(client, "PUT", &path, NULL, body, "application/x-tar", &response, err);
}

static int remove_gone(struct client *client, const char *id, const struct strv *gone,
                       struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *hooks = yaml_new(YAML_LIST);
    struct yaml *hook = yaml_new(YAML_DICT), *command = yaml_new(YAML_LIST);

    yaml_add(command, yaml_new_text("rm"));
    yaml_add(command, yaml_new_text("-rf"));
    yaml_add(command, yaml_new_text("--"));
    for (size_t i = 0; i < gone->count; i++)
        yaml_add(command, yaml_new_text(gone->items[i]));
    yaml_set(hook, "command", command);
    yaml_set(hook, "user", yaml_new_text("0"));
    yaml_add(hooks, hook);
    return gone->count ? hook_run_all(client, id, hooks, err) : 0;
}

/* Gives how many paths were copied or removed. */
static int sync_rule(const struct watcher *watcher, const struct watch_rule *rule,
                     const struct map *paths, const struct actual *actual, struct error *err)
{
    CLEANUP(close) int fd = open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CLEANUP(strv_done) struct strv gone = {};
    size_t count;

    if (fd < 0)
        return error_sys(err, "make a file in " P_tmpdir);
    CLEANUP(stream_close) struct stream *stream = stream_from_fd(fd, 0);
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(stream, false, err);
    if (!writer || pack(rule, paths, writer, &gone, &count, err) < 0)
        return -1;
    if (!count)
        return 0;
    say(watcher, "Syncing service \"%s\" after %zu changes were detected", rule->service, count);
    for (size_t i = 0; i < actual->count; i++) {
        const struct actual_container *container = &actual->containers[i];

        if (container->is_oneoff || strcmp(container->service, rule->service) != 0 ||
            !actual_is_running(container))
            continue;
        if (remove_gone(watcher->cli->client, container->id, &gone, err) < 0 ||
            (count > gone.count && upload(watcher->cli->client, container->id, fd, err) < 0))
            return -1;
    }
    return (int)count;
}

static int run_exec(const struct watcher *watcher, const struct watch_rule *rule,
                    const struct actual *actual, struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *hooks = yaml_new(YAML_LIST);

    yaml_add(hooks, yaml_clone(yaml_get(rule->trigger, "exec")));
    for (size_t i = 0; i < actual->count; i++)
        if (!actual->containers[i].is_oneoff &&
            strcmp(actual->containers[i].service, rule->service) == 0 &&
            actual_is_running(&actual->containers[i]) &&
            hook_run_all(watcher->cli->client, actual->containers[i].id, hooks, err) < 0)
            return -1;
    return 0;
}

/* ---- what a batch of changes leads to ---- */

/* An image that a rebuild took the name from. The engine keeps it if something still needs it. */
static void prune(const struct watcher *watcher, const char *image_id)
{
    CLEANUP(client_path_done) struct client_path path = {};
    struct error unheard;

    client_path_begin(&path, "/images/%s", image_id);
    client_call(watcher->cli->client, "DELETE", &path, NULL, NULL, &unheard);
}

static int rebuild(const struct watcher *watcher, const char *service, struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(free) char *old = NULL, *now = NULL;
    struct up_options wish = { .build = true, .no_deps = true, .quiet_build = true };

    say(watcher, "Rebuilding service(s) [\"%s\"] after changes were detected...", service);
    strv_add(&names, service);
    if (compose_open_selected(watcher->cli, &names, true, &session, err) < 0)
        return -1;
    CLEANUP(free) char *image = project_image_name(&session.project, service);
    if (compose_image_id(watcher->cli, image, &old, err) < 0 ||
        compose_converge(watcher->cli, &session, &wish, &names, err) < 0 ||
        compose_image_id(watcher->cli, image, &now, err) < 0)
        return -1;
    if (watcher->options->prune && old && !text_equal(old, now))
        prune(watcher, old);
    say(watcher, "service(s) [\"%s\"] successfully built", service);
    return 0;
}

static int restart(const struct watcher *watcher, const char *service, struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv names = {};
    struct compose_action action = { .act = step_container_restart,
                                     .begins = "Restarting",
                                     .ends = "Started" };

    strv_add(&names, service);
    if (compose_open_selected(watcher->cli, &names, true, &session, err) < 0 ||
        compose_each(watcher->cli, &session, &names, &action, err) < 0)
        return -1;
    say(watcher, "service(s) [\"%s\"] restarted", service);
    return 0;
}

static bool is_touched(const struct watch_rule *rule, const struct map *paths)
{
    MAP_EACH (paths, entry)
        if (watch_rule_matches(rule, entry->key))
            return true;
    return false;
}

/* All rules of one service. */
static int handle_service(const struct watcher *watcher, const char *service,
                          const struct map *paths, const struct actual *actual, struct error *err)
{
    bool needs_restart = false;

    for (size_t i = 0; i < watcher->rules.count; i++)
        if (strcmp(watcher->rules.items[i].service, service) == 0 &&
            watcher->rules.items[i].action == WATCH_REBUILD &&
            is_touched(&watcher->rules.items[i], paths))
            return rebuild(watcher, service, err);
    for (size_t i = 0; i < watcher->rules.count; i++) {
        const struct watch_rule *rule = &watcher->rules.items[i];
        int count = 0;

        if (strcmp(rule->service, service) != 0 || !is_touched(rule, paths))
            continue;
        if (rule->target)
            count = sync_rule(watcher, rule, paths, actual, err);
        if (count < 0 ||
            (count && rule->action == WATCH_SYNC_EXEC && run_exec(watcher, rule, actual, err) < 0))
            return -1;
        needs_restart |= rule->action == WATCH_RESTART ||
                         (count && rule->action == WATCH_SYNC_RESTART);
    }
    return needs_restart ? restart(watcher, service, err) : 0;
}

static void handle(const struct watcher *watcher, const struct map *paths)
{
    const struct yaml *services = yaml_get(watcher->project->model, "services");
    CLEANUP(actual_done) struct actual actual = {};
    struct error err = {};

    if (!paths->count)
        return;
    if (actual_read_containers(watcher->cli->client, watcher->project->name, &actual, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    for (size_t i = 0; i < yaml_count(services); i++)
        if (handle_service(watcher, services->keys[i], paths, &actual, &err) < 0)
            fprintf(stderr, "service \"%s\": %s\n", services->keys[i], err.text);
}

/* ---- the loop ---- */

/* 1: something changed, 0: quiet, or time to end (then *out_is_over). */
static int wait_for_change(const struct watcher *watcher, int timeout_ms, bool *out_is_over,
                           struct error *err)
{
    struct pollfd fds[] = { { .fd = file_watch_fd(watcher->files), .events = POLLIN },
                            { .fd = watcher->options->stop_fd, .events = POLLIN } };

    if (poll(fds, COUNT(fds), timeout_ms) < 0 && errno != EINTR)
        return error_sys(err, "poll");
    *out_is_over = fds[1].revents != 0;
    return fds[0].revents != 0 && !*out_is_over;
}

/* Adds changes until nothing comes for a moment. */
static int gather(const struct watcher *watcher, struct map *paths, bool *out_is_over,
                  struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + GATHER_LIMIT_MS * NS_PER_MS;
    int more = 1;

    while (more > 0 && clock_monotonic_ns() < end_ns) {
        if (file_watch_read(watcher->files, paths, err) < 0)
            return -1;
        more = wait_for_change(watcher, QUIET_MS, out_is_over, err);
    }
    return more < 0 ? -1 : 0;
}

/* initial_sync: everything that is there counts as changed. */
static void sync_at_first(const struct watcher *watcher)
{
    CLEANUP(actual_done) struct actual actual = {};
    CLEANUP(map_done) struct map paths = {};
    struct error err = {};

    map_init_empty(&paths, NULL);
    if (actual_read_containers(watcher->cli->client, watcher->project->name, &actual, &err) < 0 ||
        file_watch_list(watcher->files, &paths, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    for (size_t i = 0; i < watcher->rules.count; i++) {
        const struct watch_rule *rule = &watcher->rules.items[i];

        if (!rule->target || !yaml_is_true(yaml_get(rule->trigger, "initial_sync")))
            continue;
        if (sync_rule(watcher, rule, &paths, &actual, &err) < 0)
            fprintf(stderr, "service \"%s\": %s\n", rule->service, err.text);
    }
}

static int watch_until_over(struct watcher *watcher, struct error *err)
{
    bool is_over = false;

    for (size_t i = 0; i < watcher->rules.count; i++)
        if (file_watch_add(watcher->files, watcher->rules.items[i].path, err) < 0)
            return -1;
    sync_at_first(watcher);
    say(watcher, "Watch enabled");
    while (!is_over) {
        CLEANUP(map_done) struct map paths = {};
        int changed = wait_for_change(watcher, -1, &is_over, err);

        map_init_empty(&paths, NULL);
        if (changed < 0 || (changed && gather(watcher, &paths, &is_over, err) < 0))
            return -1;
        handle(watcher, &paths);
    }
    return 0;
}

int compose_watch_run(struct cli *cli, const struct project *project, const struct strv *services,
                      const struct compose_watch_options *options, struct error *err)
{
    struct cli own = *cli; /* What a failed build says of the exit code is not the end's. */
    struct watcher watcher = { .cli = &own, .project = project, .options = options };
    CLEANUP(strv_done) struct strv warnings = {};
    int result = watch_rules_read(project, services, &watcher.rules, &warnings, err);

    compose_warn(&warnings);
    if (result == 0)
        result = file_watch_open(skips, &watcher, &watcher.files, err);
    if (result == 0)
        result = watch_until_over(&watcher, err);
    file_watch_close(watcher.files);
    watch_rules_done(&watcher.rules);
    return result;
}

/* ---- the command ---- */

struct watch_options {
    bool no_up, prune, quiet;
};

/* clang-format off */
static const struct option_row rows[] = {
    { 0, "no-up", OPTION_BOOL, offsetof(struct watch_options, no_up), "Do not build and start the services first" },
    { 0, "prune", OPTION_BOOL, offsetof(struct watch_options, prune), "Remove images that lost their name by a rebuild", .initially_true = true },
    { 0, "quiet", OPTION_BOOL, offsetof(struct watch_options, quiet), "Print nothing of builds and copies" },
    {},
};
/* clang-format on */

static int watch(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct watch_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    struct up_options wish = { .build = true, .quiet_build = options->quiet };
    sigset_t signals;

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (compose_open_selected(cli, arguments, false, &session, err) < 0 ||
        (!options->no_up && compose_converge(cli, &session, &wish, arguments, err) < 0))
        return -1;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    CLEANUP(close) int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signal_fd < 0)
        return error_sys(err, "signalfd");
    struct compose_watch_options way = { .quiet = options->quiet,
                                         .prune = options->prune,
                                         .stop_fd = signal_fd };
    if (compose_watch_run(cli, &session.project, arguments, &way, err) < 0)
        return -1;
    cli->exit_code = EXIT_INTERRUPTED;
    return 0;
}

const struct command command_compose_watch = {
    .name = "watch",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Copy, build or restart as files change",
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct watch_options),
    .run = watch,
};
