/* Messages are structs: both ends are the same program. */
#include "runtime/channel.h"

#include <errno.h>
#include <string.h>

#include "base/descriptor.h"

#include "base/banned.h"

int channel_send(int fd, enum channel_message_type type, int32_t number, const struct error *error,
                 int passed_fd, struct error *err)
{
    struct channel_message message = { .type = type, .number = number };
    size_t size = error ? sizeof(message) : offsetof(struct channel_message, error);

    if (error)
        message.error = *error;
    return descriptor_send(fd, &message, size, passed_fd, err) < 0
               ? error_context(err, "to the container")
               : 0;
}

int channel_receive(int fd, struct channel_message *out, int *out_fd, struct error *err)
{
    CLEANUP(close) int passed_fd = -1;
    struct error why = {};

    memset(out, 0, sizeof(*out));
    ssize_t size = descriptor_receive(fd, out, sizeof(*out), &passed_fd, &why);
    if (size < 0 && why.sys == ECONNRESET)
        return 0;
    if (size < 0) {
        if (err)
            *err = why;
        return error_context(err, "from the container");
    }
    if (size == 0)
        return 0;
    if ((size_t)size < offsetof(struct channel_message, error))
        return error_set(err, ERROR_INTERNAL, "receive from container: short message");
    out->error.text[sizeof(out->error.text) - 1] = 0;
    if (out_fd)
        *out_fd = TAKE_FD(passed_fd);
    return 1;
}
