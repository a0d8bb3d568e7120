/* How the daemon comes to its supervisors: by starting one, or by finding one that runs.
 *
 * A supervisor is a plain posix_spawn child in a session of its own: forking twice would cost the
 * start of every container half a millisecond, and all it would spare is a waitid when the child
 * ends. Its first connection is a socketpair, so that the request to create the container is there
 * before its main() runs; it inherits the listening socket too, hence errors of either are ours and
 * no time is spent waiting for a file to appear. */
#include "shim/handle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"

#include "base/banned.h"

#define ID_LIMIT 80 /* what fits into sun_path behind /proc/self/fd/N/ */

/* ---- sockets: reached over their directory's descriptor, for a path may be longer than sun_path
 */

static int socket_address(struct shim_monitor *monitor, const char *container_id,
                          struct sockaddr_un *out, int *out_dir_fd, struct error *err)
{
    if (text_is_empty(container_id) || strchr(container_id, '/') || strlen(container_id) > ID_LIMIT)
        return error_set(err, ERROR_INVALID, "no container id: %s",
                         container_id ? container_id : "");
    *out_dir_fd = open(monitor->sockets_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out_dir_fd < 0)
        return error_sys(err, "open %s", monitor->sockets_path);
    out->sun_family = AF_UNIX;
    snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s" SOCKET_SUFFIX, *out_dir_fd,
             container_id);
    return 0;
}

static int connect_socket(struct shim_monitor *monitor, const char *container_id, struct error *err)
{
    struct sockaddr_un address = {};
    CLEANUP(close) int dir_fd = -1;
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_sys(err, "create socket");
    if (socket_address(monitor, container_id, &address, &dir_fd, err) < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return TAKE_FD(fd);
    if (errno == ECONNREFUSED)
        unlink(address.sun_path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return error_sys(err, "connect to the supervisor of container %s", container_id);
    return error_set(err, ERROR_NOT_FOUND, "container %s has no supervisor", container_id);
}

static int listen_socket(struct shim_monitor *monitor, const char *container_id, struct error *err)
{
    struct sockaddr_un address = {};
    CLEANUP(close) int dir_fd = -1;
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_sys(err, "create socket");
    if (socket_address(monitor, container_id, &address, &dir_fd, err) < 0)
        return -1;
    fchmod(fd, 0600); /* of the socket: bind makes the file with this mode */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno != EADDRINUSE)
            return error_sys(err, "bind the socket of container %s", container_id);
        CLEANUP(close) int other_fd = connect_socket(monitor, container_id, NULL);
        if (other_fd >= 0)
            return error_set(err, ERROR_CONFLICT, "container %s has a supervisor already",
                             container_id);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
            return error_sys(err, "bind the socket of container %s", container_id);
    }
    if (listen(fd, 4) < 0) {
        unlink(address.sun_path);
        return error_sys(err, "listen for container %s", container_id);
    }
    return TAKE_FD(fd);
}

static char *socket_path(struct shim_monitor *monitor, const char *container_id)
{
    return xasprintf("%s/%s" SOCKET_SUFFIX, monitor->sockets_path, container_id);
}

int shim_list(const char *run_path, struct strv *out_ids, struct error *err)
{
    CLEANUP(free) char *path = path_join(run_path, "shims");
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return errno == ENOENT ? 0 : error_sys(err, "read %s", path);
    while ((entry = readdir(dir)))
        if (text_ends(entry->d_name, SOCKET_SUFFIX))
            strv_add_take(out_ids,
                          xstrndup(entry->d_name, strlen(entry->d_name) - strlen(SOCKET_SUFFIX)));
    closedir(dir);
    return 0;
}

/* ---- starting one */

static int spawn(struct shim_monitor *monitor, const struct shim_options *options, int wire_fd,
                 int listen_fd, pid_t *out_pid, struct error *err)
{
    CLEANUP(free) char *path = socket_path(monitor, options->container_id);
    char *const arguments[] = { "berth-shim", (char *)options->container_id, path, NULL };
    char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
    };
    struct process_options process = { .path = options->program_path,
                                       .arguments = arguments,
                                       .environment = environment,
                                       .fds = { -1, -1, -1, wire_fd, listen_fd },
                                       .fd_count = 5,
                                       .new_session = 1 };

    if (process_spawn(&process, out_pid, err) < 0)
        return -1;
    return monitor_add_child(monitor, *out_pid, err);
}

static int send_mounts(struct shim *shim, const struct shim_options *options, struct error *err)
{
    for (size_t i = 0; i < options->mount_count; i++) {
        CLEANUP(wire_done) struct wire_message message = {};

        wire_init(&message, WIRE_MOUNT, 0);
        wire_put_text(&message, WIRE_FIELD_DESTINATION, options->mounts[i].destination);
        wire_put_fd(&message, WIRE_FIELD_MOUNT_FD, options->mounts[i].fd);
        if (handle_send(shim, &message, err) < 0)
            return -1;
    }
    return 0;
}

static int open_seccomp(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, "open seccomp filter %s", path) : fd;
}

static int request_create(struct shim *shim, const struct shim_options *options, pid_t *out_pid,
                          struct error *err)
{
    CLEANUP(wire_done) struct wire_message request = {}, reply = {};
    CLEANUP(close) int seccomp_fd = -1;

    if (options->seccomp_path && (seccomp_fd = open_seccomp(options->seccomp_path, err)) < 0)
        return -1;
    wire_init(&request, WIRE_CREATE, 0);
    wire_put_int(&request, WIRE_FIELD_VERSION, WIRE_VERSION);
    wire_put_text(&request, WIRE_FIELD_BUNDLE_PATH, options->bundle_path);
    wire_put_text(&request, WIRE_FIELD_INIT_PATH, options->init_path);
    wire_put_text(&request, WIRE_FIELD_RUNTIME_PATH, options->runtime_path);
    if (options->runtime_path && options->runtime_arguments) {
        CLEANUP(free) char *words = strv_join(options->runtime_arguments, "\n");

        wire_put_text(&request, WIRE_FIELD_RUNTIME_ARGS, words);
    }
    wire_put_int(&request, WIRE_FIELD_STDIN_OPEN, options->stdin_open);
    wire_put_int(&request, WIRE_FIELD_STDIN_ONCE, options->stdin_once);
    wire_put_text(&request, WIRE_FIELD_LOG_DRIVER, options->log.driver);
    wire_put_text(&request, WIRE_FIELD_LOG_PATH, options->log.path);
    wire_put_int(&request, WIRE_FIELD_LOG_MAX_SIZE, options->log.max_size_bytes);
    wire_put_int(&request, WIRE_FIELD_LOG_MAX_FILES, options->log.max_files);
    wire_put_text(&request, WIRE_FIELD_LOG_ATTRIBUTES, options->log.attributes);
    wire_put_int(&request, WIRE_FIELD_LOG_COMPRESS, options->log.compress);
    wire_put_int(&request, WIRE_FIELD_LOG_DROPS, options->log.non_blocking);
    wire_put_int(&request, WIRE_FIELD_LOG_BUFFER, options->log.buffer_bytes);
    if (options->log.forward &&
        wire_put_blob(&request, WIRE_FIELD_LOG_FORWARD, options->log.forward,
                      strlen(options->log.forward), err) < 0)
        return -1;
    if (options->log.forward || options->log.compress)
        wire_put_fd(&request, WIRE_FIELD_LOGGER_FD, options->logger_fd);
    wire_put_fd(&request, WIRE_FIELD_ROOTFS_FD, options->rootfs_fd);
    wire_put_fd(&request, WIRE_FIELD_NETWORK_FD, options->network_fd);
    wire_put_fd(&request, WIRE_FIELD_SECCOMP_FD, seccomp_fd);
    if (shim_hold(shim, options->kept_fds, options->kept_fd_count, err) < 0 ||
        send_mounts(shim, options, err) < 0 || handle_call(shim, &request, &reply, err) < 0)
        return -1;
    *out_pid = (pid_t)wire_get_int(&reply, WIRE_FIELD_PID, 0);
    return 0;
}

static int start_supervisor(struct shim_monitor *monitor, const struct shim_options *options,
                            struct shim **out, pid_t *out_shim_pid, struct error *err)
{
    CLEANUP(close) int listen_fd = listen_socket(monitor, options->container_id, err);
    int pair[2];

    if (listen_fd < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return error_sys(err, "create socketpair");
    CLEANUP(close) int shim_fd = pair[1];
    CLEANUP(close) int our_fd = pair[0];
    if (spawn(monitor, options, shim_fd, listen_fd, out_shim_pid, err) < 0)
        return -1;
    return handle_new(monitor, options->container_id, TAKE_FD(our_fd), out, err);
}

int shim_create(struct shim_monitor *monitor, const struct shim_options *options, struct shim **out,
                pid_t *out_pid, struct error *err)
{
    CLEANUP(free) char *path = socket_path(monitor, options->container_id);
    CLEANUP(shim_unref) struct shim *shim = NULL;
    struct error failure = {};
    pid_t shim_pid = 0;

    if (start_supervisor(monitor, options, &shim, &shim_pid, &failure) == 0 &&
        request_create(shim, options, out_pid, &failure) == 0) {
        *out = TAKE(shim);
        return 0;
    }
    if (err)
        *err = failure;
    if (failure.kind == ERROR_CONFLICT && !shim) /* the socket is another's */
        return -1;
    if (shim)
        handle_expect_end(shim);
    /* Who answered with an error ends by himself; who did not answer at all has to. */
    if (failure.kind == ERROR_UNAVAILABLE && shim_pid > 0)
        monitor_kill_child(monitor, shim_pid);
    unlink(path);
    return -1;
}

/* ---- finding one */

int shim_connect(struct shim_monitor *monitor, const char *container_id, struct shim **out,
                 struct shim_status *out_status, struct error *err)
{
    CLEANUP(wire_done) struct wire_message hello = {}, reply = {};
    CLEANUP(shim_unref) struct shim *shim = NULL;
    int fd = connect_socket(monitor, container_id, err);

    if (fd < 0 || handle_new(monitor, container_id, fd, &shim, err) < 0)
        return -1;
    wire_init(&hello, WIRE_HELLO, 0);
    wire_put_int(&hello, WIRE_FIELD_VERSION, WIRE_VERSION);
    if (handle_call(shim, &hello, &reply, err) < 0)
        return -1;
    handle_read_status(&reply, out_status);
    *out = TAKE(shim);
    return 0;
}
