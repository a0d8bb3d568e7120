/* Talking to the kernel over netlink: messages are put together in a buffer, several of them make
 * one conversation that is sent at once, and the kernel's answer to each is checked.
 *
 *     CLEANUP(nl_msg_done) struct nl_msg msg = {};
 *
 *     nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
 *     nl_put_link(&msg, 0);
 *     nl_put_string(&msg, IFLA_IFNAME, "berth0");
 *     NL_NEST (&msg, IFLA_LINKINFO)
 *         nl_put_string(&msg, IFLA_INFO_KIND, "bridge");
 *     if (netlink_call(netlink, &msg, err) < 0)
 *
 * A conversation belongs to one thread; so does a socket, unless its owner has a lock. */
#ifndef BERTH_LINUX_NETLINK_H
#define BERTH_LINUX_NETLINK_H

/* The kernel's header of the same name, which ours hides from everybody who looks in src/ first. */
#include_next <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* ---- messages ---- */

/* All messages of a conversation together; what grows beyond it fails when it is sent. */
#define NL_CONVERSATION_LIMIT ((size_t)8 << 20)

struct nl_msg {
    uint8_t *memory;
    size_t size, capacity;
    size_t current; /* offset of the message that is being written */
    uint32_t count; /* of messages */
    bool is_broken; /* outgrew its buffer, or an attribute its length field */
};

/* Starts a conversation, or the next message of it, of 'type' (NLM_F_REQUEST is added, and, unless
 * 'flags' asks for a dump, NLM_F_ACK). */
void nl_msg_init(struct nl_msg *msg, uint16_t type, uint16_t flags);
void nl_msg_next(struct nl_msg *msg, uint16_t type, uint16_t flags);
/* The message that is being written wants no answer; a refusal is told all the same. */
void nl_msg_silent(struct nl_msg *msg);
void nl_msg_done(struct nl_msg *msg);
CLEANUP_VALUE(nl_msg_done, struct nl_msg)

/* The fixed part behind a message's (or, for a veth peer, an attribute's) header; zeroed. Valid
 * until the next call that adds something. */
void *nl_put_header(struct nl_msg *msg, size_t size);
struct ifinfomsg *nl_put_link(struct nl_msg *msg, int index);
/* The flags of a link, as an ifinfomsg has them: set to 'flags' where 'change' has bits. */
struct ifinfomsg *nl_put_link_flags(struct nl_msg *msg, int index, unsigned flags, unsigned change);

void nl_put(struct nl_msg *msg, uint16_t type, const void *data, size_t size);
void nl_put_string(struct nl_msg *msg, uint16_t type, const char *text); /* with its NUL */
void nl_put_u8(struct nl_msg *msg, uint16_t type, uint8_t value);
void nl_put_u16(struct nl_msg *msg, uint16_t type, uint16_t value);
void nl_put_u32(struct nl_msg *msg, uint16_t type, uint32_t value);
void nl_put_be32(struct nl_msg *msg, uint16_t type, uint32_t value); /* given in host order */

/* Attributes within an attribute: NL_NEST (&msg, type) { … }. Do not leave it by goto or return. */
size_t nl_nest_begin(struct nl_msg *msg, uint16_t type);
void nl_nest_end(struct nl_msg *msg, size_t start);
#define NL_NEST(msg, type)        NL_NEST_(msg, type, __LINE__)
#define NL_NEST_(msg, type, line) NL_NEST__(msg, type, line)
#define NL_NEST__(msg, type, line)                                                                 \
    for (size_t nest_##line = nl_nest_begin((msg), (type)), once_##line = 1; once_##line;          \
         nl_nest_end((msg), nest_##line), once_##line = 0)

/* ---- conversations ---- */

struct netlink;

/* A socket of the calling thread's network namespace. 'protocol': NETLINK_ROUTE, … */
int netlink_open(int protocol, struct netlink **out, struct error *err);
/* The same over a socket that is there, for tests that answer in the kernel's place. Takes 'fd'. */
struct netlink *netlink_on_socket(int fd);
void netlink_close(struct netlink *netlink);
CLEANUP_POINTER(netlink_close, struct netlink)

int netlink_fd(const struct netlink *netlink);
uint32_t netlink_port(const struct netlink *netlink); /* the sender's id in notifications */

/* Sends all messages at once and checks the answers. On failure the first message that the kernel
 * refused is told: err->sys is its errno, the text has the kernel's own words where it gives some.
 * Never waits: the kernel answers before the sending returns. */
int netlink_call(struct netlink *netlink, struct nl_msg *msg, struct error *err);

/* Sends one request and hands each message of the answer to 'each', which returns -1 to stop. The
 * list is of one moment: where it changes meanwhile, it is asked for again. */
typedef int netlink_each(const struct nlmsghdr *message, void *data, struct error *err);
int netlink_dump(struct netlink *netlink, struct nl_msg *msg, netlink_each *each, void *data,
                 struct error *err);

/* Hears what others do: joins a multicast group. */
int netlink_join(struct netlink *netlink, unsigned group, struct error *err);

/* ---- answers ---- */

/* What a piece of an answer says. Pure: no socket needed. */
struct netlink_answer {
    uint32_t first_sequence, count; /* the conversation that is answered */
    uint32_t acknowledged;          /* messages that were answered with success */
    bool is_done;                   /* end of a dump */
};
/* Reads one datagram from the kernel: counts acknowledgements, hands everything else that belongs
 * to the conversation to 'each' (may be NULL). -1 with the story on a refusal or on nonsense. */
int netlink_answer_read(struct netlink_answer *answer, const void *data, size_t size,
                        netlink_each *each, void *each_data, struct error *err);

/* Fills out[type] for each attribute of type 0…'limit' behind the fixed header of a message (the
 * last one wins); the others are NULL. Attributes that do not fit their frame end the list. */
void nl_attributes(const struct nlmsghdr *message, size_t header_size, const struct nlattr **out,
                   uint16_t limit);
void nl_attributes_nested(const struct nlattr *nest, const struct nlattr **out, uint16_t limit);
/* The attributes of a list one by one: NULL begins, NULL ends. */
const struct nlattr *nl_attribute_next(const struct nlattr *nest, const struct nlattr *previous);

uint16_t nl_type(const struct nlattr *attribute);
size_t nl_size(const struct nlattr *attribute); /* of its data; 0 for NULL */
const void *nl_data(const struct nlattr *attribute);
/* 0 or "" where the attribute is missing, too short or has no NUL. */
uint32_t nl_get_u32(const struct nlattr *attribute);
const char *nl_get_string(const struct nlattr *attribute);

#endif
