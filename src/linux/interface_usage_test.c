#include "linux/interface_usage.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

static const char text[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n"
    "    lo:     100       1    0    0    0     0          0         0      100       1    0    0  "
    " "
    " 0     0       0          0\n"
    "  eth1: 9 1 0 0 0 0 0 0 8 2 0 0 0 0 0 0\n"
    "  eth0: 18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    "  bad0: 1 2 3\n";

Test(interface_usage, reads_the_kernels_table)
{
    struct interface_usage *list = NULL;

    cr_assert_eq(interface_usage_parse(text, &list), 2);
    cr_expect_str_eq(list[0].name, "eth0");
    cr_expect_eq(list[0].received_bytes, UINT64_MAX);
    cr_expect_eq(list[0].received_dropped, 4);
    cr_expect_eq(list[0].sent_bytes, 9);
    cr_expect_eq(list[0].sent_packets, 10);
    cr_expect_eq(list[0].sent_dropped, 12);
    cr_expect_str_eq(list[1].name, "eth1");
    free(list);
    cr_expect_eq(interface_usage_parse("", &list), 0);
    cr_expect_null(list);
}

Test(interface_usage, is_empty_for_a_process_that_is_gone)
{
    struct interface_usage *list = NULL;

    cr_expect_eq(interface_usage_read(-1, &list), 0);
    cr_expect_null(list);
}
