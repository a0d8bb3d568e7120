/* The words of an OCI runtime: runc's, which the others took over. */
#include "shim/oci.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "linux/mount.h"
#include "linux/pidfd.h"
#include "runtime/borrow.h"
#include "runtime/user.h"
#include "shim/task.h"

#include "base/banned.h"

#define LEAST_VERSION                                                                              \
    "1.0.2" /* of the specification: runtimes refuse versions newer than themselves */

enum { LOG_LIMIT = 1 << 20, WORD_LIMIT = 64 };

static char *bundle_file(const struct supervisor *shim, const char *name)
{
    return path_join(shim->bundle_path, name);
}

/* ---- calling it ---- */

/* Some write the kernel's words with a capital, where clients look for small ones. */
static void lower_words(char *text)
{
    for (char *at = strstr(text, ": "); at; at = strstr(at + 2, ": "))
        if (isupper((unsigned char)at[2]) && islower((unsigned char)at[3]))
            at[2] = (char)tolower((unsigned char)at[2]);
}

/* The last thing that it said in its log. */
static int runtime_failed(const struct supervisor *shim, const char *command, int code,
                          struct error *err)
{
    CLEANUP(free) char *path = bundle_file(shim, "runtime.log");
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};

    file_read(path, LOG_LIMIT, &text, NULL);
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = lines.count; i-- > 0;) {
        CLEANUP(json_free) struct json *line = NULL;

        if (json_parse(lines.items[i], strlen(lines.items[i]), &line, NULL) < 0)
            continue;
        const char *message = json_text(json_get(line, "msg"));
        const char *level = json_text(json_get(line, "level"));
        if (!message || (level && strcmp(level, "error") != 0 && strcmp(level, "fatal") != 0))
            continue;
        CLEANUP(free) char *words = xstrdup(message);
        lower_words(words);
        return error_set(err, ERROR_INVALID, "%s", words);
    }
    return error_set(err, ERROR_INTERNAL, "%s %s ended with %d", path_base(shim->runtime_path),
                     command, code);
}

/* Starts "<runtime> <its arguments> --root … --log … <words>". */
static int begin(const struct supervisor *shim, const char *const *words, const int stdio[3],
                 pid_t *out_pid, struct error *err)
{
    CLEANUP(free) char *root = bundle_file(shim, "runtime");
    CLEANUP(free) char *log = bundle_file(shim, "runtime.log");
    const char *const before[] = { "--root", root, "--log", log, "--log-format", "json" };
    char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
    };
    char *arguments[WORD_LIMIT + 1];
    size_t count = 0;

    unlink(log);
    arguments[count++] = shim->runtime_path;
    for (size_t i = 0; i < shim->runtime_arguments.count && count < WORD_LIMIT / 2; i++)
        arguments[count++] = shim->runtime_arguments.items[i];
    for (size_t i = 0; i < COUNT(before); i++)
        arguments[count++] = (char *)before[i];
    for (; *words && count < WORD_LIMIT; words++)
        arguments[count++] = (char *)*words;
    arguments[count] = NULL;
    struct process_options options = { .path = shim->runtime_path,
                                       .arguments = arguments,
                                       .environment = environment,
                                       .fds = { stdio[0], stdio[1], stdio[2] },
                                       .fd_count = 3 };
    if (process_spawn(&options, out_pid, err) < 0)
        return error_context(err, "runtime %s", shim->runtime_path);
    return 0;
}

static int call(const struct supervisor *shim, const char *const *words, const int stdio[3],
                struct error *err)
{
    static const int none[3] = { -1, -1, -1 };
    pid_t pid;
    int code;

    if (begin(shim, words, stdio ? stdio : none, &pid, err) < 0 ||
        process_wait(pid, &code, err) < 0)
        return -1;
    return code == 0 ? 0 : runtime_failed(shim, words[0], code, err);
}

/* ---- its terminal ---- */

/* The path is short whatever the bundle's is, as the name of a socket must be. */
static int listen_console(struct supervisor *shim, const char *name, int *out_dir_fd,
                          char **out_path, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(close)
    int dir_fd = open(shim->bundle_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (dir_fd < 0 || fd < 0)
        return error_sys(err, "console socket");
    CLEANUP(free) char *path = xasprintf("/proc/%d/fd/%d/%s", (int)getpid(), dir_fd, name);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return error_sys(err, "console socket");
    *out_dir_fd = TAKE_FD(dir_fd);
    *out_path = TAKE(path);
    return TAKE_FD(fd);
}

/* The runtime has ended: what it sent is there, or will not come. */
static int take_console(int listen_fd, struct error *err)
{
    char bytes[64];
    CLEANUP(close) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int console_fd = -1;

    if (fd < 0)
        return error_sys(err, "take the terminal over");
    if (descriptor_receive(fd, bytes, sizeof(bytes), &console_fd, err) < 0)
        return error_context(err, "take the terminal over");
    if (console_fd < 0)
        return error_set(err, ERROR_INTERNAL, "the runtime sent no terminal");
    return console_fd;
}

static int take_pid(const char *path, struct container *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    int64_t pid;

    if (file_read(path, 64, &text, err) < 0 ||
        parse_int64(str_text(&text), 1, INT32_MAX, &pid, err) < 0)
        return error_context(err, "pid of the process");
    out->pid = (pid_t)pid;
    out->pidfd = pidfd_open_process(out->pid, err);
    return out->pidfd < 0 ? -1 : 0;
}

/* A short process may be over, and reaped, before its runtime is. */
static int take_exec_pid(const char *path, struct container *out, struct error *err)
{
    struct error failure = {};

    if (take_pid(path, out, &failure) == 0 || (out->pid && failure.sys == ESRCH))
        return 0;
    if (err)
        *err = failure;
    return -1;
}

/* ---- the configuration, in words that every runtime knows ---- */

/* Names of users and groups are looked up in the container's own files. */
static int name_user(int root_fd, struct runtime_process *process, struct error *err)
{
    CLEANUP(user_identity_done) struct user_identity identity = {};
    CLEANUP(str_done) struct str groups = {};
    struct runtime_user *user = &process->user;

    if (user_look_up(root_fd, user, &identity, err) < 0)
        return -1;
    str_add(&groups, "[");
    for (size_t i = 0; i < identity.group_count; i++)
        str_add_format(&groups, "%s%u", i ? "," : "", identity.groups[i]);
    str_add(&groups, "]");
    user->uid = identity.uid;
    user->gid = identity.gid;
    free(user->username);
    user->username = NULL;
    strv_done(&user->additional_groups);
    free(user->additional_gids);
    user->additional_gids = str_take(&groups);
    bool has_home = false;
    for (size_t i = 0; i < process->env.count; i++)
        has_home |= text_starts(process->env.items[i], "HOME=");
    if (!has_home)
        strv_add_format(&process->env, "HOME=%s", identity.home ? identity.home : "/");
    return 0;
}

static void name_network(struct runtime_config *config, int network_fd)
{
    struct json_list *namespaces = &config->linux_part.namespaces;

    for (size_t i = 0; network_fd >= 0 && i < namespaces->count; i++) {
        struct runtime_namespace *one = &JSON_ITEMS(namespaces, struct runtime_namespace)[i];

        if (strcmp(one->type, "network") != 0)
            continue;
        free(one->path);
        one->path = xasprintf("/proc/%d/fd/%d", (int)getpid(), network_fd);
    }
}

/* Puts a mount without a path where the runtime can find it; the path is yours. */
static char *place_source(const struct supervisor *shim, size_t number, int fd, struct error *err)
{
    CLEANUP(free) char *directory = bundle_file(shim, "mounts");
    CLEANUP(free) char *path = xasprintf("%s/%zu", directory, number);
    struct stat status;

    if (fstat(fd, &status) < 0 || dir_make(directory, 0700, err) < 0)
        return NULL;
    if (S_ISDIR(status.st_mode) ? dir_make(path, 0700, err) < 0
                                : file_write_atomic(path, "", 0, 0600, false, err) < 0)
        return NULL;
    return mount_place_at(fd, path, err) < 0 ? NULL : TAKE(path);
}

static int name_sources(const struct supervisor *shim, const struct container_options *options,
                        struct runtime_config *config, struct error *err)
{
    for (size_t i = 0; i < config->mounts.count; i++) {
        struct runtime_mount *mount = &JSON_ITEMS(&config->mounts, struct runtime_mount)[i];
        CLEANUP(close) int fd = -1;
        const char *path;
        pid_t pid;

        for (size_t s = 0; s < options->source_count; s++)
            if (strcmp(options->sources[s].destination, mount->destination) == 0)
                fd = fcntl(options->sources[s].fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0 && mount->source && borrow_names(mount->source, &pid, &path) &&
            (fd = borrow_mount(pid, path, err)) < 0)
            return -1;
        if (fd < 0)
            continue;
        char *placed = place_source(shim, i, fd, err);
        if (!placed)
            return error_context(err, "mount on %s", mount->destination);
        free(mount->source);
        mount->source = placed;
    }
    return 0;
}

static void add_init(struct runtime_config *config, const char *init_path)
{
    if (!init_path)
        return;
    struct runtime_mount *mount = json_list_add(&config->mounts, sizeof(*mount));
    mount->destination = xstrdup("/sbin/docker-init");
    mount->type = xstrdup("bind");
    mount->source = xstrdup(init_path);
    strv_split(&mount->options, "bind,rprivate,ro", ',');
}

static int write_config(const struct supervisor *shim, const struct runtime_config *config,
                        struct error *err)
{
    CLEANUP(free) char *path = bundle_file(shim, "config.json");
    CLEANUP(str_done) struct str text = {};

    runtime_config_encode(config, &text);
    return file_write_atomic(path, text.data, text.length, 0600, false, err);
}

/* A mount namespace of our own, in which the host's mounts go on to come and go. */
static int show_root(const struct supervisor *shim, int rootfs_fd, struct error *err)
{
    CLEANUP(free) char *path = bundle_file(shim, "rootfs");

    if (unshare(CLONE_NEWNS) < 0)
        return error_sys(err, "mount namespace of the supervisor");
    if (mount_change_at("/", true, 0, 0, MS_SLAVE, err) < 0 || dir_make(path, 0700, err) < 0)
        return -1;
    return rootfs_fd < 0 ? 0 : mount_place_at(rootfs_fd, path, err);
}

static int prepare(struct supervisor *shim, const struct container_options *options,
                   struct error *err)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {};

    json_fields_copy(runtime_config_fields, options->config, &config);
    if (show_root(shim, options->rootfs_fd, err) < 0 ||
        name_user(options->rootfs_fd, &config.process, err) < 0 ||
        name_sources(shim, options, &config, err) < 0)
        return -1;
    name_network(&config, options->network_fd);
    free(config.oci_version);
    config.oci_version = xstrdup(LEAST_VERSION);
    add_init(&config, options->init_path);
    return write_config(shim, &config, err);
}

/* ---- the commands ---- */

int oci_create(struct supervisor *shim, const struct container_options *options,
               struct container *out, struct error *err)
{
    struct container container = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };
    CLEANUP(free) char *pid_path = bundle_file(shim, "init.pid");
    CLEANUP(free) char *console_path = NULL;
    CLEANUP(close) int listen_fd = -1;
    CLEANUP(close) int dir_fd = -1;
    bool terminal = options->config->process.terminal;

    if (prepare(shim, options, err) < 0)
        return -1;
    if (terminal &&
        (listen_fd = listen_console(shim, "console.sock", &dir_fd, &console_path, err)) < 0)
        return -1;
    const char *const words[] = { "create",
                                  "--bundle",
                                  shim->bundle_path,
                                  "--pid-file",
                                  pid_path,
                                  terminal ? "--console-socket" : shim->container_id,
                                  terminal ? console_path : NULL,
                                  terminal ? shim->container_id : NULL,
                                  NULL };
    if (call(shim, words, options->stdio, err) < 0)
        return -1;
    if (take_pid(pid_path, &container, err) < 0 ||
        (terminal && (container.console_fd = take_console(listen_fd, err)) < 0)) {
        if (container.pidfd >= 0)
            close(container.pidfd);
        oci_delete(shim, NULL);
        return -1;
    }
    container.cgroup_path = xstrdup(options->config->linux_part.cgroups_path);
    *out = container;
    return 0;
}

int oci_start(struct supervisor *shim, struct error *err)
{
    const char *const words[] = { "start", shim->container_id, NULL };

    return call(shim, words, NULL, err);
}

int oci_delete(struct supervisor *shim, struct error *err)
{
    const char *const words[] = { "delete", "--force", shim->container_id, NULL };

    return call(shim, words, NULL, err);
}

/* ---- exec ---- */

struct exec_files {
    char *process, *pid, *console;
};

static struct exec_files exec_files(const struct supervisor *shim, const char *exec_id)
{
    return (struct exec_files){
        .process = xasprintf("%s/exec-%s.json", shim->bundle_path, exec_id),
        .pid = xasprintf("%s/exec-%s.pid", shim->bundle_path, exec_id),
        .console = xasprintf("exec-%.32s.sock", exec_id),
    };
}

static void exec_files_done(struct exec_files *files)
{
    free(files->process);
    free(files->pid);
    free(files->console);
}
CLEANUP_VALUE(exec_files_done, struct exec_files)

static int write_process(const struct supervisor *shim, const char *path,
                         const struct runtime_process *wish, struct error *err)
{
    struct runtime_process process = {};
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *root = xasprintf("/proc/%d/root", (int)shim->init->process.pid);
    CLEANUP(close) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        return error_sys(err, "root of the container");
    json_fields_copy(runtime_process_fields, wish, &process);
    int result = name_user(root_fd, &process, err);
    if (result == 0) {
        json_encode(runtime_process_fields, &process, &text);
        result = file_write_atomic(path, text.data, text.length, 0600, false, err);
    }
    json_fields_done(runtime_process_fields, &process);
    return result;
}

int oci_exec_begin(struct supervisor *shim, const char *exec_id,
                   const struct runtime_process *process, const int stdio[3], pid_t *out_pid,
                   struct oci_terminal *out_terminal, struct error *err)
{
    CLEANUP(exec_files_done) struct exec_files files = exec_files(shim, exec_id);
    const char *words[WORD_LIMIT] = { "exec",        "--detach",   "--process",
                                      files.process, "--pid-file", files.pid };
    size_t count = 6;

    *out_terminal = (struct oci_terminal){ -1, -1 };
    if (write_process(shim, files.process, process, err) < 0)
        return -1;
    CLEANUP(free) char *console_path = NULL;
    if (process->terminal) {
        out_terminal->listen_fd = listen_console(shim, files.console, &out_terminal->dir_fd,
                                                 &console_path, err);
        if (out_terminal->listen_fd < 0)
            return -1;
        words[count++] = "--console-socket";
        words[count++] = console_path;
    }
    words[count++] = shim->container_id;
    words[count] = NULL;
    return begin(shim, words, stdio, out_pid, err);
}

int oci_exec_finish(struct supervisor *shim, const char *exec_id, int status,
                    struct oci_terminal *terminal, struct container *out, struct error *err)
{
    CLEANUP(exec_files_done) struct exec_files files = exec_files(shim, exec_id);
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    int result = code ? runtime_failed(shim, "exec", code, err)
                      : take_exec_pid(files.pid, out, err);

    if (result == 0 && terminal->listen_fd >= 0 &&
        (out->console_fd = take_console(terminal->listen_fd, err)) < 0)
        result = -1;
    unlink(files.process);
    unlink(files.pid);
    oci_terminal_done(terminal);
    return result;
}

void oci_terminal_done(struct oci_terminal *terminal)
{
    if (terminal->listen_fd >= 0)
        close(terminal->listen_fd);
    if (terminal->dir_fd >= 0)
        close(terminal->dir_fd);
    *terminal = (struct oci_terminal){ -1, -1 };
}
