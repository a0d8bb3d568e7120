/* Other programs, restarts, other engines. */
#include "network/network_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/netlink.h"
#include "linux/nftables.h"
#include "network/firewall.h"
#include "network/link.h"
#include "network/namespace.h"

TestSuite(reconcile, .init = set_up, .fini = tear_down);

static void share_the_table(void)
{
    networks_close(networks);
    is_firewall_shared = true;
    networks = open_engine("", "berth.db", &database);
}

static int try_to_remove_table(struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};

    cr_assert_eq(netlink_open(NETLINK_NETFILTER, &netlink, err), 0, "%s", err->text);
    nft_batch_init(&batch, "berth");
    nft_table_remove(&batch);
    return nft_commit(netlink, &batch, err);
}

static void remove_table(void)
{
    struct error err = {};

    cr_assert_eq(try_to_remove_table(&err), 0, "%s", err.text);
}

static bool kernel_knows_owners(void)
{
    struct utsname host;
    int major = 0, minor = 0;

    uname(&host);
    sscanf(host.release, "%d.%d", &major, &minor);
    return major > 6 || (major == 6 && minor >= 9);
}

Test(reconcile, nobody_else_takes_the_table_away)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    struct error err = {};

    if (!kernel_knows_owners())
        cr_skip_test("needs Linux 6.9");
    cr_expect_eq(try_to_remove_table(&err), -1);
    cr_expect_eq(err.sys, EPERM, "%s", err.text);
    expect_verified();
    networks_close(networks);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
    remove_table(); /* without its owner it is like any other */
    networks = open_engine("", "berth.db", &database);
    cr_expect_eq(try_to_remove_table(&err), -1);
    expect_verified();
}

Test(reconcile, a_flushed_table_comes_back_by_itself)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);

    share_the_table();
    remove_table();
    for (int i = 0; i < 100 && has_difference("nftables"); i++)
        poll(NULL, 0, 50);
    expect_verified();
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
}

Test(reconcile, changes_to_the_table_are_told_and_survived)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    struct firewall_port stray = { .protocol = IPPROTO_TCP, .host_port = 9, .port = 9 };
    struct error err = {};

    share_the_table();
    cr_assert_eq(netlink_open(NETLINK_NETFILTER, &netlink, &err), 0, "%s", err.text);
    nft_batch_init(&batch, "berth");
    firewall_port_add(&batch, &stray); /* additions are not undone, but told */
    cr_assert_eq(nft_commit(netlink, &batch, &err), 0, "%s", err.text);
    cr_expect(has_difference("has element ports_any"));
    /* Another port of that number cannot be added: the table is then written anew. */
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 9, 80));
    expect_verified();
    box_done(&box);
}

Test(reconcile, a_bridge_that_was_removed_comes_back_by_itself)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    struct error err = {};

    cr_assert_eq(link_remove("berth0", &err), 0, "%s", err.text);
    for (int i = 0; i < 100 && (has_difference("berth0") || if_nametoindex("berth0") == 0); i++)
        poll(NULL, 0, 50);
    expect_verified();
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
}

static bool lives(void *data, const char *container_id)
{
    return strcmp(data, container_id) == 0;
}

Test(reconcile, a_containers_link_is_removed_even_if_its_namespace_stays)
{
    CLEANUP(box_done) UNUSED struct box box = make_box("one", "bridge", NULL, 0);
    struct error err = {};

    cr_assert_eq(endpoint_detach(networks, "one", NULL, &err), 0, "%s", err.text);
    wait_for_pairs(0);
}

Test(reconcile, links_that_nobody_recorded_are_told_and_removed)
{
    CLEANUP(box_done) UNUSED struct box box = make_box("one", "bridge", NULL, 0);
    struct error err = {};

    /* As after an end half-way through a start. */
    cr_assert_geq(database_run(database, &err, "DELETE FROM endpoint", ""), 0, "%s", err.text);
    cr_expect(has_difference("link v"));
    cr_assert_eq(networks_reconcile(networks, lives, "one", &err), 0, "%s", err.text);
    cr_expect_eq(count_pairs(), 0);
    expect_verified();
}

Test(reconcile, what_was_removed_meanwhile_is_made_again)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(box_done) struct box dead = make_port_box("dead", port_of("tcp", "", 8081, 80));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    struct error err = {};

    networks_close(networks);
    networks = NULL;
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS); /* without us */
    remove_table();
    cr_assert_eq(link_remove("berth0", &err), 0, "%s", err.text);
    box_done(&dead);

    networks = open_engine("", "berth.db", &database);
    cr_expect(has_difference("is not on berth0"));
    cr_assert_eq(networks_reconcile(networks, lives, "web", &err), 0, "%s", err.text);
    expect_verified();
    wait_for_pairs(1);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
}

Test(reconcile, engines_live_side_by_side)
{
    struct database *second_database = NULL;
    struct networks *second = open_engine("ab12", "second.db", &second_database);
    struct port_mapping port = port_of("tcp", "", 8080, 80), other = port_of("tcp", "", 8081, 80);
    CLEANUP(box_done) struct box one = make_port_box("one", port), two;
    struct error err = {};

    cr_expect_eq(try_box(second, &two, "two", "bridge", &port, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    cr_assert_eq(try_box(second, &two, "two", "bridge", &other, 1, &err), 0, "%s", err.text);
    cr_expect_str_eq(two.endpoint.address, "172.18.0.2");
    CLEANUP(close) int one_server = serve(one.fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(close) int two_server = serve(two.fd, SOCK_STREAM, "0.0.0.0", 80);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, one_server, OUTSIDE_ADDRESS);
    expect_caller(outside_fd, HOST_ADDRESS, 8081, two_server, OUTSIDE_ADDRESS);
    expect_nobody(one.fd, "172.18.0.2", 80, two_server);
    expect_verified();
    cr_expect_eq(networks_destroy(second, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    box_done(&two);
    cr_assert_eq(endpoint_detach(second, "two", NULL, &err), 0, "%s", err.text);
    cr_assert_eq(networks_destroy(second, &err), 0, "%s", err.text);
    cr_expect_eq(if_nametoindex("berth0-ab12"), 0);
    networks_close(second);
    database_close(second_database);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, one_server, OUTSIDE_ADDRESS);
}
