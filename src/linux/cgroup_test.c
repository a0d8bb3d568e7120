#include "linux/cgroup.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/namespace.h"

#include "base/banned.h"

static char group[64], child_group[80];

static void make_group(void)
{
    struct error err = {};

    snprintf(group, sizeof(group), "/berth-test-%d", (int)getpid());
    snprintf(child_group, sizeof(child_group), "%s/inner", group);
    cr_assert_eq(cgroup_create(child_group, &err), 0, "%s", err.text);
}

static void remove_group(void)
{
    cgroup_remove(group, NULL);
}

static pid_t sleeper(const char *where)
{
    int pipe_fds[2];
    char joined = 0;

    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        joined = cgroup_join_self(where, NULL) == 0;
        (void)!write(pipe_fds[1], &joined, 1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(pipe_fds[0], &joined, 1), 1);
    cr_assert_eq(joined, 1);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(cgroup, comes_and_goes, .init = make_group, .fini = remove_group)
{
    CLEANUP(strv_done) struct strv children = {};
    struct error err = {};

    cr_expect(cgroup_exists(group));
    cr_expect(cgroup_exists(child_group));
    cr_expect_eq(cgroup_create(child_group, &err), 0, "again is fine: %s", err.text);
    cgroup_children(group, &children);
    cr_assert_eq(children.count, 1);
    cr_expect_str_eq(children.items[0], "inner");
    cr_expect_eq(cgroup_remove(group, &err), 0, "%s", err.text);
    cr_expect_not(cgroup_exists(group));
    cr_expect_not(cgroup_exists(child_group));
    cr_expect_eq(cgroup_remove(group, &err), 0, "absent is fine: %s", err.text);
}

Test(cgroup, is_removed_without_waiting, .init = make_group, .fini = remove_group)
{
    pid_t pid = sleeper(child_group);
    int status;

    cr_expect_not(cgroup_try_remove(group), "a process was in it");
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_expect(cgroup_try_remove(group));
    cr_expect_not(cgroup_exists(group));
    cr_expect(cgroup_try_remove(group), "absent is fine");
    cr_expect_not(cgroup_try_remove("/a/../b"));
}

static const char *const bad_paths[] = { "", "/", "//", "relative", "/a/../b", "/..", "/a/./b" };

Test(cgroup, touches_nothing_outside_a_named_group)
{
    for (size_t i = 0; i < COUNT(bad_paths); i++) {
        struct error err = {};

        cr_expect_lt(cgroup_create(bad_paths[i], &err), 0, "%s", bad_paths[i]);
        cr_expect_eq(err.kind, ERROR_INVALID, "%s", bad_paths[i]);
        cr_expect_lt(cgroup_remove(bad_paths[i], &err), 0, "%s", bad_paths[i]);
        cr_expect_lt(cgroup_kill(bad_paths[i], 0, &err), 0, "%s", bad_paths[i]);
    }
}

/* Every line of /proc/<pid>/cgroup must name the group. */
static void expect_member(pid_t pid, const char *where)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(free) char *path = xasprintf("/proc/%d/cgroup", (int)pid);
    char *rest, *line;

    cr_assert_eq(file_read(path, 65536, &text, NULL), 0);
    rest = text.data;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            cr_expect(strstr(line, where), "%s", line);
}

Test(cgroup, is_joined_in_all_hierarchies, .init = make_group, .fini = remove_group)
{
    pid_t pid = sleeper(child_group);
    struct error err = {};

    expect_member(pid, child_group);
    cr_expect_eq(cgroup_join(group, pid, &err), cgroup_version() == CGROUP_V1 ? 0 : -1);
    if (cgroup_version() == CGROUP_V1)
        expect_member(pid, group);
    end(pid);
}

Test(cgroup, takes_a_child_at_its_birth, .init = make_group, .fini = remove_group)
{
    struct error err = {};
    CLEANUP(close) int group_fd = cgroup_open_unified(child_group, &err);
    CLEANUP(close) int pidfd = -1;
    int pipe_fds[2];
    char byte = 0;

    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t pid = namespace_clone(0, group_fd, &pidfd, &err);
    if (pid == 0) {
        byte = cgroup_join_rest(child_group, NULL) == 0;
        (void)!write(pipe_fds[1], &byte, 1);
        for (;;)
            pause();
    }
    cr_assert_gt(pid, 0, "%s", err.text);
    cr_assert_eq(read(pipe_fds[0], &byte, 1), 1);
    cr_expect_eq(byte, 1);
    expect_member(pid, child_group);
    end(pid);
}

Test(cgroup, lists_what_is_in_it_and_below, .init = make_group, .fini = remove_group)
{
    pid_t pid = sleeper(child_group);
    CLEANUP(free) pid_t *pids = NULL;
    size_t count = 0;
    struct error err = {};

    cr_assert_eq(cgroup_pids(group, &pids, &count, &err), 0, "%s", err.text);
    cr_assert_eq(count, 1);
    cr_expect_eq(pids[0], pid);
    end(pid);
    free(TAKE(pids));
    cr_expect_lt(cgroup_pids("/berth-test-absent", &pids, &count, &err), 0);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
}

Test(cgroup, is_removed_with_what_still_runs_in_it, .init = make_group, .fini = remove_group)
{
    pid_t pid = sleeper(child_group);
    struct error err = {};
    int status;

    cr_assert_eq(cgroup_freeze(child_group, true, &err), 0, "%s", err.text);
    /* Our own child stays a zombie until we look, which keeps no group alive. */
    cr_expect_eq(cgroup_remove(group, &err), 0, "%s", err.text);
    cr_expect_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(cgroup, says_what_was_refused, .init = make_group, .fini = remove_group)
{
    struct error err = {};

    cr_expect_eq(cgroup_write(child_group, "pids", "pids.max", "17", &err), 0, "%s", err.text);
    cr_expect_eq(cgroup_read_int64(child_group, "pids", "pids.max", -1), 17);
    cr_expect_lt(cgroup_write(child_group, "pids", "pids.max", "x", &err), 0);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect(strstr(err.text, "failed to write \"x\": write "), "%s", err.text);
    cr_expect_lt(cgroup_write(child_group, "pids", "pids.nonsense", "1", &err), 0);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    cr_expect_null(cgroup_read(child_group, "pids", "pids.nonsense"));
    cr_expect_eq(cgroup_read_int64(child_group, "pids", "pids.nonsense", -7), -7);
}

Test(cgroup, freezes_and_thaws, .init = make_group, .fini = remove_group)
{
    pid_t pid = sleeper(child_group);
    struct error err = {};
    int status;

    cr_assert_eq(cgroup_freeze(child_group, true, &err), 0, "%s", err.text);
    if (cgroup_version() == CGROUP_V1) { /* there the frozen do not even die */
        kill(pid, SIGKILL);
        usleep(20000);
        cr_expect_eq(waitpid(pid, &status, WNOHANG), 0);
    }
    cr_assert_eq(cgroup_freeze(child_group, false, &err), 0, "%s", err.text);
    end(pid);
}

Test(cgroup, tells_of_running_out_of_memory, .init = make_group, .fini = remove_group)
{
    enum { LIMIT = 16 << 20, WISH = 128 << 20 };
    bool legacy = cgroup_version() == CGROUP_V1;
    struct error err = {};
    CLEANUP(free) char *limit = xasprintf("%d", LIMIT);

    if (!cgroup_has_controller("memory"))
        cr_skip_test("no memory controller");
    cr_assert_eq(cgroup_write(child_group, "memory",
                              legacy ? "memory.limit_in_bytes" : "memory.max", limit, &err),
                 0, "%s", err.text);
    cgroup_write(child_group, "memory", legacy ? "memory.memsw.limit_in_bytes" : "memory.swap.max",
                 legacy ? limit : "0", NULL);
    CLEANUP(close) int watch_fd = cgroup_oom_watch(child_group, &err);
    cr_assert(watch_fd >= 0, "%s", err.text);
    cr_expect_eq(cgroup_oom_kill_count(child_group), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (cgroup_join_self(child_group, NULL) < 0)
            _exit(1);
        char *memory = mmap(NULL, WISH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, WISH);
        _exit(0);
    }
    struct pollfd poller = { .fd = watch_fd, .events = POLLIN };
    int status;
    cr_expect_eq(poll(&poller, 1, 10000), 1);
    waitpid(pid, &status, 0);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_expect_eq(cgroup_oom_kill_count(child_group), 1);
}
