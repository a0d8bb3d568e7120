/* The bytes between a process and the world. */
#include "shim/task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shim/attach.h"
#include "shim/log_forward.h"
#include "shim/supervise.h"

#include "base/banned.h"

enum {
    USUAL_PIPE_SIZE = 64 * 1024,
    LARGE_PIPE_SIZE = 1024 * 1024,
    FULL_READS = 4,         /* in a row: then the pipe is made larger */
    DRAIN_MS = 100,         /* behind the exit, for those who have inherited a pipe */
    CONSOLE_RETRY_MS = 100, /* for a terminal that nobody has open */
    FEED_SIZE = 32 * 1024,
};
#define DRAIN_LIMIT ((size_t)2 * LARGE_PIPE_SIZE)

void task_stdio_close(struct task_stdio *stdio)
{
    for (size_t i = 0; i < COUNT(stdio->fds); i++) {
        close_cleanup(&stdio->fds[i]);
        stdio->fds[i] = -1;
    }
}

static int set_nonblocking(int fd, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_sys(err, "make a descriptor non-blocking");
    return 0;
}

/* ---- output */

static void end_output(struct task *task, size_t stream)
{
    loop_close_source(&task->shim->loop, &task->output[stream]);
    if (!task->exec_id) {
        log_writer_end(task->shim->log, (enum log_stream)stream, clock_wall_ns());
        log_writer_flush(task->shim->log);
    }
}

static bool has_output(const struct task *task)
{
    return task->output[LOG_STDOUT].fd >= 0 || task->output[LOG_STDERR].fd >= 0;
}

static void hand_on(struct task *task, size_t stream, const char *data, size_t size)
{
    if (!task->exec_id) {
        log_writer_add(task->shim->log, (enum log_stream)stream, data, size, clock_wall_ns());
        log_writer_flush(task->shim->log);
    }
    LIST_EACH (&task->clients, struct client, link, client)
        client_send(client, (enum log_stream)stream, data, size);
}

/* A process that writes much gets a larger pipe: fewer wake-ups for both. */
static void note_size(struct task *task, size_t stream, size_t size)
{
    int *count = &task->full_reads[stream];

    if (*count < 0)
        return;
    *count = size >= USUAL_PIPE_SIZE ? *count + 1 : 0;
    if (*count < FULL_READS)
        return;
    fcntl(task->output[stream].fd, F_SETPIPE_SZ, LARGE_PIPE_SIZE);
    *count = -1;
}

/* One read. False: there is nothing at present, or no more at all. */
static bool read_output(struct task *task, size_t stream)
{
    struct source *source = &task->output[stream];
    char *buffer = supervisor_buffer(task->shim);
    ssize_t size = read(source->fd, buffer, SUPERVISOR_BUFFER_SIZE);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (size < 0 && errno == EIO && task->is_terminal && !task->has_exited) {
        loop_unwatch(&task->shim->loop, source);
        task->retry_ns = clock_monotonic_ns() + CONSOLE_RETRY_MS * NS_PER_MS;
        return false;
    }
    if (size <= 0) {
        end_output(task, stream);
        return false;
    }
    if (!task->is_terminal)
        note_size(task, stream, (size_t)size);
    hand_on(task, stream, buffer, (size_t)size);
    task->drain_left -= MIN(task->drain_left, (size_t)size);
    return true;
}

static void finish(struct task *task)
{
    for (size_t i = 0; i < LOG_STREAM_COUNT; i++)
        if (task->output[i].fd >= 0)
            end_output(task, i);
    task->drain_until_ns = 0;
    supervisor_task_done(task->shim, task);
}

static void output_ready(struct task *task, size_t stream)
{
    read_output(task, stream);
    if (task->has_exited) {
        if (!has_output(task) || task->drain_left == 0)
            finish(task);
        return;
    }
    task_watch_output(task);
}

static void stdout_ready(struct source *source, uint32_t events UNUSED)
{
    output_ready(CONTAINER_OF(source, struct task, output[LOG_STDOUT]), LOG_STDOUT);
}

static void stderr_ready(struct source *source, uint32_t events UNUSED)
{
    output_ready(CONTAINER_OF(source, struct task, output[LOG_STDERR]), LOG_STDERR);
}

/* Behind the exit nobody is waited for: what is in the pipes is bounded by their size. */
void task_watch_output(struct task *task)
{
    bool is_behind = !task->exec_id && log_forwarder_is_full(log_writer_forwarder(task->shim->log));

    LIST_EACH (&task->clients, struct client, link, client)
        is_behind |= client_is_behind(client);
    for (size_t i = 0; i < LOG_STREAM_COUNT; i++)
        if (is_behind && !task->has_exited)
            loop_unwatch(&task->shim->loop, &task->output[i]);
        else if (task->retry_ns == 0)
            loop_watch(&task->shim->loop, &task->output[i], EPOLLIN);
}

/* ---- input */

bool task_has_input(const struct task *task)
{
    return task->input.fd >= 0;
}

size_t task_write_input(struct task *task, const void *data, size_t size)
{
    if (task->input.fd < 0)
        return size;
    ssize_t count = write(task->input.fd, data, MIN(size, FEED_SIZE));

    if (count >= 0)
        return (size_t)count;
    if (errno == EAGAIN || errno == EINTR) {
        loop_watch(&task->shim->loop, &task->input, EPOLLOUT);
        return 0;
    }
    task_close_input(task); /* EPIPE: nobody reads it any more */
    return size;
}

void task_close_input(struct task *task)
{
    loop_close_source(&task->shim->loop, &task->input);
}

void task_feed(struct task *task)
{
    loop_unwatch(&task->shim->loop, &task->input);
    LIST_EACH (&task->clients, struct client, link, client)
        if (!client_feed(client))
            return;
}

static void input_ready(struct source *source, uint32_t events UNUSED)
{
    task_feed(CONTAINER_OF(source, struct task, input));
}

/* ---- the task */

struct task *task_new(struct supervisor *shim, const char *exec_id, bool terminal)
{
    struct task *task = NEW(struct task);

    list_init(&task->link);
    list_init(&task->clients);
    task->shim = shim;
    task->exec_id = xstrdup(exec_id);
    task->is_terminal = terminal;
    task->process = (struct container){ .pidfd = -1, .start_fd = -1, .console_fd = -1 };
    task->input = (struct source){ .fd = -1, .ready = input_ready };
    task->output[LOG_STDOUT] = (struct source){ .fd = -1, .ready = stdout_ready };
    task->output[LOG_STDERR] = (struct source){ .fd = -1, .ready = stderr_ready };
    return task;
}

static int make_pipe(int *out_read_fd, int *out_write_fd, struct error *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_sys(err, "create pipe");
    *out_read_fd = fds[0];
    *out_write_fd = fds[1];
    return 0;
}

/* Only our ends do not block: the two ends of a pipe are two open files. */
int task_make_pipes(struct task *task, const bool wanted[3], struct task_stdio *out,
                    struct error *err)
{
    *out = (struct task_stdio){ { -1, -1, -1 } };
    if (task->is_terminal)
        return 0;
    if (wanted[0] && (make_pipe(&out->fds[0], &task->input.fd, err) < 0 ||
                      set_nonblocking(task->input.fd, err) < 0))
        return -1;
    for (size_t i = 0; i < LOG_STREAM_COUNT; i++)
        if (wanted[i + 1] && (make_pipe(&task->output[i].fd, &out->fds[i + 1], err) < 0 ||
                              set_nonblocking(task->output[i].fd, err) < 0))
            return -1;
    return 0;
}

/* Reading and writing are watched apart, hence two descriptors for a terminal. */
int task_serve(struct task *task, struct error *err)
{
    int console_fd = task->process.console_fd;

    if (task->is_terminal && console_fd >= 0) {
        if (set_nonblocking(console_fd, err) < 0)
            return -1;
        task->output[LOG_STDOUT].fd = fcntl(console_fd, F_DUPFD_CLOEXEC, 3);
        if (task->exec_id || task->shim->stdin_open)
            task->input.fd = fcntl(console_fd, F_DUPFD_CLOEXEC, 3);
        if (task->output[LOG_STDOUT].fd < 0)
            return error_sys(err, "duplicate the terminal");
    }
    task_watch_output(task);
    return 0;
}

static int exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void task_exited(struct task *task, int status, int64_t wall_ns)
{
    task->has_exited = true;
    task->exit_code = exit_code(status);
    task->exited_ns = wall_ns;
    task->drain_left = DRAIN_LIMIT;
    task->kill_ns = task->retry_ns = 0;
    task_close_input(task);
    for (size_t i = 0; i < LOG_STREAM_COUNT; i++)
        while (task->output[i].fd >= 0 && task->drain_left > 0 && read_output(task, i))
            ;
    if (!has_output(task) || task->drain_left == 0) {
        finish(task);
        return;
    }
    task->drain_until_ns = clock_monotonic_ns() + DRAIN_MS * NS_PER_MS;
    task_watch_output(task);
}

void task_limit_lifetime(struct task *task, int64_t lifetime_ms)
{
    task->kill_ns = clock_monotonic_ns() + (uint64_t)lifetime_ms * NS_PER_MS;
}

/* What it started meanwhile is in its process group: it leads a session, and is not reaped yet, so
 * that the number is still its own. */
static void end_lifetime(struct task *task)
{
    struct error ignored;

    task->kill_ns = 0;
    if (task->process.pid > 1)
        kill(-task->process.pid, SIGKILL);
    container_signal(&task->process, SIGKILL, &ignored);
}

uint64_t task_deadline(const struct task *task)
{
    uint64_t nearest = task->drain_until_ns ? task->drain_until_ns : task->retry_ns;

    if (task->kill_ns && (!nearest || task->kill_ns < nearest))
        nearest = task->kill_ns;
    LIST_EACH (&task->clients, struct client, link, client) {
        uint64_t deadline_ns = client_deadline(client);

        if (deadline_ns && (!nearest || deadline_ns < nearest))
            nearest = deadline_ns;
    }
    return nearest;
}

void task_expire(struct task *task, uint64_t now_ns)
{
    if (task->kill_ns && now_ns >= task->kill_ns)
        end_lifetime(task);
    LIST_EACH (&task->clients, struct client, link, client)
        client_expire(client, now_ns);
    if (task->retry_ns && now_ns >= task->retry_ns) {
        task->retry_ns = 0;
        task_watch_output(task);
    }
    if (task->drain_until_ns && now_ns >= task->drain_until_ns)
        finish(task);
}

void task_finish_clients(struct task *task)
{
    LIST_EACH (&task->clients, struct client, link, client)
        client_finish(client);
}

void task_free(struct task *task)
{
    struct loop *loop = &task->shim->loop;

    task_finish_clients(task);
    list_remove(&task->link);
    task_close_input(task);
    for (size_t i = 0; i < LOG_STREAM_COUNT; i++)
        loop_close_source(loop, &task->output[i]);
    close_cleanup(&task->process.pidfd);
    close_cleanup(&task->process.start_fd);
    close_cleanup(&task->process.console_fd);
    free(task->process.cgroup_path);
    free(task->exec_id);
    loop_free(loop, task);
}
