/* Published ports: who reaches them, and who has them. */
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

#include "base/file.h"
#include "base/memory.h"
#include "linux/netlink.h"
#include "linux/nftables.h"
#include "network/firewall.h"
#include "network/link.h"
#include "network/namespace.h"

TestSuite(port, .init = set_up, .fini = tear_down);

static void expect_reached_from_everywhere(void)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(box_done) struct box other = make_box("other", "bridge", NULL, 0);
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);

    cr_expect_str_eq(JSON_ITEMS(&box.endpoint.ports, struct port_mapping)->host_ip, "0.0.0.0");
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
    expect_caller(host_fd, HOST_ADDRESS, 8080, server, HOST_ADDRESS);
    expect_caller(host_fd, "127.0.0.1", 8080, server, "172.17.0.1");
    expect_caller(host_fd, "172.17.0.1", 8080, server, "172.17.0.1");
    expect_caller(host_fd, "172.17.0.2", 80, server, "172.17.0.1");
    expect_caller(other.fd, HOST_ADDRESS, 8080, server, "172.17.0.1");
    expect_caller(other.fd, "172.17.0.1", 8080, server, "172.17.0.1");
    expect_caller(other.fd, "172.17.0.2", 80, server, "172.17.0.3");
    expect_caller(box.fd, HOST_ADDRESS, 8080, server, "172.17.0.1"); /* its own, by a detour */
    expect_verified();
}

Test(port, a_published_port_is_reached_from_everywhere)
{
    expect_reached_from_everywhere();
}

Test(port, a_published_port_is_reached_where_bridges_are_not_filtered)
{
    stop_filtering_bridges();
    expect_reached_from_everywhere();
}

Test(port, a_published_udp_port_is_reached_and_answers)
{
    CLEANUP(box_done) struct box box = make_port_box("dns", port_of("udp", "", 5353, 53));
    CLEANUP(box_done) struct box other = make_box("other", "bridge", NULL, 0);
    CLEANUP(close) int server = serve(box.fd, SOCK_DGRAM, "0.0.0.0", 53);

    cr_expect_str_eq(caller_udp(outside_fd, HOST_ADDRESS, 5353, server, PATIENCE_MS),
                     OUTSIDE_ADDRESS);
    cr_expect_str_eq(caller_udp(host_fd, "127.0.0.1", 5353, server, PATIENCE_MS), "172.17.0.1");
    cr_expect_str_eq(caller_udp(other.fd, HOST_ADDRESS, 5353, server, PATIENCE_MS), "172.17.0.1");
    cr_expect_str_eq(caller_udp(box.fd, HOST_ADDRESS, 5353, server, PATIENCE_MS), "172.17.0.1");
}

/* The same client all the time, as a resolver that never stops asking. */
Test(port, udp_clients_follow_a_port_to_its_new_container)
{
    struct port_mapping port = port_of("udp", "", 5353, 53);
    struct sockaddr_in name = name_of(HOST_ADDRESS, 5353);
    CLEANUP(close) int client = socket_in(outside_fd, SOCK_DGRAM);
    struct error err = {};

    sendto(client, "a", 1, 0, (struct sockaddr *)&name, sizeof(name)); /* nobody is there */
    poll(NULL, 0, 50);
    CLEANUP(box_done) struct box first = make_port_box("first", port);
    CLEANUP(close) int first_server = serve(first.fd, SOCK_DGRAM, "0.0.0.0", 53);
    sendto(client, "b", 1, 0, (struct sockaddr *)&name, sizeof(name));
    cr_expect(wait_for(first_server, POLLIN, PATIENCE_MS));
    box_done(&first);
    cr_assert_eq(endpoint_detach(networks, "first", NULL, &err), 0, "%s", err.text);
    CLEANUP(box_done) struct box second = make_port_box("second", port);
    CLEANUP(close) int second_server = serve(second.fd, SOCK_DGRAM, "0.0.0.0", 53);
    sendto(client, "c", 1, 0, (struct sockaddr *)&name, sizeof(name));
    cr_expect(wait_for(second_server, POLLIN, PATIENCE_MS));
}

Test(port, unpublished_ports_are_closed_to_the_outside)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int published = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(close) int other = serve(box.fd, SOCK_STREAM, "0.0.0.0", 81);

    /* The outside routes by this host, so these packets do arrive. */
    expect_nobody(outside_fd, "172.17.0.2", 81, other);
    expect_nobody(outside_fd, "172.17.0.2", 80, published);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, published, OUTSIDE_ADDRESS);
}

Test(port, a_port_on_one_address_is_not_on_the_others)
{
    CLEANUP(box_done)
    struct box local = make_port_box("local", port_of("tcp", "127.0.0.1", 8080, 80));
    CLEANUP(box_done)
    struct box wired = make_port_box("wired", port_of("tcp", HOST_ADDRESS, 8080, 80));
    CLEANUP(close) int local_server = serve(local.fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(close) int wired_server = serve(wired.fd, SOCK_STREAM, "0.0.0.0", 80);

    expect_caller(host_fd, "127.0.0.1", 8080, local_server, "172.17.0.1");
    expect_caller(outside_fd, HOST_ADDRESS, 8080, wired_server, OUTSIDE_ADDRESS);
    expect_nobody(host_fd, "172.17.0.1", 8080, wired_server);
    expect_verified();
}

/* ---- ports ---- */

static void expect_taken(const struct port_mapping *port, const char *text)
{
    CLEANUP(box_done) struct box box;
    struct error err = {};

    cr_expect_eq(try_box(networks, &box, "late", "bridge", port, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    cr_expect_not_null(strstr(err.text, text), "%s", err.text);
}

Test(port, a_port_belongs_to_one)
{
    struct port_mapping port = port_of("tcp", "", 8080, 80);
    struct port_mapping local = port_of("tcp", "127.0.0.1", 8080, 80);
    CLEANUP(box_done) struct box box = make_port_box("web", port);
    struct sockaddr_in name = name_of("127.0.0.1", 8080);
    CLEANUP(close) int thief = socket_in(host_fd, SOCK_STREAM);
    int on = 1;

    expect_taken(&port, "Bind for 0.0.0.0:8080 failed: port is already allocated");
    expect_taken(&local, "Bind for 127.0.0.1:8080 failed: port is already allocated");
    expect_taken(&port, "held by container web");
    setsockopt(thief, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_expect_eq(bind(thief, (struct sockaddr *)&name, sizeof(name)), -1);
    expect_verified(); /* failures left nothing */
    box_done(&box);
}

Test(port, other_programs_ports_are_respected)
{
    struct port_mapping port = port_of("tcp", "", 8080, 80), udp = port_of("udp", "", 8081, 80);
    CLEANUP(close) UNUSED int server = serve(host_fd, SOCK_STREAM, "127.0.0.1", 8080);
    CLEANUP(close) UNUSED int udp_server = serve(host_fd, SOCK_DGRAM, "0.0.0.0", 8081);
    CLEANUP(free) char *us = xasprintf("pid %d", (int)getpid());

    expect_taken(&port, "port is already allocated (held by ");
    expect_taken(&port, us);
    expect_taken(&udp, us);
    expect_verified();
}

Test(port, old_connections_do_not_keep_a_port)
{
    struct port_mapping port = port_of("tcp", "", 8080, 80);
    struct sockaddr_in name = name_of("127.0.0.1", 8080);
    CLEANUP(close) int thief = socket_in(host_fd, SOCK_STREAM);
    int server = serve(host_fd, SOCK_STREAM, "0.0.0.0", 8080), client, accepted, on = 1;

    client = socket_in(host_fd, SOCK_STREAM);
    connect(client, (struct sockaddr *)&name, sizeof(name));
    cr_assert(wait_for(server, POLLIN, PATIENCE_MS));
    accepted = accept(server, NULL, NULL);
    close(accepted); /* first: its side is in TIME_WAIT then */
    cr_assert(wait_for(client, POLLIN, PATIENCE_MS));
    close(client);
    close(server);
    poll(NULL, 0, 50);

    CLEANUP(box_done) struct box box = make_port_box("web", port);
    setsockopt(thief, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_expect_eq(bind(thief, (struct sockaddr *)&name, sizeof(name)), -1, "held all the same");
    CLEANUP(close) int inner = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, inner, OUTSIDE_ADDRESS);
}

Test(port, ports_are_chosen_where_none_is_wished)
{
    struct port_mapping ports[] = { port_of("tcp", "", 0, 80), port_of("tcp", "", 8000, 81),
                                    port_of("udp", "", 0, 53) };
    CLEANUP(close) UNUSED int busy = serve(host_fd, SOCK_STREAM, "0.0.0.0", 8000);
    const struct port_mapping *got;

    ports[1].host_port_end = 8002;
    CLEANUP(box_done) struct box box = make_box("one", "bridge", ports, COUNT(ports));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    got = JSON_ITEMS(&box.endpoint.ports, struct port_mapping);
    cr_assert_eq(box.endpoint.ports.count, 3);
    cr_expect_gt(got[0].host_port, 1023);
    cr_expect_eq(got[1].host_port, 8001);
    cr_expect_gt(got[2].host_port, 1023);
    expect_caller(outside_fd, HOST_ADDRESS, got[0].host_port, server, OUTSIDE_ADDRESS);
    expect_verified();
}

Test(port, a_dead_containers_port_is_free_before_it_is_detached)
{
    struct port_mapping port = port_of("tcp", "", 8080, 80);
    CLEANUP(box_done) struct box old = make_port_box("old", port);

    box_done(&old); /* recorded still: the engine was not there */
    CLEANUP(box_done) struct box box = make_port_box("new", port);
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    struct error err = {};

    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
    cr_expect_eq(endpoint_detach(networks, "old", NULL, &err), 0, "%s", err.text);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
}
