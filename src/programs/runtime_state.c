/* Sockets are reached through their directory's descriptor: their names are too short for ids. */
#include "programs/runtime_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/pidfd.h"

#include "base/banned.h"

#define SOCKET_NAME "start.sock"

enum { STATE_SIZE_LIMIT = 1 << 20, CONFIG_SIZE_LIMIT = 64 << 20 };

/* clang-format off */
static const struct json_field fields[] = {
    JSON_STRING(struct state, id,          "id"),
    JSON_STRING(struct state, bundle,      "bundle"),
    JSON_STRING(struct state, rootfs,      "rootfs"),
    JSON_STRING(struct state, cgroup_path, "cgroupPath"),
    JSON_INT64 (struct state, pid,         "pid"),
    JSON_UINT64(struct state, start_time,  "startTime"),
    JSON_TIME  (struct state, created_ns,  "created"),
    JSON_END,
};
/* clang-format on */

int state_check_id(const char *id, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_+-.";

    if (text_is_empty(id) || strspn(id, allowed) != strlen(id) || strcmp(id, ".") == 0 ||
        strcmp(id, "..") == 0 || strlen(id) > 1024)
        return error_set(err, ERROR_INVALID, "invalid container ID format: %s", id ? id : "");
    return 0;
}

int state_claim(const char *root, const char *id, char **out_directory, struct error *err)
{
    CLEANUP(free) char *directory = path_join(root, id);

    if (state_check_id(id, err) < 0 || dir_make(root, 0700, err) < 0)
        return -1;
    if (mkdir(directory, 0700) < 0) {
        if (errno == EEXIST)
            return error_set(err, ERROR_CONFLICT, "container with given ID already exists: %s", id);
        return error_sys(err, "make %s", directory);
    }
    *out_directory = TAKE(directory);
    return 0;
}

int state_save(const struct state *state, const char *config_text, size_t config_size,
               struct error *err)
{
    CLEANUP(free) char *state_path = path_join(state->directory, "state.json");
    CLEANUP(free) char *config_path = path_join(state->directory, "config.json");
    CLEANUP(str_done) struct str text = {};

    json_encode(fields, state, &text);
    if (file_write_atomic(config_path, config_text, config_size, 0600, false, err) < 0)
        return -1;
    return file_write_atomic(state_path, text.data, text.length, 0600, false, err);
}

int state_load(const char *root, const char *id, struct state *out, struct error *err)
{
    CLEANUP(state_done) struct state state = {};
    CLEANUP(str_done) struct str text = {}, config = {};
    struct error failure = {};

    if (state_check_id(id, err) < 0)
        return -1;
    state.directory = path_join(root, id);
    CLEANUP(free) char *state_path = path_join(state.directory, "state.json");
    CLEANUP(free) char *config_path = path_join(state.directory, "config.json");
    if (file_read(state_path, STATE_SIZE_LIMIT, &text, &failure) < 0) {
        if (failure.kind == ERROR_NOT_FOUND)
            return error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", id);
        *err = failure;
        return -1;
    }
    char *directory = TAKE(state.directory);
    int decoded = json_decode(fields, str_text(&text), text.length, &state, err);
    state.directory = directory;
    if (decoded < 0)
        return error_context(err, "%s", state_path);
    if (file_read(config_path, CONFIG_SIZE_LIMIT, &config, err) < 0 ||
        runtime_config_decode(str_text(&config), config.length, &state.config, err) < 0)
        return -1;
    *out = state;
    state = (struct state){};
    return 0;
}

int state_remove(const struct state *state, struct error *err)
{
    return tree_remove(state->directory, err);
}

void state_done(struct state *state)
{
    runtime_config_done(&state->config);
    free(state->directory);
    json_fields_done(fields, state);
}

/* A zombie has ended: only its parent has not looked yet. */
static bool is_zombie(pid_t pid)
{
    CLEANUP(str_done) struct str text = {};
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (file_read(path, 4096, &text, NULL) < 0)
        return true;
    const char *end = strrchr(str_text(&text), ')');
    return end && (end[2] == 'Z' || end[2] == 'X');
}

static bool is_frozen(const char *group)
{
    bool legacy = cgroup_version() == CGROUP_V1;
    CLEANUP(free)
    char *value = cgroup_read(group, "freezer", legacy ? "freezer.state" : "cgroup.freeze");

    return value && strcmp(value, legacy ? "FROZEN" : "1") == 0;
}

const char *state_status(const struct state *state)
{
    CLEANUP(free) char *socket_path = path_join(state->directory, SOCKET_NAME);
    pid_t pid = (pid_t)state->pid;

    if (pid <= 0 || process_start_time(pid) != state->start_time || is_zombie(pid))
        return "stopped";
    if (file_exists(socket_path))
        return "created";
    return !text_is_empty(state->cgroup_path) && is_frozen(state->cgroup_path) ? "paused"
                                                                               : "running";
}

/* ---- start socket ---- */

static int open_socket(const char *directory, struct sockaddr_un *out, int *out_directory_fd,
                       struct error *err)
{
    int fd;

    *out_directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out_directory_fd < 0)
        return error_sys(err, "open %s", directory);
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *out_directory_fd,
             SOCKET_NAME);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : error_sys(err, "socket");
}

int state_listen(const char *directory, struct error *err)
{
    struct sockaddr_un address;
    CLEANUP(close) int directory_fd = -1;
    CLEANUP(close) int fd = open_socket(directory, &address, &directory_fd, err);

    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return error_sys(err, "start socket");
    return TAKE_FD(fd);
}

int state_connect(const struct state *state, struct error *err)
{
    struct sockaddr_un address;
    CLEANUP(close) int directory_fd = -1;
    CLEANUP(close) int fd = open_socket(state->directory, &address, &directory_fd, err);

    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, "start socket");
    return TAKE_FD(fd);
}

void state_forget_socket(const struct state *state)
{
    CLEANUP(free) char *path = path_join(state->directory, SOCKET_NAME);

    unlink(path);
}
