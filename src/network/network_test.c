/* Containers on networks: what they get and whom they reach; networks of the user's. */
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

TestSuite(network, .init = set_up, .fini = tear_down);

static int read_address(void *data, struct error *err)
{
    struct ifreq *request = data;
    CLEANUP(close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(request->ifr_name, sizeof(request->ifr_name), "eth0");
    return ioctl(fd, SIOCGIFADDR, request) < 0 ? error_sys(err, "no address") : 0;
}

static int read_ipv6_switch(void *data, struct error *err)
{
    return file_read("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", 10, data, err);
}

Test(network, a_container_gets_address_route_and_world)
{
    CLEANUP(box_done) struct box box = make_box("one", "bridge", NULL, 0);
    CLEANUP(close) int server = serve(outside_fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(str_done) struct str ipv6 = {};
    struct ifreq request = {};
    struct error err = {};

    cr_expect_str_eq(box.endpoint.address, "172.17.0.2");
    cr_expect_eq(box.endpoint.prefix_length, 16);
    cr_expect_str_eq(box.endpoint.gateway, "172.17.0.1");
    cr_expect_str_eq(box.endpoint.mac_address, "02:42:ac:11:00:02");
    cr_expect_str_eq(box.endpoint.interface_name, "eth0");
    cr_expect_str_eq(box.endpoint.network_name, "bridge");
    cr_assert_eq(namespace_visit(host_fd, box.fd, read_address, &request, &err), 0, "%s", err.text);
    cr_expect_str_eq(inet_ntoa(((struct sockaddr_in *)(void *)&request.ifr_addr)->sin_addr),
                     "172.17.0.2");
    cr_assert_eq(namespace_visit(host_fd, box.fd, read_ipv6_switch, &ipv6, &err), 0, "%s",
                 err.text);
    cr_expect_str_eq(str_text(&ipv6), "1\n");
    expect_caller(box.fd, OUTSIDE_ADDRESS, 80, server, HOST_ADDRESS); /* masqueraded */
    expect_verified();
}

/* A packet to the host's 127.0.0.1 that is put onto the bridge by hand. */
struct martian {
    struct iphdr ip;
    struct udphdr udp;
    char data[2];
};

static int send_martian(void *data, struct error *err)
{
    const struct sockaddr_ll *to = data;
    CLEANUP(close) int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
    struct sockaddr_ll target = *to;
    struct martian packet = {
        .ip = { .version = 4,
                .ihl = 5,
                .ttl = 64,
                .protocol = IPPROTO_UDP,
                .tot_len = htons(sizeof(packet)),
                .saddr = inet_addr("172.17.0.2"),
                .daddr = inet_addr("127.0.0.1") },
        .udp = { .source = htons(1234), .dest = htons(7777), .len = htons(sizeof(packet.udp) + 2) },
        .data = "!",
    };
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof(packet.ip) / 2; i++) {
        uint16_t word;

        memcpy(&word, (const char *)&packet.ip + 2 * i, 2);
        sum += word;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    packet.ip.check = (uint16_t) ~(sum + (sum >> 16));
    target.sll_ifindex = (int)if_nametoindex("eth0");
    if (sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&target, sizeof(target)) < 0)
        return error_sys(err, "send");
    return 0;
}

Test(network, containers_cannot_reach_services_on_the_hosts_loopback)
{
    CLEANUP(box_done) struct box box = make_box("evil", "bridge", NULL, 0);
    CLEANUP(close) int service = serve(host_fd, SOCK_DGRAM, "127.0.0.1", 7777);
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    struct sockaddr_ll bridge = { .sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_IP),
                                  .sll_halen = 6,
                                  .sll_addr = { 2, 0x42, 172, 17, 0, 1 } };
    struct error err = {};

    cr_assert_eq(namespace_visit(host_fd, box.fd, send_martian, &bridge, &err), 0, "%s", err.text);
    cr_expect_not(wait_for(service, POLLIN, SILENCE_MS));

    /* It was the firewall that stopped it: without, the packet comes through. */
    networks_close(networks);
    networks = NULL;
    cr_assert_eq(netlink_open(NETLINK_NETFILTER, &netlink, &err), 0, "%s", err.text);
    nft_batch_init(&batch, "berth");
    nft_table_remove(&batch);
    cr_assert_eq(nft_commit(netlink, &batch, &err), 0, "%s", err.text);
    cr_assert_eq(namespace_visit(host_fd, box.fd, send_martian, &bridge, &err), 0, "%s", err.text);
    cr_expect(wait_for(service, POLLIN, PATIENCE_MS));
}

Test(network, networks_are_isolated_from_each_other)
{
    CLEANUP(network_unref)
    UNUSED struct network *back = make_network(&(struct network_create){ .name = "back" });
    CLEANUP(box_done) struct box one = make_box("one", "bridge", NULL, 0);
    struct port_mapping port = port_of("tcp", "", 8080, 80);
    CLEANUP(box_done) struct box two = make_box("two", "back", &port, 1);
    CLEANUP(close) int server = serve(two.fd, SOCK_STREAM, "0.0.0.0", 80);

    cr_expect_str_eq(two.endpoint.address, "172.18.0.2");
    expect_nobody(one.fd, "172.18.0.2", 80, server);
    expect_caller(one.fd, HOST_ADDRESS, 8080, server, "172.17.0.2"); /* published is published */
    expect_verified();
}

static void expect_no_talk_within_the_network(void)
{
    CLEANUP(map_done) struct map options = {};
    struct port_mapping port = port_of("tcp", "", 8080, 80);

    map_init_empty(&options, free);
    map_set_text(&options, "com.docker.network.bridge.enable_icc", "false");
    CLEANUP(network_unref)
    UNUSED struct network *quiet =
        make_network(&(struct network_create){ .name = "quiet", .options = &options });
    CLEANUP(box_done) struct box one = make_box("one", "quiet", NULL, 0);
    CLEANUP(box_done) struct box two = make_box("two", "quiet", &port, 1);
    CLEANUP(close) int server = serve(two.fd, SOCK_STREAM, "0.0.0.0", 80);

    expect_nobody(one.fd, two.endpoint.address, 80, server);
    expect_caller(one.fd, HOST_ADDRESS, 8080, server, two.endpoint.gateway);
    expect_caller(host_fd, two.endpoint.address, 80, server, two.endpoint.gateway);
}

Test(network, without_icc_containers_meet_by_published_ports_only)
{
    expect_no_talk_within_the_network();
}

Test(network, without_icc_nobody_meets_where_bridges_are_not_filtered)
{
    stop_filtering_bridges();
    expect_no_talk_within_the_network();
}

Test(network, internal_networks_have_no_way_out)
{
    CLEANUP(network_unref)
    UNUSED struct network *inner =
        make_network(&(struct network_create){ .name = "inner", .internal = true });
    CLEANUP(box_done) struct box one = make_box("one", "inner", NULL, 0);
    CLEANUP(box_done) struct box two = make_box("two", "inner", NULL, 0);
    CLEANUP(close) int server = serve(two.fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(close) int outside = serve(outside_fd, SOCK_STREAM, "0.0.0.0", 80);

    cr_expect_str_eq(one.endpoint.gateway, "");
    expect_caller(one.fd, two.endpoint.address, 80, server, one.endpoint.address);
    expect_nobody(one.fd, OUTSIDE_ADDRESS, 80, outside);
    expect_nobody(outside_fd, two.endpoint.address, 80, server);
}

Test(network, detaching_leaves_nothing)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(network_unref) struct network *network = NULL;
    struct endpoint *list;
    size_t count;
    struct error err = {};

    cr_assert_eq(network_find(networks, "bridge", &network, &err), 0);
    cr_assert_eq(endpoint_detach(networks, "web", network->id, &err), 0, "%s", err.text);
    expect_nobody(outside_fd, HOST_ADDRESS, 8080, server);
    expect_verified(); /* the link, too, as the namespace lives on */
    cr_assert_eq(endpoint_list(networks, NULL, "web", &list, &count, &err), 0);
    cr_expect_eq(count, 0);
    endpoint_list_free(list, count);
    cr_expect_eq(endpoint_detach(networks, "web", NULL, &err), 0, "once more is fine");
}

Test(network, a_dead_containers_link_goes_with_its_namespace)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    struct error err = {};

    box_done(&box);
    cr_assert_eq(endpoint_detach(networks, "web", NULL, &err), 0, "%s", err.text);
    expect_verified();
    wait_for_pairs(0);
    expect_verified();
    CLEANUP(box_done) struct box next = make_port_box("web", port_of("tcp", "", 8080, 80));
    cr_expect_str_eq(next.endpoint.address, "172.17.0.3", "addresses rest before they come back");
}

Test(network, addresses_can_be_wished_in_subnets_of_the_users)
{
    struct network_pool pool = { .subnet = "10.77.0.0/24", .gateway = "10.77.0.254" };
    struct json_list pools = { &pool, 1 };
    CLEANUP(network_unref)
    struct network *mine =
        make_network(&(struct network_create){ .name = "mine", .pools = &pools });
    struct endpoint_wish wish = { .container_id = "one",
                                  .container_name = "one",
                                  .network_id = mine->id,
                                  .address = "10.77.0.9",
                                  .mac_address = "02:00:00:00:00:09" };
    CLEANUP(endpoint_done) struct endpoint endpoint = {}, second = {};
    struct error err = {};
    int fd, fd_2;

    cr_assert_eq(network_namespace_new(networks, &fd, &err), 0);
    cr_assert_eq(network_namespace_new(networks, &fd_2, &err), 0);
    cr_assert_eq(endpoint_attach(networks, &wish, fd, &endpoint, NULL, &err), 0, "%s", err.text);
    cr_expect_str_eq(endpoint.address, "10.77.0.9");
    cr_expect_str_eq(endpoint.gateway, "10.77.0.254");
    cr_expect_str_eq(endpoint.mac_address, "02:00:00:00:00:09");
    cr_expect_eq(endpoint_attach(networks, &wish, fd, &second, NULL, &err), -1);
    cr_expect_eq(err.kind, ERROR_FORBIDDEN, "%s", err.text);
    wish.container_id = "two";
    cr_expect_eq(endpoint_attach(networks, &wish, fd_2, &second, NULL, &err), -1);
    cr_expect_eq(err.kind, ERROR_FORBIDDEN, "%s", err.text);
    cr_expect_str_eq(err.text, "Address already in use");
    wish.address = "10.78.0.9";
    cr_expect_eq(endpoint_attach(networks, &wish, fd_2, &second, NULL, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID, "%s", err.text);
    expect_verified();
}

Test(network, a_container_may_have_several_networks)
{
    CLEANUP(network_unref)
    UNUSED struct network *back = make_network(&(struct network_create){ .name = "back" });
    CLEANUP(box_done) struct box box = make_box("one", "bridge", NULL, 0);
    CLEANUP(close) int server = serve(outside_fd, SOCK_STREAM, "0.0.0.0", 80);
    struct endpoint_wish wish = { .container_id = "one", .network_id = back->id };
    CLEANUP(endpoint_done) struct endpoint endpoint = {};
    struct error err = {};

    cr_assert_eq(endpoint_attach(networks, &wish, box.fd, &endpoint, NULL, &err), 0, "%s",
                 err.text);
    cr_expect_str_eq(endpoint.interface_name, "eth1");
    expect_caller(box.fd, OUTSIDE_ADDRESS, 80, server, HOST_ADDRESS);
    cr_expect_eq(network_remove(networks, back->id, &err), -1);
    cr_expect_eq(err.kind, ERROR_FORBIDDEN);
    cr_expect_eq(endpoint_detach(networks, "one", back->id, &err), 0, "%s", err.text);
    cr_expect_eq(network_remove(networks, back->id, &err), 0, "%s", err.text);
    expect_verified();
}

/* ---- user-defined networks ---- */

static const struct {
    const char *name, *driver, *subnet, *gateway, *range;
    enum error_kind kind;
    const char *text;
} wishes[] = {
    { "", NULL, NULL, NULL, NULL, ERROR_INVALID, "invalid name: name is empty" },
    { " ", NULL, NULL, NULL, NULL, ERROR_INVALID, "invalid name: name is empty" },
    { "host", NULL, NULL, NULL, NULL, ERROR_FORBIDDEN,
      "operation is not permitted on predefined host network " },
    { "there", NULL, NULL, NULL, NULL, ERROR_CONFLICT, "network with name there already exists" },
    { "n", "nix", NULL, NULL, NULL, ERROR_NOT_FOUND, "plugin \"nix\" not found" },
    { "n", "host", NULL, NULL, NULL, ERROR_FORBIDDEN,
      "only one instance of \"host\" network is allowed" },
    { "n", "overlay", NULL, NULL, NULL, ERROR_UNSUPPORTED,
      "network driver overlay is not supported" },
    { "n", "bridge", "x", NULL, NULL, ERROR_INVALID,
      "invalid network config:\ninvalid subnet x: invalid CIDR block notation" },
    { "n", "bridge", "10.1.2.3/24", "10.9.9.9", NULL, ERROR_INVALID,
      "invalid network config:\n* invalid subnet 10.1.2.3/24: it should be 10.1.2.0/24\n"
      "* invalid gateway 10.9.9.9: parent subnet 10.1.2.0/24 doesn't contain this address" },
    { "n", "bridge", "10.1.2.0/24", NULL, "10.1.0.0/16", ERROR_INVALID,
      "invalid network config:\n"
      "invalid ip-range 10.1.0.0/16: CIDR block is bigger than its parent subnet 10.1.2.0/24" },
    { "n", "bridge", "172.17.4.0/24", NULL, NULL, ERROR_FORBIDDEN,
      "invalid pool request: Pool overlaps with other one on this address space" },
    { "n", "bridge", "fd00::/64", NULL, NULL, ERROR_INVALID,
      "invalid network config:\n"
      "invalid subnet fd00::/64: IPv6 is not enabled for this network (EnableIPv6, --ipv6)" },
};

Test(network, wishes_that_cannot_be_granted_are_refused)
{
    CLEANUP(network_unref)
    UNUSED struct network *there = make_network(&(struct network_create){ .name = "there" });

    for (size_t i = 0; i < COUNT(wishes); i++) {
        struct network_pool pool = { .subnet = (char *)wishes[i].subnet,
                                     .gateway = (char *)wishes[i].gateway,
                                     .ip_range = (char *)wishes[i].range };
        struct json_list pools = { &pool, 1 };
        struct network *network = NULL;
        struct error err = {};

        cr_expect_eq(network_create(networks,
                                    &(struct network_create){ .name = wishes[i].name,
                                                              .driver = wishes[i].driver,
                                                              .pools = &pools },
                                    &network, &err),
                     -1, "%s", wishes[i].text);
        cr_expect_eq(err.kind, wishes[i].kind, "%s", err.text);
        cr_expect_str_eq(err.text, wishes[i].text);
    }
    expect_verified();
}

/* As many ports as the kernel lets a bridge have, of others. */
static void fill_bridge(const char *name)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    int index = (int)if_nametoindex(name);
    struct error err = {};

    cr_assert_eq(netlink_open(NETLINK_ROUTE, &netlink, &err), 0, "%s", err.text);
    for (int i = 0; i < 1023; i++) {
        CLEANUP(nl_msg_done) struct nl_msg msg = {};

        nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        nl_put_link(&msg, 0);
        nl_put_u32(&msg, IFLA_MASTER, (uint32_t)index);
        NL_NEST (&msg, IFLA_LINKINFO)
            nl_put_string(&msg, IFLA_INFO_KIND, "veth");
        cr_assert_eq(netlink_call(netlink, &msg, &err), 0, "port %d: %s", i + 1, err.text);
    }
}

Test(network, a_full_bridge_is_told_in_words)
{
    CLEANUP(network_unref)
    struct network *full = make_network(&(struct network_create){ .name = "full" });
    struct box box = { .fd = -1 };
    struct error err = {};

    fill_bridge(full->bridge_name);
    cr_assert_eq(try_box(networks, &box, "one", "full", NULL, 0, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    cr_expect(strstr(err.text, "is full: the kernel lets 1023 containers be on one"), "%s",
              err.text);
    expect_verified(); /* nothing of it is left */
}

/* One question by UDP from the namespace; has the socket behind got it? */
static bool asks_for_a_name(int namespace_fd, int server_fd)
{
    struct sockaddr_in name = name_of("127.0.0.11", 53);
    CLEANUP(close) int client = socket_in(namespace_fd, SOCK_DGRAM);

    return sendto(client, "?", 1, 0, (struct sockaddr *)&name, sizeof(name)) == 1 &&
           wait_for(server_fd, POLLIN, PATIENCE_MS);
}

Test(network, sockets_for_names_are_opened_anew)
{
    CLEANUP(box_done) struct box box = make_box("one", "bridge", NULL, 0);
    struct error err = {};

    for (int i = 0; i < 2; i++) {
        CLEANUP(close) int udp_fd = -1;
        CLEANUP(close) int tcp_fd = -1;

        cr_assert_eq(network_resolver_open(networks, box.fd, &udp_fd, &tcp_fd, &err), 0, "%s",
                     err.text);
        cr_expect(asks_for_a_name(box.fd, udp_fd));
    }
}

Test(network, networks_are_found_by_id_name_and_prefix)
{
    CLEANUP(network_unref)
    struct network *mine = make_network(&(struct network_create){ .name = "mine" });
    CLEANUP(network_unref) struct network *by_id = NULL, *by_name = NULL, *by_prefix = NULL;
    struct network *none = NULL, **list;
    struct error err = {};
    char prefix[13];
    size_t count;

    snprintf(prefix, sizeof(prefix), "%.12s", mine->id);
    cr_expect_eq(network_find(networks, mine->id, &by_id, &err), 0);
    cr_expect_eq(network_find(networks, "mine", &by_name, &err), 0);
    cr_expect_eq(network_find(networks, prefix, &by_prefix, &err), 0);
    cr_expect_eq(by_id, mine);
    cr_expect_eq(by_name, mine);
    cr_expect_eq(by_prefix, mine);
    cr_expect_eq(network_find(networks, "nix", &none, &err), -1);
    cr_expect_str_eq(err.text, "network nix not found");
    cr_expect_eq(network_remove(networks, mine->id, &err), 0, "%s", err.text);
    cr_expect_eq(network_find(networks, "mine", &none, &err), -1);
    cr_assert_eq(network_list(networks, &list, &count, &err), 0);
    cr_expect_eq(count, 3);
    network_list_free(list, count);
    expect_verified();
}

Test(network, networks_survive_a_restart)
{
    CLEANUP(map_done) struct map labels = {};
    struct network_pool pool = { .subnet = "10.77.0.0/24" };
    struct json_list pools = { &pool, 1 };
    CLEANUP(network_unref) struct network *found = NULL;
    struct error err = {};

    map_init_empty(&labels, free);
    map_set_text(&labels, "k", "v");
    network_unref(make_network(
        &(struct network_create){ .name = "mine", .pools = &pools, .labels = &labels }));
    CLEANUP(box_done) struct box box = make_box("one", "mine", NULL, 0);
    networks_close(networks);
    networks = open_engine("", "berth.db", &database);
    cr_assert_eq(network_find(networks, "mine", &found, &err), 0, "%s", err.text);
    cr_expect_str_eq(map_get(&found->labels, "k"), "v");
    cr_assert_eq(found->pools.count, 1);
    cr_expect_str_eq(JSON_ITEMS(&found->pools, struct network_pool)->subnet, "10.77.0.0/24");
    CLEANUP(box_done) struct box next = make_box("two", "mine", NULL, 0);
    cr_expect_str_neq(next.endpoint.address, box.endpoint.address);
    expect_verified();
}
