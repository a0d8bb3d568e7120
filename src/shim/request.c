/* Requests about the container as a whole; those about its processes and clients are in
 * request_process.c. */
#include "shim/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "linux/cgroup.h"
#include "shim/attach.h"
#include "shim/exec.h"
#include "shim/log_forward.h"
#include "shim/oci.h"
#include "shim/request_process.h"
#include "shim/resolver.h"
#include "shim/task.h"

#include "base/banned.h"

#define CONFIG_LIMIT     ((size_t)16 * 1024 * 1024)
#define UNHEARD_LIMIT    1024
#define LOG_BUFFER_LIMIT (INT64_C(64) * 1024 * 1024)
#define SOURCE_LIMIT     1024
#define OWN_OOM_SCORE    "-998"
#define OOM_SCORE_PATH   "/proc/self/oom_score_adj"

/* ---- ends of execs that no daemon heard of */

struct exec_exit {
    struct list link;
    char *exec_id;
    int exit_code;
    int64_t exited_ns;
};

static void send_exec_exit(struct supervisor *shim, const struct exec_exit *exit)
{
    CLEANUP(wire_done) struct wire_message event = {};

    wire_init(&event, WIRE_EXITED, 0);
    wire_put_text(&event, WIRE_FIELD_EXEC_ID, exit->exec_id);
    wire_put_int(&event, WIRE_FIELD_EXIT_CODE, exit->exit_code);
    wire_put_int(&event, WIRE_FIELD_WALL_NS, exit->exited_ns);
    supervisor_send(shim, &event);
}

static void forget_exec_exit(struct supervisor *shim, struct exec_exit *exit)
{
    list_remove(&exit->link);
    shim->unheard_count--;
    free(exit->exec_id);
    free(exit);
}

void request_tell_exec_exit(struct supervisor *shim, const char *exec_id, int exit_code,
                            int64_t exited_ns)
{
    struct exec_exit *exit = NEW(struct exec_exit);

    *exit = (struct exec_exit){ .exec_id = xstrdup(exec_id),
                                .exit_code = exit_code,
                                .exited_ns = exited_ns };
    list_add(&shim->unheard, &exit->link);
    if (shim->unheard_count++ == UNHEARD_LIMIT)
        forget_exec_exit(shim, CONTAINER_OF(shim->unheard.next, struct exec_exit, link));
    send_exec_exit(shim, exit);
}

static void heard(struct supervisor *shim, const struct wire_message *message)
{
    const char *exec_id = wire_get_text(message, WIRE_FIELD_EXEC_ID);

    LIST_EACH (&shim->unheard, struct exec_exit, link, exit)
        if (exec_id && strcmp(exit->exec_id, exec_id) == 0)
            forget_exec_exit(shim, exit);
}

void request_forget_exec_exits(struct supervisor *shim)
{
    LIST_EACH (&shim->unheard, struct exec_exit, link, exit)
        forget_exec_exit(shim, exit);
}

static void tell_unheard(struct supervisor *shim)
{
    LIST_EACH (&shim->unheard, struct exec_exit, link, exit)
        send_exec_exit(shim, exit);
}

/* ---- status */

static enum wire_state wire_state(const struct supervisor *shim)
{
    if (!shim->init)
        return WIRE_STATE_NONE;
    if (shim->state.exited_ns)
        return WIRE_STATE_EXITED;
    return shim->state.started_ns ? WIRE_STATE_RUNNING : WIRE_STATE_CREATED;
}

static int status(struct supervisor *shim, struct wire_message *request UNUSED,
                  struct wire_message *reply, struct error *err UNUSED)
{
    wire_put_int(reply, WIRE_FIELD_STATE, wire_state(shim));
    wire_put_int(reply, WIRE_FIELD_PID, shim->state.pid);
    wire_put_int(reply, WIRE_FIELD_EXIT_CODE, shim->state.exit_code);
    wire_put_int(reply, WIRE_FIELD_OOM_KILLED, shim->state.oom_killed);
    wire_put_int(reply, WIRE_FIELD_STARTED_NS, shim->state.started_ns);
    wire_put_int(reply, WIRE_FIELD_EXITED_NS, shim->state.exited_ns);
    LIST_EACH (&shim->execs, struct task, link, task)
        if (!task->has_exited && reply->fields.size < WIRE_MESSAGE_LIMIT / 2)
            wire_put_text(reply, WIRE_FIELD_EXEC_ID, task->exec_id);
    exec_list_starting(shim, reply);
    return 0;
}

static int hello(struct supervisor *shim, struct wire_message *request, struct wire_message *reply,
                 struct error *err)
{
    wire_put_int(reply, WIRE_FIELD_VERSION, WIRE_VERSION);
    shim->afterwards = tell_unheard;
    return status(shim, request, reply, err);
}

/* ---- create */

static void hold(struct supervisor *shim, struct wire_message *message)
{
    shim->kept_fds = xrealloc(shim->kept_fds, shim->kept_count + message->fd_count,
                              sizeof(*shim->kept_fds));
    for (size_t i = 0; i < message->fd_count; i++) {
        shim->kept_fds[shim->kept_count++] = message->fds[i];
        message->is_owned[i] = false;
    }
}

/* For the CREATE that follows. */
static void add_source(struct supervisor *shim, struct wire_message *message)
{
    const char *destination = wire_get_text(message, WIRE_FIELD_DESTINATION);
    int fd = wire_take_fd(message, WIRE_FIELD_MOUNT_FD);

    if (!destination || fd < 0 || shim->init || shim->source_count == SOURCE_LIMIT) {
        if (fd >= 0)
            close(fd);
        return;
    }
    shim->sources = xrealloc(shim->sources, shim->source_count + 1, sizeof(*shim->sources));
    shim->sources[shim->source_count++] = (struct mount_source){ xstrdup(destination), fd };
}

void request_drop_sources(struct supervisor *shim)
{
    for (size_t i = 0; i < shim->source_count; i++) {
        close(shim->sources[i].fd);
        free(shim->sources[i].destination);
    }
    free(TAKE(shim->sources));
    shim->source_count = 0;
}

int request_read_config(const struct supervisor *shim, struct runtime_config *out,
                        struct error *err)
{
    CLEANUP(free) char *path = path_join(shim->bundle_path, "config.json");
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, CONFIG_LIMIT, &text, err) < 0)
        return -1;
    if (runtime_config_decode(str_text(&text), text.length, out, err) < 0)
        return error_context(err, "%s", path);
    /* Otherwise it would inherit the protection that the supervisor has given itself. */
    if (!out->process.oom_score_adj.is_set)
        out->process.oom_score_adj = (struct optional_int64){ .is_set = true,
                                                              .value = shim->own_oom_score };
    return 0;
}

int request_map_seccomp(const struct supervisor *shim, struct seccomp_program *out,
                        struct error *err)
{
    struct stat stat;

    *out = (struct seccomp_program){};
    if (shim->seccomp_fd < 0)
        return 0;
    if (fstat(shim->seccomp_fd, &stat) < 0 || stat.st_size == 0)
        return error_set(err, ERROR_INTERNAL, "the seccomp filter's file is empty");
    out->size_bytes = (size_t)stat.st_size;
    out->instructions = mmap(NULL, out->size_bytes, PROT_READ, MAP_SHARED, shim->seccomp_fd, 0);
    if (out->instructions == MAP_FAILED) {
        *out = (struct seccomp_program){};
        return error_sys(err, "map the seccomp filter");
    }
    return 0;
}

void request_unmap_seccomp(struct seccomp_program *program)
{
    if (program->instructions)
        munmap(program->instructions, program->size_bytes);
    *program = (struct seccomp_program){};
}

static void log_has_room(void *data)
{
    struct supervisor *shim = data;

    if (shim->init)
        task_watch_output(shim->init);
}

static int open_forwarder(struct supervisor *shim, const struct wire_message *request,
                          int logger_fd, const struct buf *settings, struct error *err)
{
    struct log_forwarder *forwarder;
    struct log_forwarder_options options = {
        .loop = &shim->loop,
        .program_fd = logger_fd,
        .settings = (const char *)buf_bytes(settings),
        .settings_size = settings->size,
        .limit_bytes = (size_t)MIN(MAX(wire_get_int(request, WIRE_FIELD_LOG_BUFFER, 0), 1),
                                   LOG_BUFFER_LIMIT),
        .drops = wire_get_bool(request, WIRE_FIELD_LOG_DROPS),
        .room = log_has_room,
        .data = shim,
    };

    if (log_forwarder_new(&options, &forwarder, err) < 0)
        return error_context(err, "failed to initialize logging driver");
    log_writer_forward(shim->log, forwarder);
    return 0;
}

static int open_log(struct supervisor *shim, struct wire_message *request, struct error *err)
{
    CLEANUP(buf_done) struct buf forward = {};
    struct shim_log_options options = {
        .driver = wire_get_text(request, WIRE_FIELD_LOG_DRIVER),
        .path = wire_get_text(request, WIRE_FIELD_LOG_PATH),
        .max_size_bytes = wire_get_int(request, WIRE_FIELD_LOG_MAX_SIZE, 0),
        .max_files = (int)MIN(wire_get_int(request, WIRE_FIELD_LOG_MAX_FILES, 1), INT16_MAX),
        .attributes = wire_get_text(request, WIRE_FIELD_LOG_ATTRIBUTES),
        .compress = wire_get_bool(request, WIRE_FIELD_LOG_COMPRESS),
    };

    if (wire_get_blob(request, WIRE_FIELD_LOG_FORWARD, &forward, err) < 0)
        return -1;
    if (forward.size > 0)
        options.forward = (const char *)buf_bytes(&forward);
    CLEANUP(close) int logger_fd = wire_take_fd(request, WIRE_FIELD_LOGGER_FD);
    int program_fd = options.compress && logger_fd >= 0 ? fcntl(logger_fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (log_writer_open(&options, program_fd, &shim->log, err) < 0)
        return -1;
    return forward.size > 0 ? open_forwarder(shim, request, TAKE_FD(logger_fd), &forward, err) : 0;
}

static int64_t read_own_oom_score(void)
{
    CLEANUP(str_done) struct str text = {};

    return file_read(OOM_SCORE_PATH, 32, &text, NULL) == 0 ? strtol(str_text(&text), NULL, 10) : 0;
}

/* All that may take its time behind the reply. */
static void after_create(struct supervisor *shim)
{
    struct container *process = &shim->init->process;

    shim->oom.fd = process->cgroup_path ? cgroup_oom_watch(process->cgroup_path, NULL) : -1;
    if (shim->oom.fd >= 0)
        loop_watch(&shim->loop, &shim->oom, EPOLLIN);
    supervisor_save(shim);
    file_write_existing(OOM_SCORE_PATH, OWN_OOM_SCORE, NULL); /* where it may */
    supervisor_buffer(shim);                                  /* sets the time of rest */
}

static int create_container(struct supervisor *shim, struct wire_message *request,
                            struct task *task, const struct runtime_config *config,
                            struct error *err)
{
    const bool wanted[3] = { shim->stdin_open, true, true };
    CLEANUP(close) int rootfs_fd = wire_take_fd(request, WIRE_FIELD_ROOTFS_FD);
    CLEANUP(close) int network_fd = wire_take_fd(request, WIRE_FIELD_NETWORK_FD);
    struct seccomp_program seccomp;
    struct task_stdio stdio;
    int result = -1;

    if (request_map_seccomp(shim, &seccomp, err) < 0)
        return -1;
    if (task_make_pipes(task, wanted, &stdio, err) == 0) {
        struct container_options options = {
            .config = config,
            .bundle_path = shim->bundle_path,
            .rootfs_fd = rootfs_fd,
            .network_fd = network_fd,
            .seccomp = seccomp.instructions ? &seccomp : NULL,
            .stdio = { stdio.fds[0], stdio.fds[1], stdio.fds[2] },
            .init_path = wire_get_text(request, WIRE_FIELD_INIT_PATH),
            .sources = shim->sources,
            .source_count = shim->source_count,
        };
        result = shim->runtime_path ? oci_create(shim, &options, &task->process, err)
                                    : container_create(&options, &task->process, err);
    }
    request_drop_sources(shim);
    task_stdio_close(&stdio);
    request_unmap_seccomp(&seccomp);
    return result;
}

static char *copy_text(const struct wire_message *message, enum wire_field field)
{
    const char *text = wire_get_text(message, field);

    return text ? xstrdup(text) : NULL;
}

static int create(struct supervisor *shim, struct wire_message *request, struct wire_message *reply,
                  struct error *err)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {};
    const char *bundle_path = wire_get_text(request, WIRE_FIELD_BUNDLE_PATH);

    if (shim->init)
        return error_set(err, ERROR_CONFLICT, "the container is created already");
    if (!bundle_path)
        return error_set(err, ERROR_INVALID, "no bundle");
    shim->bundle_path = xstrdup(bundle_path);
    shim->stdin_open = wire_get_bool(request, WIRE_FIELD_STDIN_OPEN);
    shim->stdin_once = wire_get_bool(request, WIRE_FIELD_STDIN_ONCE);
    shim->seccomp_fd = wire_take_fd(request, WIRE_FIELD_SECCOMP_FD);
    shim->runtime_path = copy_text(request, WIRE_FIELD_RUNTIME_PATH);
    const char *words = wire_get_text(request, WIRE_FIELD_RUNTIME_ARGS);
    if (words && *words)
        strv_split(&shim->runtime_arguments, words, '\n');
    shim->own_oom_score = read_own_oom_score();
    if (request_read_config(shim, &config, err) < 0 || open_log(shim, request, err) < 0)
        return -1;

    struct task *task = task_new(shim, NULL, config.process.terminal);
    task->closes_stdin = shim->stdin_once;
    if (create_container(shim, request, task, &config, err) < 0) {
        task_free(task);
        return -1;
    }
    shim->init = task;
    if (task_serve(task, err) < 0) {
        container_delete(&task->process, NULL);
        shim->init = NULL;
        return -1;
    }
    shim->state.status = xstrdup("created");
    shim->state.pid = task->process.pid;
    shim->state.shim_pid = getpid();
    shim->state.cgroup_path = xstrdup(task->process.cgroup_path);
    shim->afterwards = after_create;
    wire_put_int(reply, WIRE_FIELD_PID, task->process.pid);
    return 0;
}

/* Without a container there is nothing to supervise. */
static int create_or_end(struct supervisor *shim, struct wire_message *request,
                         struct wire_message *reply, struct error *err)
{
    if (create(shim, request, reply, err) == 0)
        return 0;
    if (!shim->init)
        shim->is_over = true;
    return -1;
}

/* ---- start, pause, forget */

static int start(struct supervisor *shim, struct wire_message *request UNUSED,
                 struct wire_message *reply, struct error *err)
{
    if (wire_state(shim) != WIRE_STATE_CREATED || shim->start_failed)
        return error_set(err, ERROR_CONFLICT, "the container is not waiting for its start");
    if ((shim->runtime_path ? oci_start(shim, err) : container_start(&shim->init->process, err)) <
        0) {
        shim->start_failed = true;
        return -1;
    }
    shim->state.started_ns = clock_wall_ns();
    free(shim->state.status);
    shim->state.status = xstrdup("running");
    shim->afterwards = supervisor_save;
    wire_put_int(reply, WIRE_FIELD_STARTED_NS, shim->state.started_ns);
    return 0;
}

static int pause_container(struct supervisor *shim, struct wire_message *request,
                           struct wire_message *reply UNUSED, struct error *err)
{
    bool paused = wire_get_bool(request, WIRE_FIELD_PAUSED);

    if (wire_state(shim) != WIRE_STATE_RUNNING)
        return error_set(err, ERROR_CONFLICT, "the container is not running");
    if (cgroup_freeze(shim->init->process.cgroup_path, paused, err) < 0)
        return -1;
    shim->is_paused = paused;
    return 0;
}

static int request_names(struct supervisor *shim, struct wire_message *request,
                         struct wire_message *reply UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf json = {};
    CLEANUP(close) int namespace_fd = wire_take_fd(request, WIRE_FIELD_NETWORK_FD);
    CLEANUP(close) int udp_fd = wire_take_fd(request, WIRE_FIELD_RESOLVER_UDP_FD);
    CLEANUP(close) int tcp_fd = wire_take_fd(request, WIRE_FIELD_RESOLVER_TCP_FD);
    struct resolver_settings settings = {};

    if (!shim->init)
        return error_set(err, ERROR_CONFLICT, "there is no container yet");
    if (!shim->resolver && (namespace_fd < 0 || udp_fd < 0 || tcp_fd < 0))
        return error_set(err, ERROR_INVALID, "no sockets to answer on");
    if (wire_get_blob(request, WIRE_FIELD_RESOLVER, &json, err) < 0 ||
        json_decode(resolver_settings_fields, (const char *)buf_bytes(&json), json.size, &settings,
                    err) < 0)
        return -1;
    if (namespace_fd >= 0 && udp_fd >= 0 && tcp_fd >= 0) {
        resolver_free(shim->resolver);
        shim->resolver = resolver_new(shim, TAKE_FD(namespace_fd), TAKE_FD(udp_fd),
                                      TAKE_FD(tcp_fd));
    }
    resolver_set(shim->resolver, &settings);
    supervisor_buffer(shim); /* sets the time of rest */
    return 0;
}

/* Before the reply: whoever gets it may bind the ports again at once. */
static void drop_kept(struct supervisor *shim)
{
    for (size_t i = 0; i < shim->kept_count; i++)
        close(shim->kept_fds[i]);
    shim->kept_count = 0;
}

/* "6 0.0.0.0 80" of a bound socket; "" of anything else. */
static void describe_socket(int fd, char *out, size_t size)
{
    struct sockaddr_storage name = {};
    socklen_t name_size = sizeof(name), protocol_size = sizeof(int);
    char address[INET6_ADDRSTRLEN] = "";
    int protocol = 0;

    out[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&name, &name_size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_size) < 0)
        return;
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&name;

        inet_ntop(AF_INET, &ipv4->sin_addr, address, sizeof(address));
        snprintf(out, size, "%d %s %u", protocol, address, ntohs(ipv4->sin_port));
    } else if (name.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&name;

        inet_ntop(AF_INET6, &ipv6->sin6_addr, address, sizeof(address));
        snprintf(out, size, "%d %s %u", protocol, address, ntohs(ipv6->sin6_port));
    }
}

static bool names_socket(const struct wire_message *request, int fd)
{
    char description[INET6_ADDRSTRLEN + 32];
    struct wire_value value;
    size_t position = 0;

    describe_socket(fd, description, sizeof(description));
    while (wire_next(request, &position, &value))
        if (value.field == WIRE_FIELD_PORT && value.size == strlen(description) + 1 &&
            memcmp(value.bytes, description, value.size) == 0)
            return true;
    return false;
}

static int release(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err UNUSED)
{
    bool is_all = !wire_get_text(request, WIRE_FIELD_PORT);
    size_t kept = 0;

    for (size_t i = 0; i < shim->kept_count; i++)
        if (is_all || names_socket(request, shim->kept_fds[i]))
            close(shim->kept_fds[i]);
        else
            shim->kept_fds[kept++] = shim->kept_fds[i];
    shim->kept_count = kept;
    return 0;
}

static int forget(struct supervisor *shim, struct wire_message *request UNUSED,
                  struct wire_message *reply UNUSED, struct error *err)
{
    if (shim->init) {
        struct container *process = &shim->init->process;

        if (!shim->init->has_exited)
            container_signal(process, SIGKILL, NULL);
        if (shim->is_paused && process->cgroup_path)
            cgroup_freeze(process->cgroup_path, false, NULL);
        loop_close_source(&shim->loop, &shim->oom);
        if (shim->runtime_path)
            oci_delete(shim, NULL);
        if (container_delete(process, err) < 0)
            return -1;
    }
    drop_kept(shim);
    resolver_free(TAKE(shim->resolver));
    shim_state_remove(shim->bundle_path);
    unlink(shim->socket_path);
    loop_close_source(&shim->loop, &shim->listener);
    supervisor_end(shim);
    return 0;
}

/* ---- which is which */

/* clang-format off */
static const struct {
    enum wire_type type;
    int (*run)(struct supervisor *shim, struct wire_message *request, struct wire_message *reply,
               struct error *err);
} requests[] = {
    { WIRE_HELLO,    hello           },
    { WIRE_CREATE,   create_or_end   },
    { WIRE_START,    start           },
    { WIRE_STATUS,   status          },
    { WIRE_SIGNAL,   request_signal  },
    { WIRE_RESIZE,   request_resize  },
    { WIRE_PAUSE,    pause_container },
    { WIRE_ATTACH,   request_attach  },
    { WIRE_NAMES,    request_names   },
    { WIRE_RELEASE,  release         },
    { WIRE_FORGET,   forget          },
};
/* clang-format on */

static bool is_too_late(const struct wire_message *request)
{
    int64_t deadline_ns = wire_get_int(request, WIRE_FIELD_DEADLINE_NS, 0);

    return deadline_ns > 0 && clock_monotonic_ns() > (uint64_t)deadline_ns;
}

static int dispatch(struct supervisor *shim, struct wire_message *request,
                    struct wire_message *reply, struct error *err)
{
    for (size_t i = 0; i < COUNT(requests); i++)
        if (requests[i].type == request->type)
            return requests[i].run(shim, request, reply, err);
    return error_set(err, ERROR_UNSUPPORTED, "this supervisor does not know request %u",
                     (unsigned)request->type);
}

void request_serve(struct supervisor *shim, struct wire_message *request)
{
    CLEANUP(wire_done) struct wire_message reply = {};
    struct error err = {};

    if (request->type == WIRE_HOLD) {
        hold(shim, request);
        return;
    }
    if (request->type == WIRE_MOUNT) {
        add_source(shim, request);
        return;
    }
    if (request->type == WIRE_HEARD) {
        heard(shim, request);
        return;
    }
    wire_init(&reply, WIRE_REPLY, request->number);
    shim->afterwards = NULL;
    if (is_too_late(request)) {
        error_set(&err, ERROR_UNAVAILABLE, "the supervisor was asked too long ago");
        wire_put_error(&reply, &err);
    } else if (request->type == WIRE_EXEC) {
        if (request_exec(shim, request, &err) == 0)
            return; /* it is answered once the process runs */
        wire_put_error(&reply, &err);
    } else if (dispatch(shim, request, &reply, &err) < 0) {
        buf_clear(&reply.fields);
        wire_put_error(&reply, &err);
    }
    supervisor_send(shim, &reply);
    if (shim->afterwards)
        shim->afterwards(shim);
}
