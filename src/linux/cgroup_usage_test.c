#include "linux/cgroup_usage.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "linux/cgroup.h"

#include "base/banned.h"

Test(cgroup_usage, reads_block_counters_of_version_1)
{
    struct cgroup_io_list list = {};

    cgroup_io_parse_v1("254:0 Read 102400\n254:0 Discard 0\n8:16 Write 7\nTotal 102407\n", &list);
    cr_assert_eq(list.count, 3);
    cr_expect_eq(list.items[0].value, 102400);
    cr_expect_eq(list.items[2].major, 8);
    cr_expect_eq(list.items[2].minor, 16);
    cr_expect_str_eq(list.items[2].operation, "Write");
    free(list.items);
}

Test(cgroup_usage, reads_block_counters_of_version_2)
{
    struct cgroup_io_list list = {};

    cgroup_io_parse_v2("8:0 \n254:0 rbytes=4096 wbytes=12 rios=1 wios=2 dbytes=9 dios=1", &list);
    cr_assert_eq(list.count, 4);
    cr_expect_eq(list.items[0].value, 0, "a device without counters takes none of the next line");
    cr_expect_eq(list.items[2].value, 4096);
    cr_expect_str_eq(list.items[2].operation, "read");
    cr_expect_eq(list.items[3].value, 12);
    free(list.items);
}

Test(cgroup_usage, finds_whole_names_only)
{
    static const char text[] = "inactive_file 1\nfile 2\nanon 3\n";

    cr_expect_eq(cgroup_stat_value(text, "file"), 2);
    cr_expect_eq(cgroup_stat_value(text, "anon"), 3);
    cr_expect_eq(cgroup_stat_value(text, "ano"), 0);
    cr_expect_eq(cgroup_stat_value("", "x"), 0);
}

static char group[64];

static void remove_group(void)
{
    cgroup_remove(group, NULL);
}

Test(cgroup_usage, reads_a_group_that_works, .fini = remove_group)
{
    CLEANUP(cgroup_usage_done) struct cgroup_usage usage = {};
    struct error err = {};
    int pipe_fds[2];
    char ready;

    snprintf(group, sizeof(group), "/berth-test-usage-%d", (int)getpid());
    cr_assert_eq(cgroup_create(group, &err), 0, "%s", err.text);
    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        volatile unsigned long work = 0;

        ready = cgroup_join_self(group, NULL) == 0;
        while (work < 50000000)
            work++;
        (void)!write(pipe_fds[1], &ready, 1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(pipe_fds[0], &ready, 1), 1);
    cr_assert_eq(ready, 1);
    cgroup_usage_read(group, &usage);
    cr_expect_gt(usage.cpu_ns, 1000000);
    cr_expect_eq(usage.process_count, 1);
    cr_expect_eq(usage.process_limit, CGROUP_UNLIMITED);
    cr_expect_gt(usage.memory_limit_bytes, 0);
    cr_expect_gt(usage.memory_counter_count, 0);
    if (!usage.is_v2)
        cr_expect_gt(usage.cpu_count, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(cgroup_usage, gives_nothing_for_a_group_that_is_not_there)
{
    CLEANUP(cgroup_usage_done) struct cgroup_usage usage = {};

    cgroup_usage_read("/berth-test-nowhere", &usage);
    cr_expect_eq(usage.cpu_ns, 0);
    cr_expect_eq(usage.process_count, 0);
}
