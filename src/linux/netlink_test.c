#include "linux/netlink.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>

static const struct nlattr *find(const struct nlattr *nest, uint16_t type)
{
    const struct nlattr *item = NULL;

    while ((item = nl_attribute_next(nest, item)))
        if (nl_type(item) == type)
            return item;
    return NULL;
}

static void write_veth(struct nl_msg *msg, const char *name)
{
    nl_msg_init(msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link(msg, 0);
    nl_put_string(msg, IFLA_IFNAME, name);
    NL_NEST (msg, IFLA_LINKINFO) {
        nl_put_string(msg, IFLA_INFO_KIND, "veth");
        NL_NEST (msg, IFLA_INFO_DATA)
            NL_NEST (msg, VETH_INFO_PEER) {
                nl_put_link(msg, 0);
                nl_put_string(msg, IFLA_IFNAME, "eth0");
            }
    }
}

Test(netlink, a_message_nests_its_attributes)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    const struct nlattr *attributes[IFLA_LINKINFO + 1];
    const struct nlattr *peer;
    const struct nlmsghdr *header;

    write_veth(&msg, "v1");
    header = (const void *)msg.memory;
    cr_assert_eq(header->nlmsg_len, msg.size);
    cr_expect_eq(header->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    nl_attributes(header, sizeof(struct ifinfomsg), attributes, IFLA_LINKINFO);
    cr_expect_str_eq(nl_get_string(attributes[IFLA_IFNAME]), "v1");
    cr_expect_str_eq(nl_get_string(find(attributes[IFLA_LINKINFO], IFLA_INFO_KIND)), "veth");
    peer = find(find(attributes[IFLA_LINKINFO], IFLA_INFO_DATA), VETH_INFO_PEER);
    cr_assert_not_null(peer);
    /* header, ifinfomsg, then the name with its padding */
    cr_expect_eq(nl_size(peer), sizeof(struct ifinfomsg) + 4 + 8);
}

Test(netlink, a_second_message_follows_the_first)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    const struct nlmsghdr *first, *second;

    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link(&msg, 1);
    nl_put(&msg, IFLA_ADDRESS, "abcdef", 6);
    nl_msg_next(&msg, RTM_GETLINK, NLM_F_DUMP);
    nl_put_link(&msg, 2);
    first = (const void *)msg.memory;
    second = (const void *)(msg.memory + NLMSG_ALIGN(first->nlmsg_len));
    cr_expect_eq(msg.count, 2);
    cr_expect_eq(second->nlmsg_type, RTM_GETLINK);
    cr_expect_eq(second->nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP, "a dump has no ack");
    cr_expect_eq((const uint8_t *)second + second->nlmsg_len, msg.memory + msg.size);
}

Test(netlink, a_message_that_outgrew_its_limits_fails_when_sent)
{
    static char long_text[70000];
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error err = {};

    memset(long_text, 'x', sizeof(long_text) - 1);
    cr_assert_eq(netlink_open(NETLINK_ROUTE, &netlink, &err), 0, "%s", err.text);
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link(&msg, 0);
    nl_put_string(&msg, IFLA_IFNAME, long_text);
    nl_put_u32(&msg, IFLA_MTU, 1500);
    cr_expect_eq(netlink_call(netlink, &msg, &err), -1);

    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link(&msg, 0);
    NL_NEST (&msg, IFLA_LINKINFO)
        for (int i = 0; i < 3; i++)
            nl_put(&msg, IFLA_INFO_DATA, long_text, 30000);
    cr_expect_eq(netlink_call(netlink, &msg, &err), -1);
}

/* Answers as the kernel writes them. */
struct reply {
    struct nlmsghdr header;
    struct nlmsgerr body;
    struct nlattr attribute;
    char words[12];
};

static struct reply reply(uint32_t sequence, int error, const char *words)
{
    struct reply reply = {
        .header = { sizeof(reply), NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, sequence, 0 },
        .body = { .error = error, .msg = { .nlmsg_len = 500, .nlmsg_seq = sequence } },
        .attribute = { sizeof(struct nlattr) + sizeof(reply.words), NLMSGERR_ATTR_MSG },
    };

    memcpy(reply.words, words, strlen(words));
    return reply;
}

static const struct {
    const char *what;
    uint32_t sequence;
    int error;
    size_t cut;
    int result, sys;
    uint32_t acknowledged;
    const char *text;
} replies[] = {
    { "success", 7, 0, 0, 0, 0, 1, "" },
    { "refusal", 8, -EEXIST, 0, -1, EEXIST, 0, "too bad: file exists" },
    { "somebody else's", 9, -EEXIST, 0, 0, 0, 0, "" },
    { "an older one", 6, -EEXIST, 0, 0, 0, 0, "" },
    { "longer than it is", 7, -EEXIST, 20, 0, 0, 0, "" },
    { "no errno", 7, 12345, 0, -1, EPROTO, 0, "too bad: protocol error" },
};

Test(netlink, reads_answers_to_its_own_messages)
{
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct netlink_answer answer = { .first_sequence = 7, .count = 2 };
        struct reply bytes = reply(replies[i].sequence, replies[i].error, "too bad");
        struct error err = {};

        cr_expect_eq(
            netlink_answer_read(&answer, &bytes, sizeof(bytes) - replies[i].cut, NULL, NULL, &err),
            replies[i].result, "%s", replies[i].what);
        cr_expect_eq(err.sys, replies[i].sys, "%s", replies[i].what);
        cr_expect_eq(answer.acknowledged, replies[i].acknowledged, "%s", replies[i].what);
        cr_expect_str_eq(err.text, replies[i].text, "%s", replies[i].what);
    }
}

static int count_links(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    *(int *)data += message->nlmsg_type == RTM_NEWLINK;
    return 0;
}

Test(netlink, speaks_with_the_kernel)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error err = {};
    int count = 0;

    if (unshare(CLONE_NEWNET) < 0)
        cr_skip_test("needs root");
    cr_assert_eq(netlink_open(NETLINK_ROUTE, &netlink, &err), 0, "%s", err.text);
    write_veth(&msg, "v1");
    cr_assert_eq(netlink_call(netlink, &msg, &err), 0, "%s", err.text);
    cr_expect_neq(if_nametoindex("v1"), 0);
    cr_expect_neq(if_nametoindex("eth0"), 0);
    write_veth(&msg, "v1");
    cr_expect_eq(netlink_call(netlink, &msg, &err), -1);
    cr_expect_eq(err.sys, EEXIST, "%s", err.text);

    nl_msg_init(&msg, RTM_GETLINK, NLM_F_DUMP);
    nl_put_link(&msg, 0);
    cr_assert_eq(netlink_dump(netlink, &msg, count_links, &count, &err), 0, "%s", err.text);
    cr_expect_eq(count, 3);
}

Test(netlink, a_conversation_tells_of_the_refusal_in_its_middle)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error err = {};

    if (unshare(CLONE_NEWNET) < 0)
        cr_skip_test("needs root");
    cr_assert_eq(netlink_open(NETLINK_ROUTE, &netlink, &err), 0, "%s", err.text);
    write_veth(&msg, "v1");
    nl_msg_next(&msg, RTM_DELLINK, 0);
    nl_put_link(&msg, 4711);
    nl_msg_next(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, 1, IFF_UP, IFF_UP);
    cr_expect_eq(netlink_call(netlink, &msg, &err), -1);
    cr_expect_eq(err.sys, ENODEV, "%s", err.text);
}
