/* Containers for tests. */
#include "shim/shim_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "shim/log_read.h"

#include "base/banned.h"

char bundle_path[128], run_path[128], log_path[128];
static char dir_path[64], program_path[512];
struct told told;
struct shim_monitor *monitor;
const char *resources = "{}";

static void on_exited(void *data UNUSED, const char *container_id, const char *exec_id, int code,
                      bool oom_killed, int64_t wall_ns)
{
    mutex_lock(&told.lock);
    cr_expect_str_eq(container_id, ID);
    if (exec_id)
        map_set(&told.exec_exits, exec_id, xasprintf("%d", code));
    else {
        told.exits++;
        told.exit_code = code;
        told.oom_killed = oom_killed;
        told.exit_ns = wall_ns;
    }
    condition_broadcast(&told.changed);
    mutex_unlock(&told.lock);
}

static void on_detached(void *data UNUSED, const char *container_id UNUSED,
                        const char *exec_id UNUSED)
{
    mutex_lock(&told.lock);
    told.detaches++;
    condition_broadcast(&told.changed);
    mutex_unlock(&told.lock);
}

static void on_out_of_memory(void *data UNUSED, const char *container_id UNUSED,
                             int64_t wall_ns UNUSED)
{
    mutex_lock(&told.lock);
    told.shortages++;
    condition_broadcast(&told.changed);
    mutex_unlock(&told.lock);
}

static void on_lost(void *data UNUSED, const char *container_id UNUSED, pid_t pid)
{
    mutex_lock(&told.lock);
    told.losses++;
    told.lost_pid = pid;
    condition_broadcast(&told.changed);
    mutex_unlock(&told.lock);
}

void wait_until(bool (*is_so)(void))
{
    uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)LIMIT_MS * NS_PER_MS;
    bool waiting = true;

    mutex_lock(&told.lock);
    while (!is_so() && waiting)
        waiting = condition_wait_until(&told.changed, &told.lock, deadline_ns);
    mutex_unlock(&told.lock);
    cr_assert(waiting, "nothing was told");
}

bool has_exited(void)
{
    return told.exits > 0;
}

bool exec_has_exited(void)
{
    return told.exec_exits.count > 0;
}

bool has_detached(void)
{
    return told.detaches > 0;
}

bool is_short_of_memory(void)
{
    return told.shortages > 0;
}

bool is_lost(void)
{
    return told.losses > 0;
}

static void find_program(void)
{
    ssize_t length = readlink("/proc/self/exe", program_path, sizeof(program_path) - 32);
    const char *given = getenv("BERTH_SHIM");

    if (given) {
        snprintf(program_path, sizeof(program_path), "%s", given);
        return;
    }
    cr_assert_gt(length, 0);
    program_path[length] = '\0';
    snprintf(strrchr(program_path, '/'), 32, "/programs/berth-shim");
}

void open_monitor(void)
{
    struct shim_events events = { .exited = on_exited,
                                  .out_of_memory = on_out_of_memory,
                                  .detached = on_detached,
                                  .lost = on_lost };
    struct error err = {};

    cr_assert_eq(shim_monitor_new(run_path, &events, &monitor, &err), 0, "%s", err.text);
}

static void make_rootfs(void)
{
    CLEANUP(free)
    char *command =
        xasprintf("mkdir -p %s/rootfs/bin %s/rootfs/proc %s/rootfs/dev %s/rootfs/sys && "
                  "cp /usr/bin/busybox %s/rootfs/bin/ && ln -s busybox %s/rootfs/bin/sh",
                  bundle_path, bundle_path, bundle_path, bundle_path, bundle_path, bundle_path);

    cr_assert_eq(system(command), 0);
}

void set_up(void)
{
    find_program();
    if (geteuid() != 0 || access(program_path, X_OK) < 0 || access("/usr/bin/busybox", X_OK) < 0)
        cr_skip("needs root, busybox and %s", program_path);
    snprintf(dir_path, sizeof(dir_path), "/tmp/berth-shim-XXXXXX");
    cr_assert(mkdtemp(dir_path));
    snprintf(bundle_path, sizeof(bundle_path), "%s/bundle", dir_path);
    snprintf(run_path, sizeof(run_path), "%s/run", dir_path);
    snprintf(log_path, sizeof(log_path), "%s/c-json.log", dir_path);
    make_rootfs();
    mutex_init(&told.lock);
    condition_init(&told.changed);
    map_init_empty(&told.exec_exits, free);
    open_monitor();
}

/* Of a test that failed half-way. */
static void end_supervisors(void)
{
    CLEANUP(strv_done) struct strv ids = {};

    shim_list(run_path, &ids, NULL);
    for (size_t i = 0; i < ids.count; i++) {
        CLEANUP(shim_unref) struct shim *shim = NULL;
        struct shim_status status;

        if (shim_connect(monitor, ids.items[i], &shim, &status, NULL) == 0)
            shim_forget(shim, NULL);
    }
}

void tear_down(void)
{
    if (!monitor)
        return;
    end_supervisors();
    shim_monitor_free(monitor);
    tree_remove(dir_path, NULL);
}

/* A configuration for `busybox sh -c <script>`. */
void write_config(const char *script, bool terminal)
{
    CLEANUP(free) char *path = path_join(bundle_path, "config.json");
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "ociVersion", "1.2.0");
    json_begin_dict(&w, "root");
    json_add_text(&w, "path", "rootfs");
    json_end_dict(&w);
    json_begin_dict(&w, "process");
    json_add_bool(&w, "terminal", terminal);
    json_add_text(&w, "cwd", "/");
    json_add_raw(&w, "user", "{\"uid\":0,\"gid\":0}");
    json_add_raw(&w, "env", "[\"PATH=/bin\"]");
    json_begin_list(&w, "args");
    json_add_text(&w, NULL, BUSYBOX);
    json_add_text(&w, NULL, "sh");
    json_add_text(&w, NULL, "-c");
    json_add_text(&w, NULL, script);
    json_end_list(&w);
    json_end_dict(&w);
    json_add_raw(&w, "mounts",
                 "[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
                 "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
                 "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
                 "\"options\":[\"newinstance\",\"ptmxmode=0666\"]}]");
    json_begin_dict(&w, "linux");
    json_add_text_format(&w, "cgroupsPath", "/berth-shim-test-%d", (int)getpid());
    json_add_raw(&w, "resources", resources);
    json_add_raw(&w, "namespaces",
                 "[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
                 "{\"type\":\"network\"}]");
    json_end_dict(&w);
    json_end_dict(&w);
    cr_assert_eq(file_write_atomic(path, text.data, text.length, 0600, false, NULL), 0);
}

void make_process(struct runtime_process *out, const char *script)
{
    *out = (struct runtime_process){ .cwd = xstrdup("/") };
    strv_add(&out->args, BUSYBOX);
    strv_add(&out->args, "sh");
    strv_add(&out->args, "-c");
    strv_add(&out->args, script);
}

struct shim_options usual_options(void)
{
    return (struct shim_options){
        .program_path = program_path,
        .container_id = ID,
        .bundle_path = bundle_path,
        .rootfs_fd = -1,
        .network_fd = -1,
        .log = { .driver = "json-file",
                 .path = log_path,
                 .max_size_bytes = 20 << 20,
                 .max_files = 5 },
    };
}

struct shim *create(const char *script, bool terminal, bool stdin_open, bool stdin_once)
{
    struct shim_options options = usual_options();
    struct shim *shim = NULL;
    struct error err = {};
    pid_t pid = 0;

    write_config(script, terminal);
    options.stdin_open = stdin_open;
    options.stdin_once = stdin_once;
    cr_assert_eq(shim_create(monitor, &options, &shim, &pid, &err), 0, "%s", err.text);
    cr_assert_gt(pid, 0);
    return shim;
}

void start(struct shim *shim)
{
    struct error err = {};

    cr_assert_eq(shim_start(shim, &err), 0, "%s", err.text);
}

void forget(struct shim *shim)
{
    struct error err = {};
    CLEANUP(strv_done) struct strv left = {};

    cr_expect_eq(shim_forget(shim, &err), 0, "%s", err.text);
    shim_unref(shim);
    cr_expect_eq(shim_list(run_path, &left, &err), 0);
    cr_expect_eq(left.count, 0, "the socket is removed");
}

/* One end for the supervisor, the other for us. */
int attach(struct shim *shim, struct shim_stream_options options)
{
    struct error err = {};
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(shim_attach(shim, pair[1], &options, &err), 0, "%s", err.text);
    return pair[0];
}

const struct shim_stream_options all_raw = { .stdin_wanted = true,
                                             .stdout_wanted = true,
                                             .stderr_wanted = true };

/* All until the end, or until 'stop' was seen. Bytes of frames' heads show as they are. */
void read_until(int fd, const char *stop, struct str *out)
{
    char block[4096];
    struct pollfd readable = { .fd = fd, .events = POLLIN };

    while (!stop || !out->length || !memmem(out->data, out->length, stop, strlen(stop))) {
        cr_assert_eq(poll(&readable, 1, LIMIT_MS), 1, "no answer; so far: %s", str_text(out));
        ssize_t size = read(fd, block, sizeof(block));
        cr_assert_geq(size, 0, "%s", strerror(errno));
        if (size == 0) {
            cr_assert_null(stop, "ended without '%s': %s", stop, str_text(out));
            return;
        }
        str_add_bytes(out, block, (size_t)size);
    }
}

void send_text(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

char *logged(void)
{
    struct log_reader_options options = {
        .path = log_path, .tail = -1, .stdout_wanted = true, .stderr_wanted = true
    };
    CLEANUP(log_reader_close) struct log_reader *reader = NULL;
    struct str text = {};
    struct log_entry entry;

    cr_assert_eq(log_reader_open(&options, &reader, NULL), 0);
    while (log_reader_next(reader, &entry, NULL) > 0) {
        str_add(&text, entry.is_stderr ? "E:" : "O:");
        str_add_bytes(&text, entry.text, entry.size);
    }
    return str_take(&text);
}
