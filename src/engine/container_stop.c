/* Ending and holding containers: stop, kill, restart, pause. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

enum { DEFAULT_STOP_S = 10, KILL_WAIT_S = 10 };

int container_default_stop(const struct container_info *info)
{
    return info->config.stop_timeout_s.is_set ? (int)info->config.stop_timeout_s.value
                                              : DEFAULT_STOP_S;
}

static int default_signal(const struct container_info *info)
{
    int signal = SIGTERM;

    if (!text_is_empty(info->config.stop_signal))
        signal_parse(info->config.stop_signal, &signal, NULL);
    return signal;
}

void container_mark_stopped(struct container *container)
{
    struct error err = {};

    mutex_lock(&container->lock);
    bool was_marked = container->manually_stopped;
    container->manually_stopped = true;
    mutex_unlock(&container->lock);
    if (was_marked)
        return;
    /* Only this one value: what an operation publishes meanwhile has it too. */
    if (database_run(container->engine->database, &err,
                     "UPDATE container SET state = json_set(state, '$.ManuallyStopped', "
                     "json('true')) WHERE id = ?1",
                     "s", container->id) < 0)
        log_error("cannot record that a container is stopped", "container", container->id, "error",
                  err.text);
}

static int send(struct container *container, const struct container_info *info, int signal,
                struct error *err)
{
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    char text[12];

    if (!shim)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
    if (shim_signal(shim, NULL, signal, err) < 0)
        return -1;
    snprintf(text, sizeof(text), "%d", signal);
    container_event_text(container, info, "kill", "signal", text);
    /* A frozen process takes no signal: SIGKILL is let through by thawing, whoever froze it. */
    if (signal == SIGKILL)
        container_thaw(container, info);
    return 0;
}

/* Waits for the end of the run: 1 ended, 0 not within the time (-1: without end) or called off. */
static int wait_for_end(struct container_waiter *waiter, int timeout_s, int cancel_fd)
{
    struct error ignored;
    int exit_code;

    int timeout_ms = timeout_s < 0 ? -1 : (int)MIN((int64_t)timeout_s * 1000, INT32_MAX);
    return container_waiter_finish_within(waiter, timeout_ms, cancel_fd, &exit_code, NULL,
                                          &ignored) == 0;
}

/* Marks the container as stopped by hand; a restart that waits for its time is called off (1).
 * Waits for a start that is going on, which takes the mark back. */
static int cancel_restart(struct container *container, struct error *err)
{
    if (container_begin_operation(container, err))
        return -1;
    container_mark_stopped(container);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    bool is_waiting = info->state == CONTAINER_RESTARTING;
    if (is_waiting) {
        struct container_info *next = container_info_copy(info);

        next->state = CONTAINER_EXITED;
        container_publish(container, next);
        container_wake_waiters(container, false, info->exit_code, NULL);
    }
    mutex_unlock(&container->operation);
    return is_waiting;
}

/* The second half of a stop whose client went away: SIGKILL when its time is over. */
struct late_kill {
    struct container *container;
    uint64_t run_number;
};

static void drop_late_kill(void *data)
{
    struct late_kill *kill = data;

    container_unref(kill->container);
    free(kill);
}

static uint64_t current_run(struct container *container)
{
    mutex_lock(&container->lock);
    uint64_t run_number = container->run_number;
    mutex_unlock(&container->lock);
    return run_number;
}

static void run_late_kill(void *data)
{
    struct late_kill *kill = data;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(kill->container);
    struct error err = {};

    if (container_is_up(info) && current_run(kill->container) == kill->run_number &&
        send(kill->container, info, SIGKILL, &err) < 0)
        log_warn("cannot kill a container", "container", info->id, "error", err.text);
    drop_late_kill(kill);
}

static void kill_later(struct container *container, uint64_t run_number, uint64_t due_ns)
{
    struct late_kill *kill = NEW(struct late_kill);
    uint64_t now_ns = clock_monotonic_ns();

    *kill = (struct late_kill){ container_ref(container), run_number };
    work_submit(container->engine->work, due_ns > now_ns ? (int64_t)(due_ns - now_ns) : 0,
                run_late_kill, drop_late_kill, kill);
}

static int stop_running(struct container *container, const struct container_info *info, int signal,
                        int timeout_s, int cancel_fd, struct error *err)
{
    struct container_waiter *waiter;
    uint64_t run_number = current_run(container), began_ns = clock_monotonic_ns();

    if (container_wait_begin(container, WAIT_NOT_RUNNING, &waiter, err) < 0)
        return -1;
    struct error sent = {};
    bool was_sent = send(container, info, signal, &sent) == 0;
    if (!was_sent && sent.kind == ERROR_UNAVAILABLE) {
        wait_for_end(waiter, 0, -1);
        error_set(err, sent.kind, "%s", sent.text);
        return error_context(err, "cannot stop container: %s", info->name);
    }
    if (!was_sent)
        timeout_s = 2;
    else if (info->state == CONTAINER_PAUSED) {
        CLEANUP(shim_unref) struct shim *shim = container_shim(container);

        if (shim)
            shim_pause(shim, false, &sent);
    }
    if (wait_for_end(waiter, timeout_s, cancel_fd))
        return 0;
    if (fd_is_readable(cancel_fd)) {
        if (timeout_s >= 0)
            kill_later(container, run_number, began_ns + (uint64_t)timeout_s * NS_PER_S);
        return error_set(err, ERROR_CANCELLED, "the stop was called off");
    }
    if (container_wait_begin(container, WAIT_NOT_RUNNING, &waiter, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);
    if (container_is_up(now))
        send(container, now, SIGKILL, &sent);
    if (!wait_for_end(waiter, KILL_WAIT_S, -1))
        return error_set(err, ERROR_INTERNAL, "container %s did not end after SIGKILL",
                         container->id);
    return 0;
}

static int stop(struct container *container, const char *signal_text, int timeout_s, int cancel_fd,
                struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    int signal = default_signal(info);

    if (!text_is_empty(signal_text) && signal_parse(signal_text, &signal, err) < 0) {
        err->kind = ERROR_INTERNAL;
        return error_context(err, "cannot stop container: %s", info->name);
    }
    int was_waiting = cancel_restart(container, err);
    CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);
    if (was_waiting != 0)
        return was_waiting < 0 ? -1 : 0;
    if (!container_is_up(now))
        return error_set(err, ERROR_NOT_MODIFIED, "container %s is not running", container->id);
    if (stop_running(container, now, signal,
                     timeout_s == -2 ? container_default_stop(now) : timeout_s, cancel_fd, err) < 0)
        return -1;
    container_event(container, now, "stop", NULL);
    return 0;
}

int engine_container_stop(struct engine *engine, const char *text, const char *signal,
                          int timeout_s, int cancel_fd, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    uint64_t began_ns = clock_monotonic_ns();

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    return metrics_note(engine, METRIC_STOP, began_ns,
                        stop(container, signal, timeout_s, cancel_fd, err), err);
}

static int restart(struct container *container, const char *signal, int timeout_s,
                   struct error *err)
{
    struct engine *engine = container->engine;

    if (stop(container, signal, timeout_s, -1, err) < 0 && err->kind != ERROR_NOT_MODIFIED)
        return -1;
    if (engine_container_start(engine, container->id, err) < 0 && err->kind != ERROR_NOT_MODIFIED)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    container_event(container, info, "restart", NULL);
    return 0;
}

int engine_container_restart(struct engine *engine, const char *text, const char *signal,
                             int timeout_s, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    uint64_t began_ns = clock_monotonic_ns();

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    return metrics_note(engine, METRIC_RESTART, began_ns,
                        restart(container, signal, timeout_s, err), err);
}

int engine_container_kill(struct engine *engine, const char *text, const char *signal_text,
                          struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    struct container_waiter *waiter = NULL;
    int signal = SIGKILL;

    if (container_find(engine, text, &container, err) < 0)
        return error_context(err, "cannot kill container: %s", text);
    if (!text_is_empty(signal_text) && signal_parse(signal_text, &signal, err) < 0)
        return error_context(err, "cannot kill container: %s", text);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (info->state == CONTAINER_RESTARTING) {
        int was_waiting = cancel_restart(container, err);
        if (was_waiting != 0)
            return was_waiting < 0 ? -1 : 0;
        /* The start was faster. */
        container_info_unref(info);
        info = container_snapshot(container);
    }
    if (!container_is_up(info)) {
        error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
        return error_context(err, "cannot kill container: %s", text);
    }
    /* A configured stop signal tells ordinary signals from those that mean the end. */
    if (text_is_empty(info->config.stop_signal) || signal == SIGKILL ||
        signal == default_signal(info))
        container_mark_stopped(container);
    if (signal == SIGKILL && container_wait_begin(container, WAIT_NOT_RUNNING, &waiter, err) < 0)
        return -1;
    if (send(container, info, signal, err) < 0) {
        if (waiter)
            wait_for_end(waiter, 0, -1);
        return error_context(err, "cannot kill container: %s", text);
    }
    if (waiter && !wait_for_end(waiter, KILL_WAIT_S, -1))
        return error_set(err, ERROR_INTERNAL,
                         "cannot kill container: %s: it did not end after SIGKILL", text);
    return 0;
}

static void publish_state(struct container *container, const struct container_info *info,
                          enum container_state state, bool is_held)
{
    struct container_info *next = container_info_copy(info);

    next->state = state;
    next->is_held = is_held;
    container_publish(container, next);
}

/* The record calls it paused before it is and until it is no more: after a crash in between, a
 * frozen container that was taken for a running one could not be thawed. Operation held. */
static int freeze(struct container *container, const struct container_info *info, struct shim *shim,
                  enum pause pause, struct error *err)
{
    if (pause != PAUSE_END) {
        publish_state(container, info, CONTAINER_PAUSED, pause == PAUSE_HOLD);
        health_paused(container);
    }
    int result = shim_pause(shim, pause != PAUSE_END, err);
    if ((result == 0) == (pause == PAUSE_END))
        publish_state(container, info, CONTAINER_RUNNING, false);
    return result;
}

int container_pause_locked(struct container *container, enum pause pause, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);

    if (pause == PAUSE_END && info->state != CONTAINER_PAUSED)
        return error_set(err, ERROR_INTERNAL, "Container %s is not paused", container->id);
    if (info->state == CONTAINER_RESTARTING)
        return error_set(err, ERROR_CONFLICT,
                         "Container %s is restarting, wait until the container is running",
                         container->id);
    if (!container_is_up(info) || !shim)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
    if (pause != PAUSE_END && info->state == CONTAINER_PAUSED)
        return error_set(err, ERROR_CONFLICT, "Container %s is already paused", container->id);
    if (freeze(container, info, shim, pause, err) < 0)
        return -1;
    container_event(container, info, pause == PAUSE_END ? "unpause" : "pause", NULL);
    return 0;
}

int container_pause(struct container *container, enum pause pause, struct error *err)
{
    if (container_begin_operation(container, err))
        return -1;
    int result = container_pause_locked(container, pause, err);
    mutex_unlock(&container->operation);
    return result;
}

int engine_container_pause(struct engine *engine, const char *text, bool paused, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    return container_pause(container, paused ? PAUSE_BEGIN : PAUSE_END, err);
}
