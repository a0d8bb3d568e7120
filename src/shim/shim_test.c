/* A real supervisor with a real container (busybox), driven through the daemon's handle. Needs root
 * and the program beside this one; is skipped otherwise. */
#include "shim/shim.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "linux/cgroup.h"
#include "shim/log_read.h"
#include "shim/state.h"

#include "base/banned.h"

#define ID      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BUSYBOX "/bin/busybox"
enum { LIMIT_MS = 20000 };

/* What the supervisors told. */
struct told {
    struct mutex lock;
    struct condition changed;
    int exits, detaches, losses, shortages, exit_code;
    bool oom_killed;
    int64_t exit_ns;
    struct map exec_exits; /* id → text of the code */
    pid_t lost_pid;
};

static char dir_path[64], bundle_path[128], run_path[128], log_path[128], program_path[512];
static struct told told;
static struct shim_monitor *monitor;
static const char *resources = "{}";

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

static void wait_until(bool (*is_so)(void))
{
    uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)LIMIT_MS * NS_PER_MS;
    bool waiting = true;

    mutex_lock(&told.lock);
    while (!is_so() && waiting)
        waiting = condition_wait_until(&told.changed, &told.lock, deadline_ns);
    mutex_unlock(&told.lock);
    cr_assert(waiting, "nothing was told");
}

static bool has_exited(void)
{
    return told.exits > 0;
}

static bool exec_has_exited(void)
{
    return told.exec_exits.count > 0;
}

static bool has_detached(void)
{
    return told.detaches > 0;
}

static bool is_short_of_memory(void)
{
    return told.shortages > 0;
}

static bool is_lost(void)
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

static void open_monitor(void)
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

static void set_up(void)
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

static void tear_down(void)
{
    if (!monitor)
        return;
    shim_monitor_free(monitor);
    tree_remove(dir_path, NULL);
}

TestSuite(shim, .init = set_up, .fini = tear_down, .timeout = 60);

/* A configuration for `busybox sh -c <script>`. */
static void write_config(const char *script, bool terminal)
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

static void make_process(struct runtime_process *out, const char *script)
{
    *out = (struct runtime_process){ .cwd = xstrdup("/") };
    strv_add(&out->args, BUSYBOX);
    strv_add(&out->args, "sh");
    strv_add(&out->args, "-c");
    strv_add(&out->args, script);
}

static struct shim_options usual_options(void)
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

static struct shim *create(const char *script, bool terminal, bool stdin_open, bool stdin_once)
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

static void start(struct shim *shim)
{
    struct error err = {};

    cr_assert_eq(shim_start(shim, &err), 0, "%s", err.text);
}

static void forget(struct shim *shim)
{
    struct error err = {};
    CLEANUP(strv_done) struct strv left = {};

    cr_expect_eq(shim_forget(shim, &err), 0, "%s", err.text);
    shim_unref(shim);
    cr_expect_eq(shim_list(run_path, &left, &err), 0);
    cr_expect_eq(left.count, 0, "the socket is removed");
}

/* One end for the supervisor, the other for us. */
static int attach(struct shim *shim, struct shim_stream_options options)
{
    struct error err = {};
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(shim_attach(shim, pair[1], &options, &err), 0, "%s", err.text);
    return pair[0];
}

static const struct shim_stream_options all_raw = { .stdin_wanted = true,
                                                    .stdout_wanted = true,
                                                    .stderr_wanted = true };

/* All until the end, or until 'stop' was seen. Bytes of frames' heads show as they are. */
static void read_until(int fd, const char *stop, struct str *out)
{
    char block[4096];
    struct pollfd readable = { .fd = fd, .events = POLLIN };

    for (;;) {
        cr_assert_eq(poll(&readable, 1, LIMIT_MS), 1, "no answer; so far: %s", str_text(out));
        ssize_t size = read(fd, block, sizeof(block));
        cr_assert_geq(size, 0, "%s", strerror(errno));
        if (size == 0) {
            cr_assert_null(stop, "ended without '%s': %s", stop, str_text(out));
            return;
        }
        str_add_bytes(out, block, (size_t)size);
        if (stop && memmem(out->data, out->length, stop, strlen(stop)))
            return;
    }
}

static void send_text(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static char *logged(void)
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

/* ---- life */

Test(shim, runs_a_container_and_keeps_its_log_and_exit_code)
{
    struct shim *shim = create("echo out; echo err >&2; printf rest; exit 7", false, false, false);
    struct shim_status status;
    struct error err = {};

    cr_assert_eq(shim_get_status(shim, &status, &err), 0, "%s", err.text);
    cr_expect(status.is_created && !status.is_running);
    start(shim);
    wait_until(has_exited);
    cr_expect_eq(told.exit_code, 7);
    cr_expect_not(told.oom_killed);
    CLEANUP(free) char *log = logged();
    cr_expect(strstr(log, "O:out\n") && strstr(log, "E:err\n") && strstr(log, "O:rest"), "%s", log);
    cr_assert_eq(shim_get_status(shim, &status, &err), 0, "%s", err.text);
    cr_expect(!status.is_created && !status.is_running);
    cr_expect_eq(status.exit_code, 7);
    cr_expect_eq(status.exited_ns, told.exit_ns);
    cr_expect(status.started_ns > 0 && status.started_ns <= status.exited_ns);
    CLEANUP(shim_state_done) struct shim_state state = {};
    cr_assert_eq(shim_state_read(bundle_path, &state, &err), 0, "%s", err.text);
    cr_expect_str_eq(state.status, "exited");
    cr_expect_eq(state.exit_code, 7);
    forget(shim);
    cr_expect_eq(told.losses, 0);
    cr_expect_eq(shim_state_read(bundle_path, &state, &err), -1);
}

Test(shim, tells_a_signal_as_exit_code)
{
    struct shim *shim = create("echo ready; exec sleep 1000", false, false, false);
    struct error err = {};

    start(shim);
    cr_assert_eq(shim_signal(shim, NULL, SIGKILL, &err), 0, "%s", err.text);
    wait_until(has_exited);
    cr_expect_eq(told.exit_code, 128 + SIGKILL);
    cr_expect_eq(shim_signal(shim, NULL, SIGKILL, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    forget(shim);
}

Test(shim, tells_that_a_container_ran_out_of_memory)
{
    if (!cgroup_has_controller("memory"))
        cr_skip("this kernel has no memory controller");
    resources = "{\"memory\":{\"limit\":16777216,\"swap\":16777216}}";
    struct shim *shim = create(
        "exec busybox awk 'BEGIN { while (1) s = s \"xxxxxxxxxxxxxxxx\" s }'", false, false, false);

    start(shim);
    wait_until(has_exited);
    cr_expect_eq(told.exit_code, 128 + SIGKILL);
    cr_expect(told.oom_killed);
    wait_until(is_short_of_memory);
    forget(shim);
}

Test(shim, kills_what_is_forgotten_while_it_runs)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    struct shim_status status;
    struct error err = {};

    start(shim);
    cr_assert_eq(shim_get_status(shim, &status, &err), 0);
    cr_assert(status.is_running);
    forget(shim);
    for (int i = 0; i < 200 && kill(status.pid, 0) == 0; i++)
        usleep(10000);
    cr_expect_neq(kill(status.pid, 0), 0);
    cr_expect_eq(told.exits + told.losses, 0);
}

Test(shim, gives_back_why_a_container_was_not_created)
{
    struct shim_options options = usual_options();
    struct shim *shim = NULL;
    struct error err = {};
    pid_t pid;
    CLEANUP(strv_done) struct strv left = {};

    options.container_id = "nobody";
    cr_expect_eq(shim_create(monitor, &options, &shim, &pid, &err), -1, "there is no config.json");
    cr_expect_eq(err.kind, ERROR_NOT_FOUND, "%s", err.text);
    cr_expect(strstr(err.text, "config.json"), "%s", err.text);
    options.program_path = "/nonexistent";
    cr_expect_eq(shim_create(monitor, &options, &shim, &pid, &err), -1);
    options.container_id = "../x";
    cr_expect_eq(shim_create(monitor, &options, &shim, &pid, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect_eq(shim_list(run_path, &left, &err), 0);
    cr_expect_eq(left.count, 0);
}

Test(shim, refuses_a_second_supervisor_of_one_container)
{
    struct shim *shim = create("sleep 1000", false, false, false), *second = NULL;
    struct shim_options options = usual_options();
    struct error err = {};
    struct shim_status status;
    pid_t pid;

    cr_expect_eq(shim_create(monitor, &options, &second, &pid, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    cr_expect_eq(shim_get_status(shim, &status, &err), 0, "the first is unharmed");
    forget(shim);
}

Test(shim, tells_why_a_start_failed)
{
    struct shim *shim;
    struct shim_options options = usual_options();
    struct error err = {};
    pid_t pid;
    CLEANUP(free) char *path = path_join(bundle_path, "config.json");
    CLEANUP(str_done) struct str text = {};

    write_config("true", false);
    cr_assert_eq(file_read(path, 65536, &text, &err), 0);
    char *name = strstr(text.data, BUSYBOX);
    memcpy(name, "/bin/nobody1", strlen(BUSYBOX)); /* of the same length */
    cr_assert_eq(file_write_atomic(path, text.data, text.length, 0600, false, &err), 0);
    if (shim_create(monitor, &options, &shim, &pid, &err) == 0) {
        cr_expect_eq(shim_start(shim, &err), -1);
        forget(shim);
    }
    cr_expect_eq(err.kind, ERROR_NOT_FOUND, "%s", err.text);
    cr_expect(strstr(err.text, "/bin/nobody"), "%s", err.text);
    cr_expect_eq(told.exits, 0, "what never ran has not exited");
}

/* A container inherits nothing of what the supervisor has set for itself. */
Test(shim, gives_containers_and_execs_a_clean_start)
{
    static const char script[] = "grep -E '^Sig(Blk|Ign)' /proc/self/status; "
                                 "cat /proc/self/oom_score_adj; umask; ls /proc/self/fd | wc -l";
    CLEANUP(free) char *idle = xasprintf("%s; sleep 1000", script);
    struct shim *shim = create(idle, false, false, false);
    CLEANUP(str_done) struct str own_score = {}, wanted = {}, first = {}, second = {};
    struct runtime_process process;
    struct shim_stream_options options = all_raw;
    struct error err = {};
    int pair[2];

    cr_assert_eq(file_read("/proc/self/oom_score_adj", 64, &own_score, &err), 0);
    str_add_format(&wanted, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n%s0022\n",
                   str_text(&own_score));
    CLEANUP(close) int fd = attach(shim, all_raw);
    start(shim);
    read_until(fd, "0022\n4\n", &first);
    cr_expect_eq(strncmp(str_text(&first), str_text(&wanted), wanted.length), 0, "%s",
                 str_text(&first));
    make_process(&process, script);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CLEANUP(close) int exec_fd = pair[0];
    cr_assert_eq(shim_exec(shim, "e", &process, &pair[1], &options, NULL, &err), 0, "%s", err.text);
    shutdown(exec_fd, SHUT_WR);
    read_until(exec_fd, NULL, &second);
    cr_expect_str_eq(str_text(&second), str_text(&first));
    json_fields_done(runtime_process_fields, &process);
    forget(shim);
}

Test(shim, pauses_and_resumes)
{
    struct shim *shim = create("while :; do echo tick; usleep 10000; done", false, false, false);
    CLEANUP(str_done) struct str seen = {};
    struct error err = {};

    cr_expect_eq(shim_pause(shim, true, &err), -1, "not running yet");
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    start(shim);
    cr_assert_eq(shim_pause(shim, true, &err), 0, "%s", err.text);
    CLEANUP(close) int fd = attach(shim, all_raw);
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    char rest[4096];
    while (poll(&readable, 1, 300) == 1) /* what was in the pipe */
        cr_assert_gt(read(fd, rest, sizeof(rest)), 0);
    cr_assert_eq(shim_pause(shim, false, &err), 0, "%s", err.text);
    read_until(fd, "tick", &seen);
    cr_assert_eq(shim_pause(shim, true, &err), 0, "%s", err.text);
    forget(shim); /* ends a paused one too */
}

/* A reserved port stays reserved as long as the supervisor lives, without the daemon. */
Test(shim, holds_descriptors_that_are_to_be_kept)
{
    enum { KEPT = 600 }; /* more than one message carries */
    struct shim_options options = usual_options();
    struct shim *shim;
    struct error err = {};
    int pipe_fds[2], kept[KEPT];
    char byte;
    pid_t pid;

    cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    for (size_t i = 0; i < COUNT(kept); i++)
        kept[i] = pipe_fds[1];
    options.kept_fds = kept;
    options.kept_fd_count = COUNT(kept);
    write_config("sleep 1000", false);
    cr_assert_eq(shim_create(monitor, &options, &shim, &pid, &err), 0, "%s", err.text);
    close(pipe_fds[1]);
    cr_expect_eq(read(pipe_fds[0], &byte, 1), -1, "somebody can still write");
    cr_expect_eq(errno, EAGAIN);
    start(shim);
    forget(shim);
    struct pollfd ended = { .fd = pipe_fds[0], .events = POLLIN };
    cr_assert_eq(poll(&ended, 1, LIMIT_MS), 1);
    cr_expect_eq(read(pipe_fds[0], &byte, 1), 0, "nobody can");
    close(pipe_fds[0]);
}

/* ---- attach */

Test(shim, serves_clients_raw_and_framed)
{
    struct shim *shim = create("read x; echo got $x; echo bad >&2; exit 3", false, true, true);
    struct shim_stream_options framed = all_raw, errors_only = { .stderr_wanted = true };
    CLEANUP(str_done) struct str seen = {}, errors = {}, frames = {};

    framed.framed = true;
    framed.stdin_wanted = false;
    framed.stdout_wanted = true;
    CLEANUP(close) int fd = attach(shim, all_raw);
    CLEANUP(close) int framed_fd = attach(shim, framed);
    CLEANUP(close) int errors_fd = attach(shim, errors_only);
    start(shim);
    send_text(fd, "hello\n");
    read_until(fd, NULL, &seen);
    read_until(framed_fd, NULL, &frames);
    read_until(errors_fd, NULL, &errors);
    cr_expect(strstr(str_text(&seen), "got hello\n") && strstr(str_text(&seen), "bad\n"), "%s",
              str_text(&seen));
    cr_expect_str_eq(str_text(&errors), "bad\n");
    cr_expect_eq(frames.length, 16 + 10 + 4);
    cr_expect(memmem(frames.data, frames.length, "\1\0\0\0\0\0\0\012got hello\n", 18));
    cr_expect(memmem(frames.data, frames.length, "\2\0\0\0\0\0\0\4bad\n", 12));
    wait_until(has_exited);
    cr_expect_eq(told.exit_code, 3);
    forget(shim);
}

Test(shim, ends_stdin_with_the_client_that_had_it)
{
    struct shim *shim = create("cat; echo end", false, true, true);
    struct shim_stream_options options = all_raw;
    CLEANUP(str_done) struct str seen = {};

    options.pending = "pending ";
    options.pending_size = 8;
    CLEANUP(close) int fd = attach(shim, options);
    start(shim);
    send_text(fd, "text\n");
    shutdown(fd, SHUT_WR);
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "pending text\nend\n");
    wait_until(has_exited);
    forget(shim);
}

Test(shim, keeps_stdin_open_for_the_next_client)
{
    struct shim *shim = create("while read x; do echo got $x; done", false, true, false);
    CLEANUP(str_done) struct str first = {}, second = {};

    start(shim);
    CLEANUP(close) int fd = attach(shim, all_raw);
    send_text(fd, "one\n");
    read_until(fd, "got one\n", &first);
    shutdown(fd, SHUT_WR);
    read_until(fd, NULL, &first); /* detached, as Docker does */
    wait_until(has_detached);
    CLEANUP(close) int next_fd = attach(shim, all_raw);
    send_text(next_fd, "two\n");
    read_until(next_fd, "got two\n", &second);
    forget(shim);
}

Test(shim, takes_a_half_close_for_no_detach_when_there_is_no_stdin)
{
    struct shim *shim = create("sleep 0.2; echo late", false, false, false);
    CLEANUP(str_done) struct str seen = {};

    CLEANUP(close) int fd = attach(shim, all_raw);
    shutdown(fd, SHUT_WR);
    start(shim);
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "late\n");
    cr_expect_eq(told.detaches, 0);
    wait_until(has_exited);
    forget(shim);
}

Test(shim, loses_nothing_to_a_slow_client_nor_to_one_that_leaves)
{
    enum { COUNT_OF_LINES = 60000 };
    struct shim *shim =
        create("i=0; while [ $i -lt 60000 ]; do echo $i 0123456789012345678901234567890123456789; "
               "i=$((i+1)); done; echo done >&2",
               false, false, false);
    CLEANUP(str_done) struct str seen = {}, errors = {};
    struct shim_stream_options errors_only = { .stderr_wanted = true };
    struct shim_status status;
    struct error err = {};

    CLEANUP(close) int slow_fd = attach(shim, all_raw);
    int leaving_fd = attach(shim, all_raw);
    CLEANUP(close) int errors_fd = attach(shim, errors_only);
    start(shim);
    close(leaving_fd);
    wait_until(has_detached);
    usleep(300000);
    cr_assert_eq(shim_get_status(shim, &status, &err), 0, "it answers meanwhile");
    cr_expect(status.is_running, "output is waited for");
    read_until(slow_fd, NULL, &seen);
    read_until(errors_fd, NULL, &errors);
    cr_expect_str_eq(str_text(&errors), "done\n");
    int lines = 0;
    for (const char *at = str_text(&seen); (at = strchr(at, '\n')); at++)
        lines++;
    cr_expect_eq(lines, COUNT_OF_LINES + 1, "%d", lines);
    wait_until(has_exited);
    CLEANUP(free) char *log = logged();
    cr_expect(strstr(log, "O:59999 0123"));
    forget(shim);
}

Test(shim, does_not_wait_for_a_pipe_that_another_process_keeps)
{
    struct shim *shim = create("sleep 0.1; echo out; exit 4", false, false, false);
    struct runtime_process process = { .cwd = xstrdup("/") };
    const char *arguments[] = { BUSYBOX, "sh", "-c", "sleep 300 & echo parent" };
    struct shim_stream_options options = all_raw;
    CLEANUP(str_done) struct str seen = {};
    struct error err = {};
    int pair[2];

    for (size_t i = 0; i < COUNT(arguments); i++)
        strv_add(&process.args, arguments[i]);
    write_config("sleep 1000", false);
    start(shim);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CLEANUP(close) int fd = pair[0];
    cr_assert_eq(shim_exec(shim, "x", &process, &pair[1], &options, NULL, &err), 0, "%s", err.text);
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "parent\n");
    wait_until(exec_has_exited);
    wait_until(has_exited);
    cr_expect_eq(told.exit_code, 4);
    json_fields_done(runtime_process_fields, &process);
    forget(shim);
}

/* ---- terminals */

Test(shim, gives_a_terminal_its_size_and_detaches_by_keys)
{
    struct shim *shim = create("while read x; do stty size; echo got $x; done", true, true, false);
    struct shim_stream_options options = all_raw;
    CLEANUP(str_done) struct str seen = {}, second = {};
    struct error err = {};

    options.detach_keys = "\x10\x11";
    options.detach_keys_size = 2;
    CLEANUP(close) int fd = attach(shim, options);
    start(shim);
    cr_assert_eq(shim_resize(shim, NULL, 33, 77, &err), 0, "%s", err.text);
    send_text(fd, "a\n");
    read_until(fd, "33 77\r\n", &seen);
    read_until(fd, "got a\r\n", &seen);
    send_text(fd, "\x10");
    send_text(fd, "\x11never seen\n");
    read_until(fd, NULL, &second);
    cr_expect_null(strstr(str_text(&second), "never"));
    wait_until(has_detached);
    CLEANUP(close) int next_fd = attach(shim, options);
    send_text(next_fd, "b\n");
    read_until(next_fd, "got b\r\n", &second);
    CLEANUP(free) char *log = logged();
    cr_expect(strstr(log, "O:got a\r\n") && !strstr(log, "E:"), "%s", log);
    forget(shim);
}

Test(shim, refuses_a_size_without_a_terminal)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    struct error err = {};

    start(shim);
    cr_expect_eq(shim_resize(shim, NULL, 1, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    cr_expect_eq(shim_resize(shim, "nobody", 1, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    forget(shim);
}

/* ---- execs */

Test(shim, runs_further_processes)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    struct runtime_process process;
    struct shim_stream_options options = all_raw;
    CLEANUP(str_done) struct str seen = {}, padding = {};
    CLEANUP(strv_done) struct strv running = {};
    struct error err = {};
    int pair[2], no_client = -1;
    pid_t pid = 0;

    start(shim);
    make_process(&process, "cat; echo end; exit 9");
    while (padding.length < 100000) /* a request that does not fit into one message */
        str_add(&padding, "x");
    strv_add_format(&process.env, "PADDING=%s", padding.data);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CLEANUP(close) int fd = pair[0];
    cr_assert_eq(shim_exec(shim, "e1", &process, &pair[1], &options, &pid, &err), 0, "%s",
                 err.text);
    cr_expect_eq(pair[1], -1, "the socket is the supervisor's");
    cr_expect_gt(pid, 0);
    cr_assert_eq(shim_list_execs(shim, &running, &err), 0);
    cr_expect(strv_contains(&running, "e1"));
    send_text(fd, "through\n");
    shutdown(fd, SHUT_WR);
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "through\nend\n");
    wait_until(exec_has_exited);
    cr_expect_str_eq(map_get(&told.exec_exits, "e1"), "9");
    CLEANUP(free) char *log = logged();
    cr_expect_str_eq(log, "", "an exec's output is not logged");

    map_remove(&told.exec_exits, "e1");
    strv_done(&process.env);
    cr_assert_eq(shim_exec(shim, "e2", &process, &no_client, NULL, NULL, &err), 0, "%s", err.text);
    wait_until(exec_has_exited);
    cr_expect_str_eq(map_get(&told.exec_exits, "e2"), "9", "without a client stdin is empty");
    json_fields_done(runtime_process_fields, &process);
    forget(shim);
}

Test(shim, gives_the_client_back_when_an_exec_fails)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    struct runtime_process process = { .cwd = xstrdup("/") };
    struct shim_stream_options options = all_raw;
    CLEANUP(str_done) struct str seen = {};
    struct error err = {};
    int pair[2];

    start(shim);
    strv_add(&process.args, "nonexistent");
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CLEANUP(close) int fd = pair[0];
    cr_expect_eq(shim_exec(shim, "e1", &process, &pair[1], &options, NULL, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND, "%s", err.text);
    cr_assert_geq(pair[1], 0);
    send_text(pair[1], "failed\n");
    close(pair[1]);
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "failed\n", "nobody else has closed or used it");
    cr_expect_eq(told.exec_exits.count, 0);
    json_fields_done(runtime_process_fields, &process);
    forget(shim);
}

/* ---- without a daemon */

Test(shim, survives_the_daemon_and_is_found_again)
{
    struct shim *shim = create("read x; echo got $x; exit 5", false, true, false);
    struct shim_status status;
    struct runtime_process process;
    CLEANUP(str_done) struct str seen = {};
    CLEANUP(strv_done) struct strv ids = {};
    struct error err = {};
    int no_client = -1;

    start(shim);
    CLEANUP(close) int fd = attach(shim, all_raw);
    make_process(&process, "sleep 0.2; exit 6");
    cr_assert_eq(shim_exec(shim, "e1", &process, &no_client, NULL, NULL, &err), 0, "%s", err.text);
    json_fields_done(runtime_process_fields, &process);
    shim_unref(shim);
    shim_monitor_free(monitor);
    usleep(500000); /* the exec ends meanwhile */
    open_monitor();
    cr_assert_eq(shim_list(run_path, &ids, &err), 0);
    cr_assert_eq(ids.count, 1);
    cr_assert_eq(shim_connect(monitor, ids.items[0], &shim, &status, &err), 0, "%s", err.text);
    cr_expect(status.is_running);
    wait_until(exec_has_exited);
    cr_expect_str_eq(map_get(&told.exec_exits, "e1"), "6");

    shim_unref(shim);
    shim_monitor_free(monitor);
    send_text(fd, "you\n");
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "got you\n", "an attached client needs no daemon");
    map_remove(&told.exec_exits, "e1");
    open_monitor();
    cr_assert_eq(shim_connect(monitor, ID, &shim, &status, &err), 0, "%s", err.text);
    cr_expect(!status.is_running && !status.is_created);
    cr_expect_eq(status.exit_code, 5);
    cr_expect_eq(told.exec_exits.count, 0, "what was heard is not told again");
    cr_expect_eq(told.losses, 0);
    forget(shim);
}

Test(shim, leaves_an_older_daemon_for_a_newer_one)
{
    struct shim *older = create("sleep 1000", false, false, false), *newer = NULL;
    struct shim_status status;
    struct error err = {};

    start(older);
    cr_assert_eq(shim_connect(monitor, ID, &newer, &status, &err), 0, "%s", err.text);
    cr_expect_eq(shim_get_status(newer, &status, &err), 0);
    for (int i = 0; i < 200 && shim_get_status(older, &status, &err) == 0; i++)
        usleep(10000);
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE, "%s", err.text);
    cr_expect_eq(told.losses, 0);
    shim_unref(older);
    forget(newer);
}

Test(shim, knows_a_stale_socket_from_a_supervisor)
{
    CLEANUP(free) char *path = xasprintf("%s/shims/%s.sock", run_path, ID);
    struct shim *shim;
    struct shim_status status;
    struct error err = {};

    cr_expect_eq(shim_connect(monitor, ID, &shim, &status, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    shim = create("sleep 1000", false, false, false);
    CLEANUP(shim_state_done) struct shim_state state = {};
    start(shim);
    cr_assert_eq(shim_get_status(shim, &status, &err), 0);
    for (int i = 0; i < 200; i++) { /* written behind the reply */
        shim_state_done(&state);
        if (shim_state_read(bundle_path, &state, &err) == 0 && strcmp(state.status, "running") == 0)
            break;
        usleep(10000);
    }
    cr_expect_eq(state.pid, status.pid);
    cr_assert_eq(kill((pid_t)state.shim_pid, SIGKILL), 0);
    wait_until(is_lost);
    cr_expect_eq(told.lost_pid, status.pid);
    cr_expect_eq(shim_get_status(shim, &status, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE);
    shim_unref(shim);
    cr_expect(file_exists(path));
    cr_expect_eq(shim_connect(monitor, ID, &shim, &status, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND, "%s", err.text);
    cr_expect_not(file_exists(path), "the stale socket is removed");
    cr_assert_eq(cgroup_remove(state.cgroup_path, &err), 0, "%s", err.text); /* kills the orphan */
}

/* Signals that a terminal or an operator sends must not end it. */
Test(shim, is_not_ended_by_signals)
{
    static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGQUIT };
    struct shim *shim = create("read x; exit 0", false, true, false);
    CLEANUP(shim_state_done) struct shim_state state = {};
    struct shim_status status;
    struct error err = {};

    start(shim);
    for (int i = 0; i < 200 && shim_state_read(bundle_path, &state, &err) < 0; i++)
        usleep(10000);
    cr_assert_gt(state.shim_pid, 0);
    for (size_t i = 0; i < COUNT(signals); i++)
        cr_assert_eq(kill((pid_t)state.shim_pid, signals[i]), 0);
    cr_expect_eq(shim_get_status(shim, &status, &err), 0, "%s", err.text);
    cr_expect(status.is_running);
    forget(shim);
}

/* ---- many threads */

static void *ask_often(void *data)
{
    struct shim *shim = data;
    struct shim_status status;
    struct error err = {};
    intptr_t failures = 0;

    for (int i = 0; i < 300; i++)
        failures += shim_get_status(shim, &status, &err) < 0 || !status.is_running;
    return (void *)failures;
}

Test(shim, answers_many_threads)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    pthread_t threads[8];

    start(shim);
    for (size_t i = 0; i < COUNT(threads); i++)
        cr_assert_eq(thread_start("asker", ask_often, shim, &threads[i], NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *failures;

        pthread_join(threads[i], &failures);
        cr_expect_null(failures);
    }
    forget(shim);
}
