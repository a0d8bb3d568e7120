/* Namespaces wired to each other, sockets in them, and boxes for containers. */
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

char directory[64];
struct database *database;
struct networks *networks;
int host_fd = -1, outside_fd = -1;

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

bool is_firewall_shared;

struct networks *open_engine(const char *id, const char *file_name, struct database **out)
{
    CLEANUP(free) char *path = path_join(directory, file_name);
    CLEANUP(free) char *names = xasprintf("%s.names", path);
    struct networks_options options = {
        .engine_id = id,
        .names_path = names,
        .icc = true,
        .ip_forward = true,
        .ip_masquerade = true,
        .firewall_shared = is_firewall_shared,
    };
    struct networks *engine = NULL;
    struct error err = {};

    if (!*out)
        cr_assert_eq(database_open(path, out, &err), 0, "%s", err.text);
    cr_assert_eq(networks_open(&options, *out, &engine, &err), 0, "%s", err.text);
    return engine;
}

void set_up(void)
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

void tear_down(void)
{
    networks_close(networks);
    database_close(database);
    tree_remove(directory, NULL);
}

/* As on a host that does not show bridged packets to the firewall. */
void stop_filtering_bridges(void)
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
int socket_in(int where, int type)
{
    int type_and_fd[2] = { type, -1 };
    struct error err = {};

    cr_assert_eq(namespace_visit(host_fd, where, open_socket, type_and_fd, &err), 0, "%s",
                 err.text);
    return type_and_fd[1];
}

struct sockaddr_in name_of(const char *address, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = inet_addr(address) };
}

int serve(int where, int type, const char *address, uint16_t port)
{
    struct sockaddr_in name = name_of(address, port);
    int fd = socket_in(where, type), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0, "%s", strerror(errno));
    if (type == SOCK_STREAM)
        cr_assert_eq(listen(fd, 5), 0);
    return fd;
}

bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd pollfd = { fd, events, 0 };

    return poll(&pollfd, 1, timeout_ms) > 0 && (pollfd.revents & events);
}

/* Who the server sees when it is called from 'where': an address, or "" if nobody comes. */
const char *caller_tcp(int where, const char *address, uint16_t port, int server, int timeout_ms)
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
const char *caller_udp(int where, const char *address, uint16_t port, int server, int timeout_ms)
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

/* ---- containers ---- */

/* The container dies: nobody holds its namespace and its ports any more. */
void box_done(struct box *box)
{
    for (size_t i = 0; i < box->endpoint.ports.count; i++)
        close(box->port_fds[i]);
    endpoint_done(&box->endpoint);
    if (box->fd >= 0)
        close(box->fd);
    box->fd = -1;
}

int try_box(struct networks *engine, struct box *box, const char *name, const char *network_name,
            const struct port_mapping *ports, size_t port_count, struct error *err)
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

struct box make_box(const char *name, const char *network_name, const struct port_mapping *ports,
                    size_t port_count)
{
    struct box box;
    struct error err = {};

    cr_assert_eq(try_box(networks, &box, name, network_name, ports, port_count, &err), 0, "%s",
                 err.text);
    return box;
}

struct box make_port_box(const char *name, struct port_mapping port)
{
    return make_box(name, "bridge", &port, 1);
}

struct port_mapping port_of(const char *protocol, const char *host_ip, uint16_t host_port,
                            uint16_t container_port)
{
    struct port_mapping port = { .host_port = host_port, .container_port = container_port };

    snprintf(port.protocol, sizeof(port.protocol), "%s", protocol);
    snprintf(port.host_ip, sizeof(port.host_ip), "%s", host_ip);
    return port;
}

struct network *make_network(const struct network_create *wish)
{
    struct network *network = NULL;
    struct error err = {};

    cr_assert_eq(network_create(networks, wish, &network, &err), 0, "%s", err.text);
    return network;
}

void expect_verified(void)
{
    CLEANUP(strv_done) struct strv lines = {};
    struct error err = {};

    cr_assert_eq(networks_verify(networks, &lines, &err), 0, "%s", err.text);
    for (size_t i = 0; i < lines.count; i++)
        cr_expect(false, "%s", lines.items[i]);
}

bool has_difference(const char *words)
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
size_t count_pairs(void)
{
    CLEANUP(free) struct link *links = NULL;
    struct error err = {};
    size_t count, pairs = 0;

    cr_assert_eq(link_list(&links, &count, &err), 0, "%s", err.text);
    for (size_t i = 0; i < count; i++)
        pairs += links[i].name[0] == 'v';
    return pairs;
}

void wait_for_pairs(size_t wanted)
{
    for (int i = 0; i < 100 && count_pairs() != wanted; i++)
        poll(NULL, 0, 50);
    cr_expect_eq(count_pairs(), wanted);
}
