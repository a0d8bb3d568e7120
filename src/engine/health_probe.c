/* Probes: when they are due, what they say, and how they end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/golang.h"
#include "engine/internal.h"

#include "base/banned.h"

enum {
    EXIT_GRACE_S = 10, /* for the supervisor to tell of the end of a probe whose time is over */
    READ_SIZE = 16 * 1024,
};
#define OUTPUT_GRACE_NS (1 * NS_PER_S) /* for the end of the output behind the exit */

enum phase { PHASE_WAITING, PHASE_STARTING, PHASE_RUNNING, PHASE_ENDING };

/* One container that has a check and runs. Under the lock of the probes. */
struct watch {
    struct list link;
    struct container *container;
    uint64_t run_number;
    int reference_count;
    bool is_ended; /* taken off the list: what a job still brings is dropped */
    enum phase phase;
    uint64_t due_ns; /* WAITING: the next probe; RUNNING: the end of patience */
    char exec_id[ID_LENGTH + 1];
    int output_fd; /* -1: it has ended */
    struct buf output;
    uint64_t began_ns;
    int64_t started_ns;
    bool was_paused, has_exited;
    int exit_code;
};

struct health_probes {
    struct engine *engine;
    struct mutex lock;
    struct list watches GUARDED_BY(lock);
    struct work_queue *work GUARDED_BY(lock); /* both made with the first watch */
    pthread_t thread;
    bool has_thread GUARDED_BY(lock);
    bool is_ending GUARDED_BY(lock);
    int wake_fd;   /* something changed */
    int cancel_fd; /* readable from the end on: a stop that is waited for goes on without us */
    atomic_llong probe_count, failure_count;
};

static void watch_unref_locked(struct watch *watch)
{
    if (--watch->reference_count > 0)
        return;
    if (watch->output_fd >= 0)
        close(watch->output_fd);
    buf_done(&watch->output);
    container_unref(watch->container);
    free(watch);
}

static void drop_watch(void *data)
{
    struct watch *watch = data;
    struct health_probes *probes = watch->container->engine->health;

    mutex_lock(&probes->lock);
    watch_unref_locked(watch);
    mutex_unlock(&probes->lock);
}

static void wake(struct health_probes *probes)
{
    eventfd_write(probes->wake_fd, 1);
}

static void submit_locked(struct health_probes *probes, struct watch *watch,
                          void (*run)(void *data)) REQUIRES(probes->lock)
{
    watch->reference_count++;
    work_submit(probes->work, 0, run, drop_watch, watch);
}

/* ---- the end of a probe ---- */

/* The output, less what text cannot hold, with room for a sentence in front of it. */
static char *output_text(const struct buf *output)
{
    char *text = xmalloc(output->size + 1);
    size_t length = 0;

    for (size_t i = 0; i < output->size; i++)
        if (buf_bytes(output)[i])
            text[length++] = (char)buf_bytes(output)[i];
    text[length] = 0;
    return text;
}

static char *timeout_text(const struct health_config *config, const char *output)
{
    CLEANUP(str_done) struct str duration = {};

    go_add_duration(&duration, health_timeout_ns(config));
    return xasprintf("Health check exceeded timeout (%s)%s%s", str_text(&duration),
                     *output ? ": " : "", output);
}

/* Its own word for what is to be done with a container that became unhealthy. */
static void act_on_failure(struct container *container, const char *action)
{
    struct health_probes *probes = container->engine->health;
    struct error err = {};
    int result = 0;

    if (text_is_empty(action) || strcmp(action, "none") == 0)
        return;
    log_info("a container is unhealthy", "container", container->id, "action", action);
    if (strcmp(action, "restart") == 0) {
        result = engine_container_restart(container->engine, container->id, NULL, -2, &err);
    } else if (strcmp(action, "stop") == 0) {
        result = engine_container_stop(container->engine, container->id, NULL, -2,
                                       probes->cancel_fd, &err);
    } else {
        /* As if it had crashed: its restart policy decides what follows. */
        CLEANUP(shim_unref) struct shim *shim = container_shim(container);
        CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);

        result = shim ? shim_signal(shim, NULL, SIGKILL, &err) : 0;
        if (shim && result == 0)
            container_event_text(container, info, "kill", "signal", "9");
    }
    if (result < 0 && err.kind != ERROR_NOT_MODIFIED && err.kind != ERROR_CANCELLED)
        log_warn("cannot act on a failed health check", "container", container->id, "error",
                 err.text);
}

/* Folds the result into what is known, tells of a change, acts on it. */
static void settle(struct watch *watch, const struct health_result *result)
{
    struct container *container = watch->container;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    const struct health_config *config = info->config.healthcheck;

    if (!info->health || !config)
        return;
    CLEANUP(health_unref)
    struct container_health *next = health_after(info->health, config, result,
                                                 result->started_ns - info->started_ns);
    bool has_changed = strcmp(next->status, info->health->status) != 0;
    bool is_new = has_changed || next->failing_streak != info->health->failing_streak;
    if (!container_set_health(container, watch->run_number, next))
        return;
    if (is_new)
        container_record_health(container);
    if (!has_changed)
        return;
    CLEANUP(free) char *action = xasprintf("health_status: %s", next->status);
    container_event(container, info, action, NULL);
    if (strcmp(next->status, "unhealthy") == 0)
        act_on_failure(container, info->host_config.health_on_failure);
}

static void wait_for_next_locked(struct watch *watch)
{
    CLEANUP(container_info_unref)
    struct container_info *info = container_snapshot(watch->container);

    watch->phase = PHASE_WAITING;
    watch->due_ns = UINT64_MAX;
    if (info->health && info->config.healthcheck)
        watch->due_ns = clock_monotonic_ns() +
                        (uint64_t)health_interval_ns(info->config.healthcheck, info->health,
                                                     clock_wall_ns() - info->started_ns);
}

/* A probe that fails because its container ends says nothing of its health. */
static bool still_runs(struct container *container)
{
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    struct shim_status status = {};
    struct error ignored;

    return shim && (shim_get_status(shim, &status, &ignored) < 0 || status.is_running);
}

/* Ends the probe with that text (NULL: its output) and plans the next. */
static void finish(struct health_probes *probes, struct watch *watch, int exit_code,
                   const char *text)
{
    CLEANUP(free) char *output = output_text(&watch->output);
    struct health_result result = { .started_ns = watch->started_ns,
                                    .ended_ns = clock_wall_ns(),
                                    .exit_code = exit_code,
                                    .output = text ? (char *)text : output };
    /* Nor does one that was held with its container. */
    bool counts = exit_code == 0 || (!watch->was_paused && still_runs(watch->container));

    if (watch->exec_id[0])
        exec_forget(probes->engine, watch->exec_id);
    mutex_lock(&probes->lock);
    bool is_ended = watch->is_ended;
    mutex_unlock(&probes->lock);
    if (!is_ended && counts) {
        atomic_fetch_add(&probes->probe_count, 1);
        if (exit_code != 0)
            atomic_fetch_add(&probes->failure_count, 1);
        settle(watch, &result);
    }
    mutex_lock(&probes->lock);
    wait_for_next_locked(watch);
    watch_unref_locked(watch);
    mutex_unlock(&probes->lock);
    wake(probes);
}

static void run_end(void *data)
{
    struct watch *watch = data;
    struct health_probes *probes = watch->container->engine->health;
    CLEANUP(container_info_unref)
    struct container_info *info = container_snapshot(watch->container);
    const struct health_config *config = info->config.healthcheck;
    CLEANUP(free) char *output = output_text(&watch->output);
    CLEANUP(free) char *text = NULL;
    uint64_t took_ns = clock_monotonic_ns() - watch->began_ns;
    /* The supervisor kills what takes too long, and only then. */
    bool is_late = !watch->has_exited || (watch->exit_code == 128 + SIGKILL && config &&
                                          took_ns >= (uint64_t)health_timeout_ns(config));

    if (is_late && config)
        text = timeout_text(config, output);
    finish(probes, watch, is_late ? -1 : watch->exit_code, text);
}

/* ---- the start of a probe ---- */

static int start(struct watch *watch, const struct container_info *info, struct error *err)
{
    struct engine *engine = watch->container->engine;
    const struct health_config *config = info->config.healthcheck;
    struct exec_config wish = {};
    struct shim_stream_options streams = { .stdout_wanted = true,
                                           .stderr_wanted = true,
                                           .lifetime_ms = MAX(health_timeout_ns(config) / NS_PER_MS,
                                                              1) };
    char id[ID_LENGTH + 1];
    int pair[2];

    health_command(config, &info->config.shell, &wish.cmd);
    int result = engine_exec_create(engine, watch->container->id, &wish, id, err);
    strv_done(&wish.cmd);
    if (result < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        exec_forget(engine, id);
        return error_sys(err, "make a socket pair");
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    mutex_lock(&engine->health->lock);
    memcpy(watch->exec_id, id, sizeof(id)); /* before the process can end */
    watch->output_fd = pair[0];
    mutex_unlock(&engine->health->lock);
    return engine_exec_start(engine, id, NULL, pair[1], &streams, err);
}

static void reset_locked(struct watch *watch)
{
    watch->exec_id[0] = 0;
    watch->has_exited = watch->was_paused = false;
    buf_clear(&watch->output);
    if (watch->output_fd >= 0)
        close(watch->output_fd);
    watch->output_fd = -1;
    watch->began_ns = clock_monotonic_ns();
    watch->started_ns = clock_wall_ns();
}

static void run_start(void *data)
{
    struct watch *watch = data;
    struct health_probes *probes = watch->container->engine->health;
    CLEANUP(container_info_unref)
    struct container_info *info = container_snapshot(watch->container);
    struct error err = {};

    mutex_lock(&probes->lock);
    reset_locked(watch);
    bool is_ended = watch->is_ended;
    mutex_unlock(&probes->lock);
    if (is_ended || info->state != CONTAINER_RUNNING || !info->config.healthcheck) {
        mutex_lock(&probes->lock);
        wait_for_next_locked(watch);
        watch_unref_locked(watch);
        mutex_unlock(&probes->lock);
        wake(probes);
        return;
    }
    if (start(watch, info, &err) < 0) {
        /* The socket may hold the same words; they are not output of the probe. */
        finish(probes, watch, -1, err.text);
        return;
    }
    mutex_lock(&probes->lock);
    watch->phase = PHASE_RUNNING;
    watch->due_ns = clock_monotonic_ns() + (uint64_t)(health_timeout_ns(info->config.healthcheck) +
                                                      EXIT_GRACE_S * NS_PER_S);
    watch_unref_locked(watch);
    mutex_unlock(&probes->lock);
    wake(probes);
}

/* ---- the thread ---- */

/* Takes what there is; all but the first bytes is dropped, so that no probe waits for us. */
static void read_output(struct watch *watch)
{
    char bytes[READ_SIZE];
    ssize_t size;

    while ((size = recv(watch->output_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        size_t room = HEALTH_OUTPUT_LIMIT - watch->output.size;

        buf_add(&watch->output, bytes, MIN(room, (size_t)size));
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(watch->output_fd);
    watch->output_fd = -1;
}

/* What has to be done now for one watch; the moment to look again is lowered into 'out_next_ns'. */
static void look_locked(struct health_probes *probes, struct watch *watch, uint64_t now_ns,
                        uint64_t *out_next_ns) REQUIRES(probes->lock)
{
    if (watch->phase == PHASE_STARTING || watch->phase == PHASE_ENDING)
        return;
    CLEANUP(container_info_unref)
    struct container_info *info = container_snapshot(watch->container);
    bool is_paused = info->state == CONTAINER_PAUSED;

    if (watch->phase == PHASE_RUNNING) {
        watch->was_paused |= is_paused;
        if (watch->has_exited && watch->output_fd < 0)
            watch->due_ns = 0;
        else if (is_paused) /* a frozen probe cannot even be killed everywhere */
            watch->due_ns = now_ns + EXIT_GRACE_S * NS_PER_S;
    } else if (is_paused && now_ns >= watch->due_ns) {
        wait_for_next_locked(watch);
    }
    if (now_ns < watch->due_ns) {
        *out_next_ns = MIN(*out_next_ns, watch->due_ns);
        return;
    }
    bool is_waiting = watch->phase == PHASE_WAITING;
    watch->phase = is_waiting ? PHASE_STARTING : PHASE_ENDING;
    submit_locked(probes, watch, is_waiting ? run_start : run_end);
}

/* Collects what is to be waited for. The watches stay valid without the lock: each has a reference
 * more. */
static size_t collect_locked(struct health_probes *probes, struct pollfd **fds,
                             struct watch ***watches) REQUIRES(probes->lock)
{
    size_t count = 1, limit = 1;

    LIST_EACH (&probes->watches, struct watch, link, watch)
        limit += watch->output_fd >= 0;
    *fds = xcalloc(limit, sizeof(**fds));
    *watches = xcalloc(limit, sizeof(**watches));
    (*fds)[0] = (struct pollfd){ .fd = probes->wake_fd, .events = POLLIN };
    LIST_EACH (&probes->watches, struct watch, link, watch)
        if (watch->output_fd >= 0 && watch->phase == PHASE_RUNNING) {
            (*fds)[count] = (struct pollfd){ .fd = watch->output_fd, .events = POLLIN };
            (*watches)[count++] = watch;
            watch->reference_count++;
        }
    return count;
}

static int timeout_of(uint64_t next_ns)
{
    uint64_t now_ns = clock_monotonic_ns();

    if (next_ns == UINT64_MAX)
        return -1;
    return next_ns <= now_ns ? 0 : (int)MIN((next_ns - now_ns) / NS_PER_MS + 1, 3600000);
}

static void *keep_time(void *data)
{
    struct health_probes *probes = data;

    mutex_lock(&probes->lock);
    while (!probes->is_ending) {
        CLEANUP(free) struct pollfd *fds = NULL;
        CLEANUP(free) struct watch **watches = NULL;
        uint64_t next_ns = UINT64_MAX, now_ns = clock_monotonic_ns();
        eventfd_t ignored;

        LIST_EACH (&probes->watches, struct watch, link, watch)
            look_locked(probes, watch, now_ns, &next_ns);
        size_t count = collect_locked(probes, &fds, &watches);
        mutex_unlock(&probes->lock);
        poll(fds, count, timeout_of(next_ns));
        if (fds[0].revents)
            eventfd_read(probes->wake_fd, &ignored);
        mutex_lock(&probes->lock);
        for (size_t i = 1; i < count; i++) {
            if (fds[i].revents && watches[i]->output_fd == fds[i].fd &&
                watches[i]->phase == PHASE_RUNNING)
                read_output(watches[i]);
            watch_unref_locked(watches[i]);
        }
    }
    mutex_unlock(&probes->lock);
    return NULL;
}

/* ---- beginning and end ---- */

static int ensure_thread_locked(struct health_probes *probes, struct error *err)
    REQUIRES(probes->lock)
{
    if (probes->has_thread)
        return 0;
    if (!probes->work && work_queue_new(&probes->work, err) < 0)
        return -1;
    if (thread_start("health", keep_time, probes, &probes->thread, err) < 0)
        return -1;
    probes->has_thread = true;
    return 0;
}

void health_watch(struct container *container)
{
    struct health_probes *probes = container->engine->health;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    struct error err = {};

    if (!health_has_check(info->config.healthcheck) || !info->health)
        return;
    struct watch *watch = NEW(struct watch);
    watch->container = container_ref(container);
    watch->reference_count = 1;
    watch->output_fd = -1;
    mutex_lock(&container->lock);
    watch->run_number = container->run_number;
    mutex_unlock(&container->lock);
    mutex_lock(&probes->lock);
    if (probes->is_ending || ensure_thread_locked(probes, &err) < 0) {
        if (err.text[0])
            log_error("cannot check a container's health", "container", container->id, "error",
                      err.text);
        watch_unref_locked(watch);
    } else {
        wait_for_next_locked(watch);
        list_add(&probes->watches, &watch->link);
        wake(probes);
    }
    mutex_unlock(&probes->lock);
}

void health_unwatch(struct container *container)
{
    struct health_probes *probes = container->engine->health;

    mutex_lock(&probes->lock);
    LIST_EACH (&probes->watches, struct watch, link, watch) {
        if (watch->container != container)
            continue;
        list_remove(&watch->link);
        watch->is_ended = true;
        watch_unref_locked(watch);
    }
    mutex_unlock(&probes->lock);
}

void health_paused(struct container *container)
{
    struct health_probes *probes = container->engine->health;

    mutex_lock(&probes->lock);
    LIST_EACH (&probes->watches, struct watch, link, watch)
        if (watch->container == container)
            watch->was_paused = true;
    wake(probes);
    mutex_unlock(&probes->lock);
}

void health_exec_exited(struct engine *engine, const char *exec_id, int exit_code)
{
    struct health_probes *probes = engine->health;

    mutex_lock(&probes->lock);
    LIST_EACH (&probes->watches, struct watch, link, watch) {
        if (strcmp(watch->exec_id, exec_id) != 0)
            continue;
        watch->has_exited = true;
        watch->exit_code = exit_code;
        if (watch->phase == PHASE_RUNNING)
            watch->due_ns = MIN(watch->due_ns, clock_monotonic_ns() + OUTPUT_GRACE_NS);
        wake(probes);
    }
    mutex_unlock(&probes->lock);
}

void health_counts(struct engine *engine, int64_t *out_probes, int64_t *out_failures)
{
    *out_probes = atomic_load(&engine->health->probe_count);
    *out_failures = atomic_load(&engine->health->failure_count);
}

int health_open(struct engine *engine, struct error *err)
{
    struct health_probes *probes = NEW(struct health_probes);

    probes->engine = engine;
    mutex_init(&probes->lock);
    list_init(&probes->watches);
    probes->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    probes->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    engine->health = probes;
    if (probes->wake_fd < 0 || probes->cancel_fd < 0)
        return error_sys(err, "make an event descriptor");
    return 0;
}

void health_end(struct engine *engine)
{
    struct health_probes *probes = engine->health;

    if (!probes)
        return;
    mutex_lock(&probes->lock);
    probes->is_ending = true;
    bool has_thread = probes->has_thread;
    probes->has_thread = false;
    struct work_queue *work = probes->work;
    mutex_unlock(&probes->lock);
    eventfd_write(probes->cancel_fd, 1);
    wake(probes);
    if (has_thread)
        pthread_join(probes->thread, NULL);
    if (work)
        work_queue_end(work);
    /* Nothing is watched any more; what is known now is what the next engine begins with. */
    LIST_EACH (&probes->watches, struct watch, link, watch)
        container_record_health(watch->container);
}

void health_close(struct engine *engine)
{
    struct health_probes *probes = engine->health;

    if (!probes)
        return;
    health_end(engine);
    work_queue_free(probes->work);
    mutex_lock(&probes->lock);
    LIST_EACH (&probes->watches, struct watch, link, watch) {
        list_remove(&watch->link);
        watch_unref_locked(watch);
    }
    mutex_unlock(&probes->lock);
    if (probes->wake_fd >= 0)
        close(probes->wake_fd);
    if (probes->cancel_fd >= 0)
        close(probes->cancel_fd);
    mutex_done(&probes->lock);
    engine->health = NULL;
    free(probes);
}
