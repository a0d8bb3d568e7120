/* Real supervisors with real containers (busybox), driven through the daemon's handle. */
#include "shim/shim_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/cgroup.h"
#include "shim/state.h"

#include "base/banned.h"

TestSuite(shim, .init = set_up, .fini = tear_down, .timeout = 60);

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
    cr_expect_eq(read(pipe_fds[0], &byte, 1), 0, "nobody can once it is forgotten");
    close(pipe_fds[0]);
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
    shim_exec_heard(shim, "e1");

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
