#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "engine/container_usage.h"
#include "engine/process_list.h"

#include "base/banned.h"

static const pid_t pids[] = { 12, 15 };

Test(container_top, keeps_the_rows_of_its_processes)
{
    CLEANUP(process_table_done) struct process_table table = {};
    struct error err = {};

    cr_assert_eq(process_table_parse("UID          PID CMD\n"
                                     "root           1 init\n"
                                     "root          12 sh -c  a  b \n"
                                     "0             15\n"
                                     "x             16 other\n",
                                     pids, 2, &table, &err),
                 0, "%s", err.text);
    cr_assert_eq(table.titles.count, 3);
    cr_assert_eq(table.row_count, 2);
    cr_expect_str_eq(table.rows[0].items[2], "sh -c  a  b");
    cr_expect_eq(table.rows[1].count, 2, "a field may be missing");
}

Test(container_top, keeps_threads_with_their_process)
{
    CLEANUP(process_table_done) struct process_table table = {};
    struct error err = {};

    cr_assert_eq(
        process_table_parse("PID LWP\n12 -\n- 12\n- 13\n1 -\n- 1\n", pids, 2, &table, &err), 0);
    cr_expect_eq(table.row_count, 3);
}

Test(container_top, wants_numbers)
{
    struct process_table table;
    struct error err = {};

    cr_expect_eq(process_table_parse("COMMAND\nsh\n", pids, 2, &table, &err), -1);
    cr_expect_str_eq(err.text, "Couldn't find PID field in ps output");
    cr_expect_eq(process_table_parse("", pids, 2, &table, &err), -1);
    cr_expect_eq(process_table_parse("PID\nx\n", pids, 2, &table, &err), -1);
}

Test(container_top, reads_procfs)
{
    /* A name may hold all that parts fields; times are 130.5 s of CPU in 1000 s. */
    static const char stat_text[] =
        "4242 (a b) (c) S 41 4242 4242 34817 4242 4194560 1 0 0 0 12000 1050 0 0 20 0 1 0 5000 1 1";
    static const char cmdline[] = "sh\0-c\0a\nb";
    struct process_clock clock = { .boot_s = 1000000, .now_s = 1001050 };
    CLEANUP(strv_done) struct strv row = {}, kernel = {}, broken = {};

    cr_assert(process_row_parse(stat_text, cmdline, sizeof(cmdline), "joe", &clock, &row));
    cr_expect_str_eq(row.items[0], "joe");
    cr_expect_str_eq(row.items[1], "4242");
    cr_expect_str_eq(row.items[2], "41");
    cr_expect_str_eq(row.items[3], "13");
    cr_expect_str_eq(row.items[5], "pts/1");
    cr_expect_str_eq(row.items[6], "00:02:10");
    cr_expect_str_eq(row.items[7], "sh -c a b");
    cr_assert(process_row_parse(stat_text, "", 0, "0", &clock, &kernel));
    cr_expect_str_eq(kernel.items[7], "[a b) (c]");
    cr_expect_not(process_row_parse("4242 (x", "", 0, "0", &clock, &broken));
    cr_expect_not(process_row_parse("", "", 0, "0", &clock, &broken));
}

Test(container_top, lists_itself)
{
    CLEANUP(process_table_done) struct process_table table = {};
    const pid_t both[] = { getpid(), 0x3FFFFFFF };

    process_list_read(both, 2, &table);
    cr_assert_eq(table.row_count, 1, "one that is gone is left out");
    CLEANUP(free) char *pid = xasprintf("%d", (int)getpid());
    cr_expect_str_eq(table.rows[0].items[1], pid);
    cr_expect_eq(table.rows[0].count, table.titles.count);
}
