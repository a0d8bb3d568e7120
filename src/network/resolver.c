/* Ports are rewritten in packets on their way out, both of the question and of the answer: that
 * needs no connection tracking, which would cost the container something with each packet. */
#include "network/resolver.h"

#include <arpa/inet.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "linux/nftables.h"
#include "network/namespace.h"

#include "base/banned.h"

#define TABLE     "berth_names"
#define CHAIN     "output"
#define SERVER_IP 0x7f00000b /* 127.0.0.11 */

enum { DNS_PORT = 53, BACKLOG = 16, RECEIVE_BUFFER_SIZE = 64 * 1024 };

struct sockets {
    int udp_fd, tcp_fd;
};

static int open_bound(int type, uint16_t *out_port, struct error *err)
{
    CLEANUP(close) int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(SERVER_IP) };
    socklen_t size = sizeof(name);
    int receive_size = RECEIVE_BUFFER_SIZE;

    if (fd < 0)
        return error_sys(err, "open socket for names");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_size, sizeof(receive_size));
    if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        getsockname(fd, (struct sockaddr *)&name, &size) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return error_sys(err, "bind socket for names");
    *out_port = ntohs(name.sin_port);
    return TAKE_FD(fd);
}

/* A port as a register holds it. */
static uint32_t port_value(uint16_t port)
{
    uint8_t bytes[4] = { (uint8_t)(port >> 8), (uint8_t)port };
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Packets of 'protocol' that have 127.0.0.11 at 'address' and port 'from' at 'offset' of their
 * headers get port 'to' there. */
static void add_rule(struct nft_batch *batch, uint8_t protocol, uint32_t address, uint32_t offset,
                     uint16_t from, uint16_t to)
{
    uint32_t checksum = protocol == IPPROTO_UDP ? 6 : 16;
    const struct nft_step steps[] = {
        NFT_LOAD_META(NFT_META_NFPROTO, NFT_REGISTER(0)),
        NFT_IS(NFT_REGISTER(0), NFPROTO_IPV4, 1),
        NFT_LOAD_NETWORK(address, 4, NFT_REGISTER(0)),
        NFT_IS(NFT_REGISTER(0), htonl(SERVER_IP), 4),
        NFT_LOAD_META(NFT_META_L4PROTO, NFT_REGISTER(0)),
        NFT_IS(NFT_REGISTER(0), protocol, 1),
        NFT_LOAD_TRANSPORT(offset, 2, NFT_REGISTER(0)),
        NFT_IS(NFT_REGISTER(0), port_value(from), 4),
        NFT_VALUE(port_value(to), NFT_REGISTER(0)),
        NFT_WRITE_TRANSPORT(offset, 2, NFT_REGISTER(0), checksum),
        NFT_END,
    };

    nft_rule_add(batch, CHAIN, steps);
}

/* What an older resolver left is replaced, but not in every case: the kernel lets whoever has
 * removed something wait until no packet can see it any more, which takes several milliseconds. */
static int redirect(uint16_t udp_port, uint16_t tcp_port, struct error *err)
{
    static const struct nft_chain chain = { CHAIN, "filter", NF_INET_LOCAL_OUT, NF_IP_PRI_MANGLE };
    enum { SOURCE = 12, DESTINATION = 16, SOURCE_PORT = 0, DESTINATION_PORT = 2 };
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};

    if (netlink_open(NETLINK_NETFILTER, &netlink, err) < 0)
        return -1;
    nft_batch_init(&batch, TABLE);
    if (nft_table_is_there(netlink, TABLE))
        nft_table_remove(&batch);
    nft_table_make(&batch);
    nft_chain_add(&batch, &chain);
    add_rule(&batch, IPPROTO_UDP, DESTINATION, DESTINATION_PORT, DNS_PORT, udp_port);
    add_rule(&batch, IPPROTO_UDP, SOURCE, SOURCE_PORT, udp_port, DNS_PORT);
    add_rule(&batch, IPPROTO_TCP, DESTINATION, DESTINATION_PORT, DNS_PORT, tcp_port);
    add_rule(&batch, IPPROTO_TCP, SOURCE, SOURCE_PORT, tcp_port, DNS_PORT);
    return nft_commit(netlink, &batch, err);
}

static int open_inside(void *data, struct error *err)
{
    struct sockets *out = data;
    uint16_t udp_port, tcp_port;
    CLEANUP(close) int udp_fd = open_bound(SOCK_DGRAM, &udp_port, err);
    CLEANUP(close) int tcp_fd = udp_fd < 0 ? -1 : open_bound(SOCK_STREAM, &tcp_port, err);

    if (udp_fd < 0 || tcp_fd < 0 || redirect(udp_port, tcp_port, err) < 0)
        return -1;
    out->udp_fd = TAKE_FD(udp_fd);
    out->tcp_fd = TAKE_FD(tcp_fd);
    return 0;
}

int resolver_open(int home_fd, int namespace_fd, int *out_udp_fd, int *out_tcp_fd,
                  struct error *err)
{
    struct sockets sockets;

    if (namespace_visit(home_fd, namespace_fd, open_inside, &sockets, err) < 0)
        return error_context(err, "open the container's name server");
    *out_udp_fd = sockets.udp_fd;
    *out_tcp_fd = sockets.tcp_fd;
    return 0;
}
