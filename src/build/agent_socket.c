/* One thread accepts, and one more passes the bytes of each connection on. */
#include "build/agent_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

struct agent_socket {
    const struct build_secrets *secrets;
    char *id;
    int listen_fd, stop_fd; /* an event: it is being closed */
    pthread_t thread;
    bool has_thread;
    struct mutex lock;
    struct condition changed;
    size_t connection_count GUARDED_BY(lock);
};

struct agent_connection {
    struct agent_socket *socket;
    int step_fd;
};

/* Moves what one side has to the other; false at the end of what it has to say. */
static bool pass(int from_fd, int to_fd)
{
    char block[16 * 1024];
    ssize_t count = read(from_fd, block, sizeof(block));

    for (ssize_t sent = 0; count > 0 && sent < count;) {
        ssize_t now = send(to_fd, block + sent, (size_t)(count - sent), MSG_NOSIGNAL);

        if (now < 0 && errno != EINTR)
            return false;
        sent += now > 0 ? now : 0;
    }
    return count > 0 || (count < 0 && errno == EINTR);
}

/* A side that does not take what it is sent is given up with the step: the limits say how long a
 * write may wait. */
static void limit_writes(int fd)
{
    const struct timeval limit = { .tv_sec = 10 };

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static void pass_between(int step_fd, int agent_fd, int stop_fd)
{
    struct pollfd fds[] = { { .fd = step_fd, .events = POLLIN },
                            { .fd = agent_fd, .events = POLLIN },
                            { .fd = stop_fd, .events = POLLIN } };

    limit_writes(step_fd);
    limit_writes(agent_fd);
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, COUNT(fds), -1) < 0)
            continue;
        if (fds[2].revents)
            return;
        for (size_t i = 0; i < 2; i++) {
            int to_fd = i == 0 ? agent_fd : step_fd;

            if (fds[i].revents && !pass(fds[i].fd, to_fd)) {
                shutdown(to_fd, SHUT_WR);
                fds[i].fd = -1;
            }
        }
    }
}

static void *serve(void *data)
{
    CLEANUP(free) struct agent_connection *connection = data;
    struct agent_socket *socket = connection->socket;
    const struct build_secrets *secrets = socket->secrets;
    int agent_fd = secrets->dial_agent(secrets->data, socket->id, socket->stop_fd, NULL);

    if (agent_fd >= 0) {
        pass_between(connection->step_fd, agent_fd, socket->stop_fd);
        close(agent_fd);
    }
    close(connection->step_fd);
    mutex_lock(&socket->lock);
    socket->connection_count--;
    condition_broadcast(&socket->changed);
    mutex_unlock(&socket->lock);
    return NULL;
}

static void take(struct agent_socket *socket, int fd)
{
    struct agent_connection *connection = NEW(struct agent_connection);

    *connection = (struct agent_connection){ socket, fd };
    mutex_lock(&socket->lock);
    bool is_taken = socket->connection_count < AGENT_CONNECTION_LIMIT &&
                    thread_start_detached("build-agent", serve, connection, NULL) == 0;
    socket->connection_count += is_taken;
    mutex_unlock(&socket->lock);
    if (is_taken)
        return;
    close(fd);
    free(connection);
}

static void *accept_all(void *data)
{
    struct agent_socket *socket = data;
    struct pollfd fds[] = { { .fd = socket->listen_fd, .events = POLLIN },
                            { .fd = socket->stop_fd, .events = POLLIN } };

    for (;;) {
        if (poll(fds, COUNT(fds), -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        int fd = accept4(socket->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take(socket, fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return NULL;
    }
}

/* The directory's path may be longer than a socket's name can be. */
static int bind_in(int socket_fd, const char *directory_path, const char *name, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(close) int fd = open(directory_path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", directory_path);
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", fd, name);
    if (bind(socket_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(socket_fd, AGENT_CONNECTION_LIMIT) < 0)
        return error_sys(err, "make the socket of an agent");
    return 0;
}

int agent_socket_open(const struct build_secrets *secrets, const char *id,
                      const char *directory_path, const char *name, struct agent_socket **out,
                      struct error *err)
{
    struct agent_socket *made = NEW(struct agent_socket);

    mutex_init(&made->lock);
    condition_init(&made->changed);
    made->secrets = secrets;
    made->id = xstrdup(id);
    made->stop_fd = eventfd(0, EFD_CLOEXEC);
    made->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made->stop_fd < 0 || made->listen_fd < 0)
        error_sys(err, "make a socket");
    else if (bind_in(made->listen_fd, directory_path, name, err) == 0)
        made->has_thread = thread_start("build-agents", accept_all, made, &made->thread, err) == 0;
    if (!made->has_thread) {
        agent_socket_close(made);
        return -1;
    }
    *out = made;
    return 0;
}

void agent_socket_close(struct agent_socket *socket)
{
    const uint64_t one = 1;

    if (!socket)
        return;
    if (socket->has_thread) {
        (void)!write(socket->stop_fd, &one, sizeof(one));
        pthread_join(socket->thread, NULL);
    }
    mutex_lock(&socket->lock);
    while (socket->connection_count > 0)
        condition_wait(&socket->changed, &socket->lock);
    mutex_unlock(&socket->lock);
    if (socket->listen_fd >= 0)
        close(socket->listen_fd);
    if (socket->stop_fd >= 0)
        close(socket->stop_fd);
    free(socket->id);
    mutex_done(&socket->lock);
    condition_done(&socket->changed);
    free(socket);
}
