#include <criterion/criterion.h>
#include <string.h>

#include "engine/container_usage.h"

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
