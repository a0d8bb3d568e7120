/* With root each test has a network of its own: the "host" is a new namespace, the "outside"
 * another one that is wired to it. Nothing of the machine's own network is touched. */
#include "network/network.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
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

#define HOST_ADDRESS    "10.9.0.1"
#define OUTSIDE_ADDRESS "10.9.0.2"
#define PATIENCE_MS     3000 /* for what must come */
#define SILENCE_MS      250  /* for what must not */

static char directory[64];
static struct database *database;
static struct networks *networks;
static int host_fd = -1, outside_fd = -1;

/* ---- the world ---- */

static int add_outside_address(void *data, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    const char *const *parts = data; /* link, address, gateway or NULL */
    uint32_t address = inet_addr(parts[1]), gateway = parts[2] ? inet_addr(parts[2]) : 0;
    int index = (int)if_nametoindex(parts[0]);
    struct ifaddrmsg *header;
    struct rtmsg *route;

    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, index, IFF_UP, IFF_UP);
    nl_msg_next(&msg, RTM_NEWADDR, NLM_F_CREATE);
    header = nl_put_header(&msg, sizeof(*header));
    *header = (struct ifaddrmsg){ AF_INET, 24, 0, RT_SCOPE_UNIVERSE, (uint32_t)index };
    nl_put(&msg, IFA_LOCAL, &address, sizeof(address));
    if (gateway) {
        nl_msg_next(&msg, RTM_NEWROUTE, NLM_F_CREATE);
        route = nl_put_header(&msg, sizeof(*route));
        *route = (struct rtmsg){ .rtm_family = AF_INET,
                                 .rtm_table = RT_TABLE_MAIN,
                                 .rtm_protocol = RTPROT_BOOT,
                                 .rtm_type = RTN_UNICAST };
        nl_put(&msg, RTA_GATEWAY, &gateway, sizeof(gateway));
    }
    return netlink_open(NETLINK_ROUTE, &netlink, err) < 0 ? -1 : netlink_call(netlink, &msg, err);
}

static void wire_outside(void)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    const char *inner[] = { "wire1", OUTSIDE_ADDRESS, HOST_ADDRESS };
    const char *outer[] = { "wire0", HOST_ADDRESS, NULL };
    struct error err = {};

    cr_assert_eq(namespace_create(host_fd, &outside_fd, &err), 0, "%s", err.text);
    cr_assert_eq(netlink_open(NETLINK_ROUTE, &netlink, &err), 0, "%s", err.text);
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, 1, IFF_UP, IFF_UP);
    nl_msg_next(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link(&msg, 0);
    nl_put_string(&msg, IFLA_IFNAME, "wire0");
    NL_NEST (&msg, IFLA_LINKINFO) {
        nl_put_string(&msg, IFLA_INFO_KIND, "veth");
        NL_NEST (&msg, IFLA_INFO_DATA)
            NL_NEST (&msg, VETH_INFO_PEER) {
                nl_put_link(&msg, 0);
                nl_put_string(&msg, IFLA_IFNAME, "wire1");
                nl_put_u32(&msg, IFLA_NET_NS_FD, (uint32_t)outside_fd);
            }
    }
    cr_assert_eq(netlink_call(netlink, &msg, &err), 0, "%s", err.text);
    cr_assert_eq(add_outside_address(outer, &err), 0, "%s", err.text);
    cr_assert_eq(namespace_visit(host_fd, outside_fd, add_outside_address, inner, &err), 0, "%s",
                 err.text);
}

static struct networks *open_engine(const char *id, const char *file_name, struct database **out)
{
    CLEANUP(free) char *path = path_join(directory, file_name);
    struct networks_options options = {
        .engine_id = id, .icc = true, .ip_forward = true, .ip_masquerade = true
    };
    struct networks *engine = NULL;
    struct error err = {};

    if (!*out)
        cr_assert_eq(database_open(path, out, &err), 0, "%s", err.text);
    cr_assert_eq(networks_open(&options, *out, &engine, &err), 0, "%s", err.text);
    return engine;
}

static void set_up(void)
{
    struct error err = {};

    snprintf(directory, sizeof(directory), "/tmp/network-test-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    if (unshare(CLONE_NEWNET) < 0)
        cr_skip_test("needs root");
    cr_assert_eq(namespace_current(&host_fd, &err), 0, "%s", err.text);
    wire_outside();
    networks = open_engine("", "berth.db", &database);
}

static void tear_down(void)
{
    networks_close(networks);
    database_close(database);
    tree_remove(directory, NULL);
}

TestSuite(network, .init = set_up, .fini = tear_down);

/* As on a host that does not show bridged packets to the firewall. */
static void stop_filtering_bridges(void)
{
    static const char *const hidden[] = { "/proc/sys/net/bridge", "/sys/module/br_netfilter" };
    struct error err = {};

    if (!bridge_can_filter())
        return;
    networks_close(networks);
    file_write_existing("/proc/sys/net/bridge/bridge-nf-call-iptables", "0", &err);
    cr_assert_eq(unshare(CLONE_NEWNS), 0);
    cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    for (size_t i = 0; i < COUNT(hidden); i++)
        if (file_exists(hidden[i]))
            cr_assert_eq(mount("none", hidden[i], "tmpfs", 0, NULL), 0);
    cr_assert_not(bridge_can_filter());
    networks = open_engine("", "berth.db", &database);
}

/* ---- sockets anywhere ---- */

static int open_socket(void *data, struct error *err)
{
    int *type_and_fd = data;

    type_and_fd[1] = socket(AF_INET, type_and_fd[0] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return type_and_fd[1] < 0 ? error_sys(err, "socket") : 0;
}

/* 'where': a namespace. */
static int socket_in(int where, int type)
{
    int type_and_fd[2] = { type, -1 };
    struct error err = {};

    cr_assert_eq(namespace_visit(host_fd, where, open_socket, type_and_fd, &err), 0, "%s",
                 err.text);
    return type_and_fd[1];
}

static struct sockaddr_in name_of(const char *address, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = inet_addr(address) };
}

static int serve(int where, int type, const char *address, uint16_t port)
{
    struct sockaddr_in name = name_of(address, port);
    int fd = socket_in(where, type), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0, "%s", strerror(errno));
    if (type == SOCK_STREAM)
        cr_assert_eq(listen(fd, 5), 0);
    return fd;
}

static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd pollfd = { fd, events, 0 };

    return poll(&pollfd, 1, timeout_ms) > 0 && (pollfd.revents & events);
}

/* Who the server sees when it is called from 'where': an address, or "" if nobody comes. */
static const char *caller_tcp(int where, const char *address, uint16_t port, int server,
                              int timeout_ms)
{
    static char caller[32];
    struct sockaddr_in name = name_of(address, port), peer = {};
    socklen_t size = sizeof(peer);
    CLEANUP(close) int client = socket_in(where, SOCK_STREAM);
    CLEANUP(close) int accepted = -1;
    int failure = 0;
    socklen_t failure_size = sizeof(failure);

    caller[0] = '\0';
    connect(client, (struct sockaddr *)&name, sizeof(name));
    if (!wait_for(client, POLLOUT, timeout_ms))
        return caller;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &failure, &failure_size);
    if (failure || !wait_for(server, POLLIN, timeout_ms))
        return caller;
    accepted = accept4(server, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
    snprintf(caller, sizeof(caller), "%s", inet_ntoa(peer.sin_addr));
    return caller;
}

/* The same; the answer must find its way back, too. */
static const char *caller_udp(int where, const char *address, uint16_t port, int server,
                              int timeout_ms)
{
    static char caller[32];
    struct sockaddr_in name = name_of(address, port), peer = {};
    socklen_t size = sizeof(peer);
    CLEANUP(close) int client = socket_in(where, SOCK_DGRAM);
    char byte;

    caller[0] = '\0';
    if (connect(client, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        send(client, "a", 1, 0) < 0 || !wait_for(server, POLLIN, timeout_ms))
        return caller;
    recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &size);
    sendto(server, "b", 1, 0, (struct sockaddr *)&peer, size);
    if (wait_for(client, POLLIN, timeout_ms) && recv(client, &byte, 1, 0) == 1)
        snprintf(caller, sizeof(caller), "%s", inet_ntoa(peer.sin_addr));
    return caller;
}

#define expect_caller(where, address, port, server, wanted)                                        \
    cr_expect_str_eq(caller_tcp(where, address, port, server, PATIENCE_MS), wanted, "to %s:%d",    \
                     address, (int)(port))
#define expect_nobody(where, address, port, server)                                                \
    cr_expect_str_eq(caller_tcp(where, address, port, server, SILENCE_MS), "", "to %s:%d",         \
                     address, (int)(port))

/* ---- containers ---- */

struct box {
    int fd; /* its namespace */
    struct endpoint endpoint;
    int port_fds[4];
};

/* The container dies: nobody holds its namespace and its ports any more. */
static void box_done(struct box *box)
{
    for (size_t i = 0; i < box->endpoint.ports.count; i++)
        close(box->port_fds[i]);
    endpoint_done(&box->endpoint);
    if (box->fd >= 0)
        close(box->fd);
    box->fd = -1;
}
CLEANUP_VALUE(box_done, struct box)

static int try_box(struct networks *engine, struct box *box, const char *name,
                   const char *network_name, const struct port_mapping *ports, size_t port_count,
                   struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;
    struct endpoint_wish wish = {
        .container_id = name, .container_name = name, .ports = ports, .port_count = port_count
    };

    cr_assert_eq(network_find(engine, network_name, &network, err), 0, "%s", err->text);
    wish.network_id = network->id;
    *box = (struct box){ .fd = -1 };
    cr_assert_eq(network_namespace_new(engine, &box->fd, err), 0, "%s", err->text);
    return endpoint_attach(engine, &wish, box->fd, &box->endpoint, box->port_fds, err);
}

static struct box make_box(const char *name, const char *network_name,
                           const struct port_mapping *ports, size_t port_count)
{
    struct box box;
    struct error err = {};

    cr_assert_eq(try_box(networks, &box, name, network_name, ports, port_count, &err), 0, "%s",
                 err.text);
    return box;
}

static struct box make_port_box(const char *name, struct port_mapping port)
{
    return make_box(name, "bridge", &port, 1);
}

static struct port_mapping port_of(const char *protocol, const char *host_ip, uint16_t host_port,
                                   uint16_t container_port)
{
    struct port_mapping port = { .host_port = host_port, .container_port = container_port };

    snprintf(port.protocol, sizeof(port.protocol), "%s", protocol);
    snprintf(port.host_ip, sizeof(port.host_ip), "%s", host_ip);
    return port;
}

static struct network *make_network(const struct network_create *wish)
{
    struct network *network = NULL;
    struct error err = {};

    cr_assert_eq(network_create(networks, wish, &network, &err), 0, "%s", err.text);
    return network;
}

static void expect_verified(void)
{
    CLEANUP(strv_done) struct strv lines = {};
    struct error err = {};

    cr_assert_eq(networks_verify(networks, &lines, &err), 0, "%s", err.text);
    for (size_t i = 0; i < lines.count; i++)
        cr_expect(false, "%s", lines.items[i]);
}

static bool has_difference(const char *words)
{
    CLEANUP(strv_done) struct strv lines = {};
    struct error err = {};

    cr_assert_eq(networks_verify(networks, &lines, &err), 0, "%s", err.text);
    for (size_t i = 0; i < lines.count; i++)
        if (strstr(lines.items[i], words))
            return true;
    return false;
}

/* Containers' links that the host still has. */
static size_t count_pairs(void)
{
    CLEANUP(free) struct link *links = NULL;
    struct error err = {};
    size_t count, pairs = 0;

    cr_assert_eq(link_list(&links, &count, &err), 0, "%s", err.text);
    for (size_t i = 0; i < count; i++)
        pairs += links[i].name[0] == 'v';
    return pairs;
}

static void wait_for_pairs(size_t wanted)
{
    for (int i = 0; i < 100 && count_pairs() != wanted; i++)
        poll(NULL, 0, 50);
    cr_expect_eq(count_pairs(), wanted);
}

/* ---- tests ---- */

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

Test(network, a_published_port_is_reached_from_everywhere)
{
    expect_reached_from_everywhere();
}

Test(network, a_published_port_is_reached_where_bridges_are_not_filtered)
{
    stop_filtering_bridges();
    expect_reached_from_everywhere();
}

Test(network, a_published_udp_port_is_reached_and_answers)
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
Test(network, udp_clients_follow_a_port_to_its_new_container)
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

Test(network, unpublished_ports_are_closed_to_the_outside)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int published = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);
    CLEANUP(close) int other = serve(box.fd, SOCK_STREAM, "0.0.0.0", 81);

    /* The outside routes by this host, so these packets do arrive. */
    expect_nobody(outside_fd, "172.17.0.2", 81, other);
    expect_nobody(outside_fd, "172.17.0.2", 80, published);
    expect_caller(outside_fd, HOST_ADDRESS, 8080, published, OUTSIDE_ADDRESS);
}

Test(network, a_port_on_one_address_is_not_on_the_others)
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

/* ---- ports ---- */

static void expect_taken(const struct port_mapping *port, const char *text)
{
    CLEANUP(box_done) struct box box;
    struct error err = {};

    cr_expect_eq(try_box(networks, &box, "late", "bridge", port, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    cr_expect_not_null(strstr(err.text, text), "%s", err.text);
}

Test(network, a_port_belongs_to_one)
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

Test(network, other_programs_ports_are_respected)
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

Test(network, old_connections_do_not_keep_a_port)
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

Test(network, ports_are_chosen_where_none_is_wished)
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

Test(network, a_dead_containers_port_is_free_before_it_is_detached)
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

/* ---- other programs, restarts, other engines ---- */

static void remove_table(void)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    struct error err = {};

    cr_assert_eq(netlink_open(NETLINK_NETFILTER, &netlink, &err), 0, "%s", err.text);
    nft_batch_init(&batch, "berth");
    nft_table_remove(&batch);
    cr_assert_eq(nft_commit(netlink, &batch, &err), 0, "%s", err.text);
}

Test(network, a_flushed_table_comes_back_by_itself)
{
    CLEANUP(box_done) struct box box = make_port_box("web", port_of("tcp", "", 8080, 80));
    CLEANUP(close) int server = serve(box.fd, SOCK_STREAM, "0.0.0.0", 80);

    remove_table();
    for (int i = 0; i < 100 && has_difference("nftables"); i++)
        poll(NULL, 0, 50);
    expect_verified();
    expect_caller(outside_fd, HOST_ADDRESS, 8080, server, OUTSIDE_ADDRESS);
}

Test(network, changes_to_the_table_are_told_and_survived)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    struct firewall_port stray = { .protocol = IPPROTO_TCP, .host_port = 9, .port = 9 };
    struct error err = {};

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

static bool lives(void *data, const char *container_id)
{
    return strcmp(data, container_id) == 0;
}

Test(network, a_containers_link_is_removed_even_if_its_namespace_stays)
{
    CLEANUP(box_done) UNUSED struct box box = make_box("one", "bridge", NULL, 0);
    struct error err = {};

    cr_assert_eq(endpoint_detach(networks, "one", NULL, &err), 0, "%s", err.text);
    wait_for_pairs(0);
}

Test(network, links_that_nobody_recorded_are_told_and_removed)
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

Test(network, what_was_removed_meanwhile_is_made_again)
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

Test(network, engines_live_side_by_side)
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
    { "n", "macvlan", NULL, NULL, NULL, ERROR_UNSUPPORTED,
      "network driver macvlan is not supported" },
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
    { "n", "bridge", "fd00::/64", NULL, NULL, ERROR_UNSUPPORTED,
      "IPv6 networks are not supported" },
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
