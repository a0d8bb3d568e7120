/* Messages grow in one buffer, so everything that is open (the message, its nests) is remembered as
 * an offset. libmnl knows the alignment rules; it is not seen outside this file. */
#include "linux/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/memory.h"

#include "base/banned.h"

#define ANSWER_SIZE      ((size_t)32 << 10) /* larger than any skb that a dump fills */
#define ATTRIBUTE_LIMIT  ((size_t)UINT16_MAX - MNL_ATTR_HDRLEN)
#define SEND_BUFFER_SIZE ((int)NL_CONVERSATION_LIMIT)

enum { DUMP_ATTEMPTS = 100 }; /* each waits a millisecond longer than the one before */

struct netlink {
    int fd;
    uint32_t port, sequence;
};

/* ---- messages ---- */

/* Zeroed room at the end of the buffer; NULL once the conversation is broken. */
static void *nl_msg_room(struct nl_msg *msg, size_t size)
{
    size_t aligned = MNL_ALIGN(size);
    uint8_t *room;

    if (msg->is_broken || aligned > NL_CONVERSATION_LIMIT - msg->size) {
        msg->is_broken = true;
        return NULL;
    }
    if (msg->size + aligned > msg->capacity) {
        msg->capacity = MAX(msg->capacity * 2, MAX(msg->size + aligned, (size_t)1024));
        msg->memory = xrealloc(msg->memory, msg->capacity, 1);
    }
    room = msg->memory + msg->size;
    memset(room, 0, aligned);
    msg->size += aligned;
    return room;
}

static struct nlmsghdr *nl_msg_current(const struct nl_msg *msg)
{
    return (struct nlmsghdr *)(void *)(msg->memory + msg->current);
}

static void nl_msg_fix_length(struct nl_msg *msg)
{
    if (!msg->is_broken)
        nl_msg_current(msg)->nlmsg_len = (uint32_t)(msg->size - msg->current);
}

void nl_msg_init(struct nl_msg *msg, uint16_t type, uint16_t flags)
{
    msg->size = msg->current = 0;
    msg->count = 0;
    msg->is_broken = false;
    nl_msg_next(msg, type, flags);
}

void nl_msg_next(struct nl_msg *msg, uint16_t type, uint16_t flags)
{
    size_t start = msg->size;
    struct nlmsghdr *header = nl_msg_room(msg, sizeof(*header));

    if (!header)
        return;
    msg->current = start;
    header->nlmsg_len = sizeof(*header);
    header->nlmsg_type = type;
    header->nlmsg_flags = flags | NLM_F_REQUEST;
    /* NLM_F_DUMP shares its bits with NLM_F_REPLACE and NLM_F_EXCL, which come with "new". */
    if ((flags & NLM_F_DUMP) != NLM_F_DUMP)
        header->nlmsg_flags |= NLM_F_ACK;
    header->nlmsg_seq = msg->count++;
}

void nl_msg_silent(struct nl_msg *msg)
{
    if (!msg->is_broken)
        nl_msg_current(msg)->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
}

void nl_msg_done(struct nl_msg *msg)
{
    free(msg->memory);
    *msg = (struct nl_msg){};
}

void *nl_put_header(struct nl_msg *msg, size_t size)
{
    static _Thread_local uint64_t nowhere[16]; /* so that callers need not check a broken message */
    void *header = nl_msg_room(msg, size);

    nl_msg_fix_length(msg);
    return header ? header : nowhere;
}

struct ifinfomsg *nl_put_link(struct nl_msg *msg, int index)
{
    struct ifinfomsg *link = nl_put_header(msg, sizeof(*link));

    link->ifi_family = AF_UNSPEC;
    link->ifi_index = index;
    return link;
}

struct ifinfomsg *nl_put_link_flags(struct nl_msg *msg, int index, unsigned flags, unsigned change)
{
    struct ifinfomsg *link = nl_put_link(msg, index);

    link->ifi_flags = flags;
    link->ifi_change = change;
    return link;
}

void nl_put(struct nl_msg *msg, uint16_t type, const void *data, size_t size)
{
    struct nlattr *attribute;

    if (size > ATTRIBUTE_LIMIT)
        msg->is_broken = true;
    attribute = nl_msg_room(msg, MNL_ATTR_HDRLEN + size);
    if (!attribute)
        return;
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + size);
    if (size > 0)
        memcpy((uint8_t *)attribute + MNL_ATTR_HDRLEN, data, size);
    nl_msg_fix_length(msg);
}

void nl_put_string(struct nl_msg *msg, uint16_t type, const char *text)
{
    nl_put(msg, type, text, strlen(text) + 1);
}

void nl_put_u8(struct nl_msg *msg, uint16_t type, uint8_t value)
{
    nl_put(msg, type, &value, sizeof(value));
}

void nl_put_u16(struct nl_msg *msg, uint16_t type, uint16_t value)
{
    nl_put(msg, type, &value, sizeof(value));
}

void nl_put_u32(struct nl_msg *msg, uint16_t type, uint32_t value)
{
    nl_put(msg, type, &value, sizeof(value));
}

void nl_put_be32(struct nl_msg *msg, uint16_t type, uint32_t value)
{
    nl_put_u32(msg, type, htonl(value));
}

size_t nl_nest_begin(struct nl_msg *msg, uint16_t type)
{
    size_t start = msg->size;

    nl_put(msg, type | NLA_F_NESTED, NULL, 0);
    return start;
}

void nl_nest_end(struct nl_msg *msg, size_t start)
{
    size_t size = msg->size - start;

    if (size > UINT16_MAX)
        msg->is_broken = true;
    if (!msg->is_broken)
        ((struct nlattr *)(void *)(msg->memory + start))->nla_len = (uint16_t)size;
}

/* ---- sockets ---- */

static int netlink_bind(struct netlink *netlink, struct error *err)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK };
    socklen_t size = sizeof(address);
    int on = 1, send_size = SEND_BUFFER_SIZE;

    /* Old kernels lack these two; answers are longer and poorer then. */
    setsockopt(netlink->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    setsockopt(netlink->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    setsockopt(netlink->fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_size, sizeof(send_size));
    if (bind(netlink->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(netlink->fd, (struct sockaddr *)&address, &size) < 0)
        return error_sys(err, "bind netlink socket");
    netlink->port = address.nl_pid;
    return 0;
}

int netlink_open(int protocol, struct netlink **out, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NEW(struct netlink);

    netlink->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (netlink->fd < 0)
        return error_sys(err, "open netlink socket");
    if (netlink_bind(netlink, err) < 0)
        return -1;
    *out = TAKE(netlink);
    return 0;
}

struct netlink *netlink_on_socket(int fd)
{
    struct netlink *netlink = NEW(struct netlink);

    netlink->fd = fd;
    return netlink;
}

void netlink_close(struct netlink *netlink)
{
    if (!netlink)
        return;
    if (netlink->fd >= 0)
        close(netlink->fd);
    free(netlink);
}

int netlink_fd(const struct netlink *netlink)
{
    return netlink->fd;
}

uint32_t netlink_port(const struct netlink *netlink)
{
    return netlink->port;
}

int netlink_join(struct netlink *netlink, unsigned group, struct error *err)
{
    if (setsockopt(netlink->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        return error_sys(err, "join netlink group %u", group);
    return 0;
}

/* ---- conversations ---- */

/* What an interrupted call left behind must not be taken for an answer to the next one. */
static void netlink_drain(struct netlink *netlink)
{
    uint8_t byte;

    while (recv(netlink->fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >= 0 ||
           errno == ENOBUFS || errno == EINTR)
        ;
}

/* Numbers the messages from the socket's next sequence on, and returns how many want an answer. */
static uint32_t netlink_number(struct netlink *netlink, struct nl_msg *msg, uint32_t *out_first)
{
    uint32_t wanted = 0;

    *out_first = netlink->sequence + 1;
    for (size_t offset = 0; offset < msg->size;) {
        struct nlmsghdr *header = (struct nlmsghdr *)(void *)(msg->memory + offset);

        header->nlmsg_seq = ++netlink->sequence;
        wanted += (header->nlmsg_flags & NLM_F_ACK) ? 1 : 0;
        offset += MNL_ALIGN(header->nlmsg_len);
    }
    return wanted;
}

static int netlink_send(struct netlink *netlink, const struct nl_msg *msg, struct error *err)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    ssize_t size;

    if (msg->is_broken)
        return error_set(err, ERROR_INTERNAL, "netlink message is too large");
    do
        size = sendto(netlink->fd, msg->memory, msg->size, 0, (struct sockaddr *)&kernel,
                      sizeof(kernel));
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return error_sys(err, "send netlink message");
    return 0;
}

/* One datagram; 0 when there is none (only with MSG_DONTWAIT). */
static ssize_t netlink_receive(struct netlink *netlink, uint8_t *buffer, int flags,
                               struct error *err)
{
    struct sockaddr_nl sender = {};
    struct iovec part = { buffer, ANSWER_SIZE };
    struct msghdr header = { .msg_name = &sender, .msg_iov = &part, .msg_iovlen = 1 };
    ssize_t size;

    do {
        header.msg_namelen = sizeof(sender);
        size = recvmsg(netlink->fd, &header, flags);
    } while ((size < 0 && errno == EINTR) || (size >= 0 && sender.nl_pid != 0));
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (size < 0)
        return error_sys(err, "receive netlink message");
    if (header.msg_flags & MSG_TRUNC)
        return error_set(err, ERROR_INTERNAL, "netlink message was cut");
    return size;
}

/* Sends; *out_wanted is how many acknowledgements the answer has. */
static int netlink_ask(struct netlink *netlink, struct nl_msg *msg, struct netlink_answer *out,
                       uint32_t *out_wanted, struct error *err)
{
    netlink_drain(netlink);
    if (msg->is_broken)
        return error_set(err, ERROR_INTERNAL, "netlink message is too large");
    out->count = msg->count;
    *out_wanted = netlink_number(netlink, msg, &out->first_sequence);
    return netlink_send(netlink, msg, err);
}

int netlink_call(struct netlink *netlink, struct nl_msg *msg, struct error *err)
{
    CLEANUP(free) uint8_t *buffer = xmalloc(ANSWER_SIZE);
    struct netlink_answer answer = {};
    uint32_t wanted;

    if (netlink_ask(netlink, msg, &answer, &wanted, err) < 0)
        return -1;
    for (;;) {
        ssize_t size = netlink_receive(netlink, buffer, MSG_DONTWAIT, err);

        if (size < 0)
            return -1;
        if (size == 0)
            break;
        if (netlink_answer_read(&answer, buffer, (size_t)size, NULL, NULL, err) < 0)
            return -1;
    }
    if (answer.acknowledged < wanted)
        return error_set(err, ERROR_INTERNAL, "the kernel did not answer");
    return 0;
}

static int collect(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    static const uint8_t padding[NLMSG_ALIGNTO];

    buf_add(data, message, message->nlmsg_len);
    buf_add(data, padding, NLMSG_ALIGN(message->nlmsg_len) - message->nlmsg_len);
    return 0;
}

static int dump_once(struct netlink *netlink, struct nl_msg *msg, struct buf *out,
                     struct error *err)
{
    CLEANUP(free) uint8_t *buffer = xmalloc(ANSWER_SIZE);
    struct netlink_answer answer = {};
    uint32_t wanted;

    if (netlink_ask(netlink, msg, &answer, &wanted, err) < 0)
        return -1;
    while (!answer.is_done && (wanted == 0 || answer.acknowledged < wanted)) {
        ssize_t size = netlink_receive(netlink, buffer, 0, err);

        if (size < 0 || netlink_answer_read(&answer, buffer, (size_t)size, collect, out, err) < 0)
            return -1;
    }
    return 0;
}

/* A list that changes while it is read is read again: nothing is handed out before all is there. */
int netlink_dump(struct netlink *netlink, struct nl_msg *msg, netlink_each *each, void *data,
                 struct error *err)
{
    CLEANUP(buf_done) struct buf answer = {};
    struct error failure = {};
    int result = -1;

    for (int i = 0; result < 0 && i < DUMP_ATTEMPTS && (i == 0 || failure.sys == EINTR); i++) {
        if (i > 0)
            poll(NULL, 0, i);
        buf_clear(&answer);
        result = dump_once(netlink, msg, &answer, &failure);
    }
    if (result < 0) {
        if (err)
            *err = failure;
        return -1;
    }
    for (size_t offset = 0; offset < answer.size;) {
        const struct nlmsghdr *message = (const void *)(buf_bytes(&answer) + offset);

        if (each && each(message, data, err) < 0)
            return -1;
        offset += NLMSG_ALIGN(message->nlmsg_len);
    }
    return 0;
}

/* ---- answers ---- */

/* The kernel's own words about a refusal, if it sent some behind the error. */
static const char *refusal_words(const struct nlmsghdr *message)
{
    const struct nlattr *attributes[NLMSGERR_ATTR_MSG + 1];
    const struct nlmsgerr *refusal = mnl_nlmsg_get_payload(message);
    size_t header_size = sizeof(*refusal);

    if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
        return "";
    if (!(message->nlmsg_flags & NLM_F_CAPPED)) {
        size_t echoed = refusal->msg.nlmsg_len;

        if (echoed < sizeof(refusal->msg) || echoed > message->nlmsg_len)
            return "";
        header_size += echoed - sizeof(refusal->msg);
    }
    nl_attributes(message, header_size, attributes, NLMSGERR_ATTR_MSG);
    return nl_get_string(attributes[NLMSGERR_ATTR_MSG]);
}

static int read_error(struct netlink_answer *answer, const struct nlmsghdr *message,
                      struct error *err)
{
    const struct nlmsgerr *refusal = mnl_nlmsg_get_payload(message);
    const char *words;

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*refusal))
        return error_set(err, ERROR_INTERNAL, "netlink answer was cut");
    if (refusal->error == 0) {
        answer->acknowledged++;
        return 0;
    }
    words = refusal_words(message);
    /* A dump that cannot begin ends with a positive number on very old kernels. */
    errno = refusal->error < 0 && refusal->error > -4096 ? -refusal->error : EPROTO;
    if (words[0])
        return error_sys(err, "%s", words);
    return error_sys(err, "kernel refused");
}

static bool belongs(const struct netlink_answer *answer, const struct nlmsghdr *message)
{
    return message->nlmsg_seq - answer->first_sequence < answer->count;
}

int netlink_answer_read(struct netlink_answer *answer, const void *data, size_t size,
                        netlink_each *each, void *each_data, struct error *err)
{
    const struct nlmsghdr *message;

    /* mnl_nlmsg_ok takes lengths of 2^31 and more for negative, hence good, ones. */
    for (size_t offset = 0; size - offset >= sizeof(*message);) {
        message = (const void *)((const uint8_t *)data + offset);
        if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > size - offset)
            break;
        offset += MIN(MNL_ALIGN((size_t)message->nlmsg_len), size - offset);
        if (!belongs(answer, message))
            continue;
        if (message->nlmsg_flags & NLM_F_DUMP_INTR) {
            errno = EINTR; /* The list changed while it was read. */
            return error_sys(err, "netlink dump");
        }
        if (message->nlmsg_type == NLMSG_ERROR) {
            if (read_error(answer, message, err) < 0)
                return -1;
        } else if (message->nlmsg_type == NLMSG_DONE) {
            answer->is_done = true;
        } else if (message->nlmsg_type >= NLMSG_MIN_TYPE && each) {
            if (each(message, each_data, err) < 0)
                return -1;
        }
    }
    return 0;
}

static void attributes_read(const uint8_t *data, size_t size, const struct nlattr **out,
                            uint16_t limit)
{
    const struct nlattr *attribute = (const void *)data;
    int left = (int)MIN(size, (size_t)INT32_MAX);

    memset(out, 0, ((size_t)limit + 1) * sizeof(out[0]));
    while (mnl_attr_ok(attribute, left)) {
        if (mnl_attr_get_type(attribute) <= limit)
            out[mnl_attr_get_type(attribute)] = attribute;
        left -= (int)MNL_ALIGN(attribute->nla_len);
        attribute = mnl_attr_next(attribute);
    }
}

void nl_attributes(const struct nlmsghdr *message, size_t header_size, const struct nlattr **out,
                   uint16_t limit)
{
    size_t payload_size = mnl_nlmsg_get_payload_len(message);
    size_t aligned = MNL_ALIGN(header_size);
    const uint8_t *payload = mnl_nlmsg_get_payload(message);

    attributes_read(payload + MIN(aligned, payload_size), payload_size - MIN(aligned, payload_size),
                    out, limit);
}

void nl_attributes_nested(const struct nlattr *nest, const struct nlattr **out, uint16_t limit)
{
    attributes_read(nest ? nl_data(nest) : NULL, nl_size(nest), out, limit);
}

const struct nlattr *nl_attribute_next(const struct nlattr *nest, const struct nlattr *previous)
{
    const uint8_t *end, *next;

    if (!nest)
        return NULL;
    end = (const uint8_t *)nl_data(nest) + nl_size(nest);
    next = previous ? (const uint8_t *)previous + MNL_ALIGN(previous->nla_len) : nl_data(nest);
    if (next >= end || !mnl_attr_ok((const void *)next, (int)(end - next)))
        return NULL;
    return (const void *)next;
}

uint16_t nl_type(const struct nlattr *attribute)
{
    return mnl_attr_get_type(attribute);
}

size_t nl_size(const struct nlattr *attribute)
{
    return attribute ? attribute->nla_len - MNL_ATTR_HDRLEN : 0;
}

const void *nl_data(const struct nlattr *attribute)
{
    return (const uint8_t *)attribute + MNL_ATTR_HDRLEN;
}

uint32_t nl_get_u32(const struct nlattr *attribute)
{
    uint32_t value = 0;

    if (nl_size(attribute) >= sizeof(value))
        memcpy(&value, nl_data(attribute), sizeof(value));
    return value;
}

const char *nl_get_string(const struct nlattr *attribute)
{
    if (nl_size(attribute) == 0 || !memchr(nl_data(attribute), '\0', nl_size(attribute)))
        return "";
    return nl_data(attribute);
}
