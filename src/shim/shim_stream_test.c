/* Clients of real containers: attached, with a terminal, of further processes. */
#include "shim/shim_fixture.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

#include "base/memory.h"

#include "base/banned.h"

TestSuite(shim_stream, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- attach */

Test(shim_stream, serves_clients_raw_and_framed)
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

Test(shim_stream, ends_stdin_with_the_client_that_had_it)
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

Test(shim_stream, keeps_stdin_open_for_the_next_client)
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

Test(shim_stream, takes_a_half_close_for_no_detach_when_there_is_no_stdin)
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

Test(shim_stream, loses_nothing_to_a_slow_client_nor_to_one_that_leaves)
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

Test(shim_stream, does_not_wait_for_a_pipe_that_another_process_keeps)
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

Test(shim_stream, ends_the_streams_of_what_is_forgotten)
{
    struct shim *shim = create("echo ready; sleep 1000", false, true, false);
    CLEANUP(str_done) struct str seen = {}, rest = {};

    CLEANUP(close) int fd = attach(shim, all_raw);
    start(shim);
    read_until(fd, "ready\n", &seen);
    send_text(fd, "unread"); /* must not turn the end into a reset */
    forget(shim);
    read_until(fd, NULL, &rest);
    cr_expect_str_eq(str_text(&rest), "");
}

/* ---- terminals */

Test(shim_stream, gives_a_terminal_its_size_and_detaches_by_keys)
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

Test(shim_stream, resizes_nothing_without_a_terminal)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    struct error err = {};

    start(shim);
    cr_expect_eq(shim_resize(shim, NULL, 1, 1, &err), 0, "%s", err.text);
    cr_expect_eq(shim_resize(shim, "nobody", 1, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    forget(shim);
}

/* ---- execs */

Test(shim_stream, runs_further_processes)
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

Test(shim_stream, ends_an_exec_and_what_it_started_with_its_lifetime)
{
    struct shim *shim = create("sleep 1000", false, false, false);
    struct runtime_process process;
    struct shim_stream_options options = all_raw;
    CLEANUP(str_done) struct str seen = {};
    struct error err = {};
    int pair[2];

    start(shim);
    make_process(&process, "sleep 1000 & sleep 1000");
    options.lifetime_ms = 100;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CLEANUP(close) int fd = pair[0];
    cr_assert_eq(shim_exec(shim, "e1", &process, &pair[1], &options, NULL, &err), 0, "%s",
                 err.text);
    wait_until(exec_has_exited);
    cr_expect_str_eq(map_get(&told.exec_exits, "e1"), "137");
    /* The pipe is open as long as one of them lives; what else would close it is the drain limit,
     * and that is far longer than killing takes. */
    read_until(fd, NULL, &seen);
    cr_expect_str_eq(str_text(&seen), "");
    json_fields_done(runtime_process_fields, &process);
    forget(shim);
}

Test(shim_stream, gives_the_client_back_when_an_exec_fails)
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
