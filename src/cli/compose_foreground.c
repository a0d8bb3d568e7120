/* `up` in the foreground: the output of what runs, interrupts, and ends that end all. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/compose_interrupt.h"
#include "cli/compose_up.h"
#include "cli/compose_watch.h"
#include "cli/settings.h"
#include "compose/follower.h"

#include "base/banned.h"

struct foreground {
    const struct up_options *options;
    int event_fd;
    struct mutex lock;
    bool is_over;  /* a container ended that ends all */
    int exit_code; /* of the first that ended */
    bool has_code;
};

static void container_ended(void *data, const char *service, const char *name UNUSED, int code)
{
    struct foreground *front = data;
    const struct up_options *options = front->options;
    const char *from = options->exit_code_from;

    mutex_lock(&front->lock);
    if (from ? strcmp(from, service) == 0 : !front->has_code) {
        front->exit_code = code;
        front->has_code = true;
    }
    if (options->abort_on_exit || from || (options->abort_on_failure && code))
        front->is_over = true;
    mutex_unlock(&front->lock);
    eventfd_write(front->event_fd, 1);
}

/* What runs by now. */
static int read_again(struct cli *cli, struct compose_session *session, struct error *err)
{
    actual_done(&session->actual);
    session->actual = (struct actual){};
    return actual_read_containers(cli->client, session->project.name, &session->actual, err);
}

static int kill_all(struct cli *cli, const char *project, struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = { .is_attached = true };
    struct compose_action action = {
        .fits = actual_is_running, .act = step_container_kill, .begins = "Killing", .ends = "Killed"
    };

    session.project.name = xstrdup(project);
    return read_again(cli, &session, err) < 0 ? -1
                                              : compose_each(cli, &session, NULL, &action, err);
}

struct stopping {
    struct cli *cli;
    struct compose_session *session;
    const struct optional_int64 *timeout_s;
    int event_fd;
};

static void *stop_in_background(void *data)
{
    struct stopping *stopping = data;
    struct error unheard = {};

    if (read_again(stopping->cli, stopping->session, &unheard) == 0)
        compose_stop_in_order(stopping->cli, stopping->session, NULL, stopping->timeout_s,
                              &unheard);
    eventfd_write(stopping->event_fd, 1);
    return NULL;
}

/* Stops everything and shows what that leads to; a further interrupt kills what still runs. */
static int end_all(struct cli *cli, struct compose_session *session,
                   const struct up_options *options, struct follower *follower, int signal_fd,
                   struct error *err)
{
    CLEANUP(close) int done_fd = eventfd(0, EFD_CLOEXEC);
    struct stopping stopping = {
        .cli = cli, .session = session, .timeout_s = &options->timeout, .event_fd = done_fd
    };
    pthread_t thread;

    if (done_fd < 0)
        return error_sys(err, "eventfd");
    session->is_attached = true;
    if (thread_start("stop", stop_in_background, &stopping, &thread, err) < 0)
        return -1;
    for (;;) {
        struct pollfd fds[] = { { .fd = done_fd, .events = POLLIN },
                                { .fd = signal_fd, .events = POLLIN } };
        struct signalfd_siginfo info;

        if (poll(fds, COUNT(fds), -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents)
            break;
        if (fds[1].revents && read(signal_fd, &info, sizeof(info)) > 0) {
            struct error unheard;

            kill_all(cli, session->project.name, &unheard);
        }
    }
    pthread_join(thread, NULL);
    follower_finish(follower);
    return 0;
}

static void print_attached(const struct follower_options *shown,
                           const struct compose_session *session)
{
    CLEANUP(strv_done) struct strv names = {};
    const struct yaml *services = yaml_get(session->project.model, "services");

    for (size_t i = 0; i < yaml_count(services); i++) {
        int scale = project_scale(services->items[i]);
        const char *given = yaml_text(yaml_get(services->items[i], "container_name"));

        if ((shown->hidden && strv_contains(shown->hidden, services->keys[i])) ||
            (shown->services && shown->services->count &&
             !strv_contains(shown->services, services->keys[i])))
            continue;
        for (int n = 1; n <= scale; n++)
            if (given)
                strv_add(&names, given);
            else
                strv_add_format(&names, "%s-%d", services->keys[i], n);
    }
    CLEANUP(free) char *list = strv_join(&names, ", ");
    printf("Attaching to %s\n", list);
    fflush(stdout);
}

struct attaching {
    const struct follower_options *shown;
    const struct compose_session *session;
    struct compose_interrupt interrupt;
};

static void attach(void *data)
{
    struct attaching *attaching = data;

    atomic_store(&attaching->interrupt.has_begun, true);
    print_attached(attaching->shown, attaching->session);
}

/* Services whose output is not wanted: --no-attach, "attach: false", and dependencies that were not
 * named. */
static void find_hidden(const struct project *project, const struct up_options *options,
                        const struct strv *named, struct strv *out)
{
    const struct yaml *services = yaml_get(project->model, "services");

    strv_add_all(out, &options->no_attach);
    for (size_t i = 0; i < yaml_count(services); i++) {
        const struct yaml *attach = yaml_get(services->items[i], "attach");

        if ((attach && !yaml_is_true(attach)) || (named->count && !options->attach_dependencies &&
                                                  !strv_contains(named, services->keys[i])))
            strv_add(out, services->keys[i]);
    }
}

static int watch_foreground(struct cli *cli, struct compose_session *session,
                            const struct up_options *options, struct follower *follower,
                            struct foreground *front, int signal_fd, struct error *err)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = front->event_fd, .events = POLLIN },
                                { .fd = signal_fd, .events = POLLIN } };
        struct signalfd_siginfo info;
        eventfd_t unused;

        if (poll(fds, COUNT(fds), -1) < 0 && errno != EINTR)
            return error_sys(err, "poll");
        if (fds[1].revents && read(signal_fd, &info, sizeof(info)) > 0) {
            compose_interrupt_say();
            cli->exit_code = EXIT_INTERRUPTED;
            return end_all(cli, session, options, follower, signal_fd, err);
        }
        if (!fds[0].revents)
            continue;
        eventfd_read(front->event_fd, &unused);
        mutex_lock(&front->lock);
        bool is_over = front->is_over;
        int code = front->exit_code;
        mutex_unlock(&front->lock);
        if (is_over) {
            fprintf(stderr, "Aborting on container exit...\n");
            cli->exit_code = code;
            return end_all(cli, session, options, follower, signal_fd, err);
        }
        if (follower_running(follower) <= 0)
            return 0;
    }
}

/* ---- --watch ---- */

#define WATCH_END_NS NS_PER_S

struct watching {
    struct cli *cli;
    const struct project *project;
    const struct strv *named;
    int stop_fd;
    struct mutex lock;
    struct condition changed;
    bool is_over;
};

static void *watch_files(void *data)
{
    struct watching *watching = data;
    struct compose_watch_options options = { .prune = true, .stop_fd = watching->stop_fd };
    struct error err = {};

    if (compose_watch_run(watching->cli, watching->project, watching->named, &options, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    mutex_lock(&watching->lock);
    watching->is_over = true;
    condition_broadcast(&watching->changed);
    mutex_unlock(&watching->lock);
    return NULL;
}

/* A thread in the middle of a build is not waited for: the process ends under it, and the engine
 * gives the build up. */
static void end_watching(struct watching *watching, int exit_code)
{
    uint64_t deadline_ns = clock_monotonic_ns() + WATCH_END_NS;
    bool is_over;

    eventfd_write(watching->stop_fd, 1);
    mutex_lock(&watching->lock);
    while (!watching->is_over &&
           condition_wait_until(&watching->changed, &watching->lock, deadline_ns))
        continue;
    is_over = watching->is_over;
    mutex_unlock(&watching->lock);
    if (!is_over) {
        fflush(NULL);
        _exit(exit_code);
    }
    condition_done(&watching->changed);
    mutex_done(&watching->lock);
    close(watching->stop_fd);
}

/* The output of the containers, and the files meanwhile. */
static int watch_both(struct cli *cli, struct compose_session *session,
                      const struct up_options *options, const struct strv *named,
                      struct follower *follower, struct foreground *front, int signal_fd,
                      struct error *err)
{
    struct watching watching = {
        .cli = cli, .project = &session->project, .named = named, .stop_fd = eventfd(0, EFD_CLOEXEC)
    };

    if (watching.stop_fd < 0)
        return error_sys(err, "eventfd");
    mutex_init(&watching.lock);
    condition_init(&watching.changed);
    if (thread_start_detached("watch", watch_files, &watching, err) < 0)
        return -1;
    int result = watch_foreground(cli, session, options, follower, front, signal_fd, err);
    end_watching(&watching, result < 0 ? 1 : cli->exit_code);
    return result;
}

/* Makes and starts what is to run, and shows it until it ends. */
static int run(struct cli *cli, struct compose_session *session, const struct up_options *options,
               const struct strv *named, const struct follower_options *shown,
               struct follower *follower, struct foreground *front, int signal_fd,
               struct error *err)
{
    struct attaching attaching = { .shown = shown, .session = session };
    struct up_options own = *options;

    own.hand_over = attach;
    own.hand_over_data = &attaching;
    own.is_called_off = &attaching.interrupt.is_called_off;
    if (compose_interrupt_watch(&attaching.interrupt, signal_fd, err) < 0)
        return -1;
    int result = compose_converge(cli, session, &own, named, err);
    compose_interrupt_end(&attaching.interrupt);
    if (attaching.interrupt.is_called_off) {
        cli->exit_code = EXIT_INTERRUPTED;
        return end_all(cli, session, options, follower, signal_fd, err);
    }
    if (result < 0)
        return -1;
    if (options->watch)
        return watch_both(cli, session, options, named, follower, front, signal_fd, err);
    return watch_foreground(cli, session, options, follower, front, signal_fd, err);
}

int compose_run_foreground(struct cli *cli, struct compose_session *session,
                           const struct up_options *options, const struct strv *named,
                           struct error *err)
{
    /* What threads use that live until the process ends. */
    struct log_printer *printer = NEW(struct log_printer);
    struct foreground *front = NEW(struct foreground);
    struct client *client = NULL;
    struct follower *follower = NULL;
    CLEANUP(strv_done) struct strv hidden = {};
    int64_t now_ns = clock_wall_ns();
    CLEANUP(free) char *since = time_format_unix(now_ns);
    sigset_t signals;

    *front = (struct foreground){ .options = options, .event_fd = eventfd(0, EFD_CLOEXEC) };
    mutex_init(&front->lock);
    log_printer_init(printer);
    printer->no_prefix = options->no_log_prefix;
    printer->timestamps = options->timestamps;
    printer->has_colors = !options->no_color && compose_has_colors(cli, STDOUT_FILENO);
    find_hidden(&session->project, options, named, &hidden);
    struct follower_options wish = { .project = session->project.name,
                                     .services = &options->attach,
                                     .hidden = &hidden,
                                     .since = since,
                                     .says_ends = true,
                                     .ended = container_ended,
                                     .data = front };
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signal_fd < 0 || front->event_fd < 0)
        return error_sys(err, "signalfd");
    if (settings_connect(&client, err) < 0 ||
        follower_start(client, printer, &wish, &follower, err) < 0)
        return -1;
    for (size_t i = 0; i < session->actual.count; i++)
        if (!session->actual.containers[i].is_oneoff &&
            actual_is_running(&session->actual.containers[i]))
            follower_add(follower, &session->actual.containers[i]);
    int result = run(cli, session, options, named, &wish, follower, front, signal_fd, err);
    follower_end(follower);
    return result;
}
