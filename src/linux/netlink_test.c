#include "linux/netlink.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* Answers dumps in the kernel's place: two links in a datagram each, the second one flagged as long
 * as 'interruptions' lasts. */
struct fake_kernel {
    int fd;
    int interruptions, refusal; /* refusal: a positive errno after the first link */
    int asked;
};

struct link_message {
    struct nlmsghdr header;
    struct ifinfomsg body;
};

static void *answer_dumps(void *data)
{
    struct fake_kernel *kernel = data;
    struct link_message request;

    while (recv(kernel->fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
        uint32_t sequence = request.header.nlmsg_seq;
        uint16_t flags = kernel->asked++ < kernel->interruptions ? NLM_F_DUMP_INTR : 0;
        struct link_message link = {
            .header = { sizeof(link), RTM_NEWLINK, NLM_F_MULTI, sequence, 0 },
        };
        struct nlmsghdr done = { sizeof(done), NLMSG_DONE, NLM_F_MULTI | flags, sequence, 0 };
        struct reply refusal = reply(sequence, -kernel->refusal, "no");

        send(kernel->fd, &link, sizeof(link), 0);
        if (kernel->refusal) {
            send(kernel->fd, &refusal, sizeof(refusal), 0);
            continue;
        }
        link.header.nlmsg_flags |= flags;
        send(kernel->fd, &link, sizeof(link), 0);
        send(kernel->fd, &done, sizeof(done), 0);
    }
    return NULL;
}

static const struct {
    const char *what;
    int interruptions, refusal;
    int result, sys, asked, links;
} dumps[] = {
    { "nothing changes meanwhile", 0, 0, 0, 0, 1, 2 },
    { "the list changes four times", 4, 0, 0, 0, 5, 2 },
    { "a refusal is no reason to ask again", 0, EPERM, -1, EPERM, 1, 0 },
};

/* Asks it for a list of links and counts those that come. What netlink_dump gave. */
static int dump_links(struct fake_kernel *kernel, int *out_count, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct netlink *netlink;
    pthread_t thread;
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    netlink = netlink_on_socket(ends[0]);
    kernel->fd = ends[1];
    cr_assert_eq(pthread_create(&thread, NULL, answer_dumps, kernel), 0);
    nl_msg_init(&msg, RTM_GETLINK, NLM_F_DUMP);
    nl_put_link(&msg, 0);
    *out_count = 0;
    int result = netlink_dump(netlink, &msg, count_links, out_count, err);
    netlink_close(netlink);
    pthread_join(thread, NULL);
    close(ends[1]);
    return result;
}

Test(netlink, reads_a_list_again_that_changed_meanwhile)
{
    for (size_t i = 0; i < COUNT(dumps); i++) {
        struct fake_kernel kernel = { .interruptions = dumps[i].interruptions,
                                      .refusal = dumps[i].refusal };
        struct error err = {};
        int count;

        cr_expect_eq(dump_links(&kernel, &count, &err), dumps[i].result, "%s: %s", dumps[i].what,
                     err.text);
        cr_expect_eq(err.sys, dumps[i].sys, "%s", dumps[i].what);
        cr_expect_eq(kernel.asked, dumps[i].asked, "%s", dumps[i].what);
        cr_expect_eq(count, dumps[i].links, "%s", dumps[i].what);
    }
}

/* It ends all the same: whoever waits for an engine's start is told. */
Test(netlink, a_list_that_never_stands_still_is_given_up)
{
    struct fake_kernel kernel = { .interruptions = INT32_MAX };
    struct error err = {};
    int count;

    cr_expect_eq(dump_links(&kernel, &count, &err), -1);
    cr_expect_eq(err.sys, EINTR, "%s", err.text);
    cr_expect_gt(kernel.asked, 1);
    cr_expect_eq(count, 0);
}
