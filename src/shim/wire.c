/* Messages between daemon and supervisor: fields in a buffer, one sendmsg or recvmsg each. */
#include "shim/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

struct message_head {
    uint16_t type, zero;
    uint32_t number;
};
struct field_head {
    uint16_t field, zero;
    uint32_t size;
};

const char *wire_type_name(unsigned type)
{
    switch (type) {
#define X(name, number_)                                                                           \
    case number_:                                                                                  \
        return #name;
        WIRE_MESSAGES(X)
#undef X
    default:
        return "?";
    }
}

void wire_init(struct wire_message *message, enum wire_type type, uint32_t number)
{
    message->type = (uint16_t)type;
    message->number = number;
    message->fields = (struct buf){};
    message->fd_count = 0;
}

void wire_put_bytes(struct wire_message *message, enum wire_field field, const void *bytes,
                    size_t size)
{
    struct field_head head = { .field = (uint16_t)field, .size = (uint32_t)size };

    assert(size <= WIRE_MESSAGE_LIMIT);
    buf_add(&message->fields, &head, sizeof(head));
    buf_add(&message->fields, bytes, size);
}

void wire_put_int(struct wire_message *message, enum wire_field field, int64_t value)
{
    wire_put_bytes(message, field, &value, sizeof(value));
}

void wire_put_text(struct wire_message *message, enum wire_field field, const char *text)
{
    if (text)
        wire_put_bytes(message, field, text, strlen(text) + 1);
}

static void add_fd(struct wire_message *message, int fd, bool owned)
{
    assert(message->fd_count < WIRE_FD_LIMIT);
    message->fds[message->fd_count] = fd;
    message->is_owned[message->fd_count++] = owned;
}

void wire_put_fd(struct wire_message *message, enum wire_field field, int fd)
{
    if (fd < 0)
        return;
    wire_put_int(message, field, (int64_t)message->fd_count);
    add_fd(message, fd, false);
}

int wire_put_blob(struct wire_message *message, enum wire_field field, const void *bytes,
                  size_t size, struct error *err)
{
    if (size > WIRE_BLOB_LIMIT)
        return error_set(err, ERROR_INVALID, "%zu bytes are too many for the supervisor", size);
    if (size <= WIRE_INLINE_LIMIT) {
        wire_put_bytes(message, field, bytes, size);
        return 0;
    }
    CLEANUP(close) int fd = memfd_create("blob", MFD_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "create memfd");
    if (fd_write_all(fd, bytes, size, err) < 0)
        return -1;
    wire_put_bytes(message, field, "", 0);
    wire_put_int(message, WIRE_FIELD_BLOB_FD, (int64_t)message->fd_count);
    add_fd(message, TAKE_FD(fd), true);
    return 0;
}

void wire_put_error(struct wire_message *message, const struct error *err)
{
    wire_put_text(message, WIRE_FIELD_ERROR_KIND, error_kind_name(err->kind));
    wire_put_int(message, WIRE_FIELD_ERROR_SYS, err->sys);
    wire_put_text(message, WIRE_FIELD_ERROR_TEXT, err->text);
}

bool wire_next(const struct wire_message *message, size_t *position, struct wire_value *out)
{
    struct field_head head;

    if (message->fields.size - *position < sizeof(head))
        return false;
    memcpy(&head, buf_bytes(&message->fields) + *position, sizeof(head));
    if (head.size > message->fields.size - *position - sizeof(head))
        return false;
    out->field = head.field;
    out->bytes = buf_bytes(&message->fields) + *position + sizeof(head);
    out->size = head.size;
    *position += sizeof(head) + head.size;
    return true;
}

const void *wire_get_bytes(const struct wire_message *message, enum wire_field field,
                           size_t *out_size)
{
    size_t position = 0;
    struct wire_value value;

    while (wire_next(message, &position, &value))
        if (value.field == field) {
            *out_size = value.size;
            return value.bytes;
        }
    return NULL;
}

static int64_t read_int(const void *bytes, size_t size, int64_t fallback)
{
    int64_t value;

    if (!bytes || size != sizeof(value))
        return fallback;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

int64_t wire_get_int(const struct wire_message *message, enum wire_field field, int64_t fallback)
{
    size_t size = 0;
    const void *bytes = wire_get_bytes(message, field, &size);

    return read_int(bytes, size, fallback);
}

bool wire_get_bool(const struct wire_message *message, enum wire_field field)
{
    return wire_get_int(message, field, 0) != 0;
}

const char *wire_get_text(const struct wire_message *message, enum wire_field field)
{
    size_t size = 0;
    const char *text = wire_get_bytes(message, field, &size);

    return text && size > 0 && memchr(text, '\0', size) == text + size - 1 ? text : NULL;
}

static int take_fd_at(struct wire_message *message, int64_t index)
{
    if (index < 0 || (uint64_t)index >= message->fd_count)
        return -1;
    message->is_owned[index] = false;
    return TAKE_FD(message->fds[index]);
}

int wire_take_fd(struct wire_message *message, enum wire_field field)
{
    return take_fd_at(message, wire_get_int(message, field, -1));
}

static int read_blob_fd(int fd, struct buf *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (fd < 0)
        return error_set(err, ERROR_INVALID, "a blob's descriptor is missing");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind a blob");
    if (file_read_fd(fd, WIRE_BLOB_LIMIT, &text, err) < 0)
        return -1;
    buf_add(out, str_text(&text), text.length);
    return 0;
}

int wire_get_blob(struct wire_message *message, enum wire_field field, struct buf *out,
                  struct error *err)
{
    size_t position = 0;
    struct wire_value value;

    while (wire_next(message, &position, &value)) {
        if (value.field != field)
            continue;
        struct wire_value next;
        if (value.size == 0 && wire_next(message, &position, &next) &&
            next.field == WIRE_FIELD_BLOB_FD) {
            CLEANUP(close) int fd = take_fd_at(message, read_int(next.bytes, next.size, -1));
            return read_blob_fd(fd, out, err);
        }
        buf_add(out, value.bytes, value.size);
        return 0;
    }
    return 0;
}

int wire_get_error(const struct wire_message *message, struct error *err)
{
    const char *kind = wire_get_text(message, WIRE_FIELD_ERROR_KIND);
    const char *text = wire_get_text(message, WIRE_FIELD_ERROR_TEXT);

    if (!kind)
        return 0;
    error_set(err, error_kind_from_name(kind), "%s", text ? text : "the supervisor failed");
    if (err)
        err->sys = (int)wire_get_int(message, WIRE_FIELD_ERROR_SYS, 0);
    return -1;
}

void wire_encode(const struct wire_message *message, struct buf *out)
{
    struct message_head head = { .type = message->type, .number = message->number };

    buf_add(out, &head, sizeof(head));
    buf_add(out, buf_bytes(&message->fields), message->fields.size);
}

int wire_decode(const void *bytes, size_t size, struct wire_message *out, struct error *err)
{
    struct message_head head;
    struct wire_value value;
    size_t position = 0;

    if (size < sizeof(head) || size > WIRE_MESSAGE_LIMIT)
        return error_set(err, ERROR_INVALID, "malformed message of %zu bytes", size);
    memcpy(&head, bytes, sizeof(head));
    wire_init(out, head.type, head.number);
    if (size > sizeof(head))
        buf_add(&out->fields, (const char *)bytes + sizeof(head), size - sizeof(head));
    while (wire_next(out, &position, &value))
        ;
    if (position == out->fields.size)
        return 0;
    wire_done(out);
    return error_set(err, ERROR_INVALID, "malformed field in message %s",
                     wire_type_name(head.type));
}

#define CONTROL_SIZE CMSG_SPACE(sizeof(int) * WIRE_FD_LIMIT)

int wire_send(int fd, const struct wire_message *message, struct error *err)
{
    struct message_head head = { .type = message->type, .number = message->number };
    struct iovec parts[] = { { &head, sizeof(head) },
                             { (void *)buf_bytes(&message->fields), message->fields.size } };
    _Alignas(struct cmsghdr) char control[CONTROL_SIZE];
    struct msghdr raw = { .msg_iov = parts, .msg_iovlen = message->fields.size ? 2 : 1 };
    size_t fds_size = sizeof(int) * message->fd_count;

    if (sizeof(head) + message->fields.size > WIRE_MESSAGE_LIMIT)
        return error_set(err, ERROR_INVALID, "message %s is too large",
                         wire_type_name(message->type));
    if (message->fd_count > 0) {
        raw.msg_control = control;
        raw.msg_controllen = CMSG_SPACE(fds_size);
        memset(control, 0, raw.msg_controllen);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&raw);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds_size);
        memcpy(CMSG_DATA(cmsg), message->fds, fds_size);
    }
    while (sendmsg(fd, &raw, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return error_sys(err, "send %s", wire_type_name(message->type));
    return 0;
}

static void collect_fds(struct msghdr *raw, struct wire_message *out)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(raw); cmsg; cmsg = CMSG_NXTHDR(raw, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (out->fd_count < WIRE_FD_LIMIT)
                add_fd(out, fd, true);
            else
                close(fd);
        }
    }
}

int wire_receive(int fd, struct wire_message *out, struct error *err)
{
    char probe;
    ssize_t size;

    /* A peer that closed without reading all of ours is told as ECONNRESET, once, and ahead of what
     * it had sent before. */
    while ((size = recv(fd, &probe, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT)) < 0)
        if (errno != EINTR && errno != ECONNRESET)
            return error_sys(err, "receive from the peer");
    if (size == 0)
        return 0;
    if ((size_t)size > WIRE_MESSAGE_LIMIT)
        return error_set(err, ERROR_INVALID, "malformed message of %zd bytes", size);

    CLEANUP(free) char *bytes = xmalloc((size_t)size);
    struct iovec part = { bytes, (size_t)size };
    _Alignas(struct cmsghdr) char control[CONTROL_SIZE];
    struct msghdr raw = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    while ((size = recvmsg(fd, &raw, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    if (size < 0)
        return error_sys(err, "receive from the peer");

    CLEANUP(wire_done) struct wire_message descriptors = {};
    collect_fds(&raw, &descriptors);
    if (raw.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return error_set(err, ERROR_INVALID, "a message was cut, or too many files are open");
    if (wire_decode(bytes, (size_t)size, out, err) < 0)
        return -1;
    for (size_t i = 0; i < descriptors.fd_count; i++)
        add_fd(out, TAKE_FD(descriptors.fds[i]), true);
    return 1;
}

void wire_done(struct wire_message *message)
{
    for (size_t i = 0; i < message->fd_count; i++)
        if (message->is_owned[i] && message->fds[i] >= 0)
            close(message->fds[i]);
    message->fd_count = 0;
    buf_done(&message->fields);
}
