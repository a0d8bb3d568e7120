/* One request to ctnetlink: delete all that look like this in two fields. */
#include "network/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "linux/netlink.h"

#include "base/banned.h"

/* Which parts of the tuple count; no header for programs has the kernel's names of these
 * (CTA_FILTER_F_CTA_PROTO_NUM and _DST_PORT). */
#define COMPARE_PROTOCOL (1U << 3)
#define COMPARE_PORT     (1U << 5)

static int forget_of_family(uint8_t family, uint8_t protocol, uint16_t port, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error failure = {};
    struct nfgenmsg *header;

    if (netlink_open(NETLINK_NETFILTER, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0);
    header = nl_put_header(&msg, sizeof(*header));
    header->nfgen_family = family;
    NL_NEST (&msg, CTA_TUPLE_ORIG)
        NL_NEST (&msg, CTA_TUPLE_PROTO) {
            nl_put_u8(&msg, CTA_PROTO_NUM, protocol);
            nl_put_u16(&msg, CTA_PROTO_DST_PORT, htons(port));
        }
    NL_NEST (&msg, CTA_FILTER) {
        nl_put_u32(&msg, CTA_FILTER_ORIG_FLAGS, COMPARE_PROTOCOL | COMPARE_PORT);
        nl_put_u32(&msg, CTA_FILTER_REPLY_FLAGS, 0);
    }
    if (netlink_call(netlink, &msg, &failure) == 0 || failure.sys == ENOENT)
        return 0;
    return error_set(err, failure.sys == EOPNOTSUPP ? ERROR_UNSUPPORTED : failure.kind,
                     "forget flows to port %u: %s", port, failure.text);
}

int conntrack_forget(uint8_t protocol, uint16_t port, struct error *err)
{
    return forget_of_family(AF_INET, protocol, port, err) < 0 ||
                   forget_of_family(AF_INET6, protocol, port, err) < 0
               ? -1
               : 0;
}
