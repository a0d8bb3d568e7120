/* Streams over descriptors and memory. */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

#define COPY_SIZE ((size_t)128 * 1024)
#define FILE_SIZE ((size_t)256 * 1024)

struct fd_stream {
    struct stream stream;
    int fd;
    int owns;
};

struct memory_stream {
    struct stream stream;
    const char *data;
    size_t size;
};

ssize_t stream_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    if (!stream->read)
        return error_set(err, ERROR_INTERNAL, "stream is not readable");
    return stream->read(stream, data, size, err);
}

int stream_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    if (!stream->write)
        return error_set(err, ERROR_INTERNAL, "stream is not writable");
    return stream->write(stream, data, size, err);
}

static int is_shorter(struct error *err)
{
    return error_set(err, ERROR_CONFLICT, "became shorter while it was read");
}

static int write_file_by_hand(struct stream *stream, int fd, size_t size, struct error *err)
{
    CLEANUP(free) char *block = size > 0 ? xmalloc(MIN(FILE_SIZE, size)) : NULL;

    while (size > 0) {
        ssize_t count = read(fd, block, MIN(FILE_SIZE, size));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read");
        if (count == 0)
            return is_shorter(err);
        if (stream_write(stream, block, (size_t)count, err) < 0)
            return -1;
        size -= (size_t)count;
    }
    return 0;
}

int stream_write_file(struct stream *stream, int fd, size_t size, struct error *err)
{
    return stream->write_file ? stream->write_file(stream, fd, size, err)
                              : write_file_by_hand(stream, fd, size, err);
}

void stream_close(struct stream *stream)
{
    if (stream)
        stream->close(stream);
}

static ssize_t fd_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct fd_stream *self = CONTAINER_OF(stream, struct fd_stream, stream);
    ssize_t count;

    do
        count = read(self->fd, data, size);
    while (count < 0 && errno == EINTR);
    return count < 0 ? error_sys(err, "read") : count;
}

static int fd_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    return fd_write_all(CONTAINER_OF(stream, struct fd_stream, stream)->fd, data, size, err);
}

/* A pipe takes the pages of the file as they are. */
static int fd_write_file(struct stream *stream, int fd, size_t size, struct error *err)
{
    struct fd_stream *self = CONTAINER_OF(stream, struct fd_stream, stream);

    while (size > 0) {
        ssize_t count = splice(fd, NULL, self->fd, NULL, MIN(size, FILE_SIZE), 0);

        if (count < 0 && errno == EINVAL)
            return write_file_by_hand(stream, fd, size, err);
        if (count < 0 && errno != EINTR)
            return error_sys(err, "write");
        if (count == 0)
            return is_shorter(err);
        size -= count > 0 ? (size_t)count : 0;
    }
    return 0;
}

static void fd_close(struct stream *stream)
{
    struct fd_stream *self = CONTAINER_OF(stream, struct fd_stream, stream);

    if (self->owns)
        close(self->fd);
    free(self);
}

struct stream *stream_from_fd(int fd, int owns)
{
    struct fd_stream *self = NEW(struct fd_stream);

    *self = (struct fd_stream){ { fd_read, fd_write, fd_close, fd_write_file }, fd, owns };
    return &self->stream;
}

static ssize_t memory_read(struct stream *stream, void *data, size_t size, struct error *err UNUSED)
{
    struct memory_stream *self = CONTAINER_OF(stream, struct memory_stream, stream);
    size_t count = MIN(size, self->size);

    if (count)
        memcpy(data, self->data, count);
    self->data += count;
    self->size -= count;
    return (ssize_t)count;
}

static void memory_close(struct stream *stream)
{
    free(CONTAINER_OF(stream, struct memory_stream, stream));
}

struct stream *stream_from_memory(const void *data, size_t size)
{
    struct memory_stream *self = NEW(struct memory_stream);

    *self = (struct memory_stream){ { memory_read, NULL, memory_close }, data, size };
    return &self->stream;
}

ssize_t stream_copy(struct stream *from, struct stream *to, struct error *err)
{
    CLEANUP(free) char *block = xmalloc(COPY_SIZE);
    ssize_t total = 0;

    for (;;) {
        ssize_t count = stream_read(from, block, COPY_SIZE, err);

        if (count < 0)
            return -1;
        if (count == 0)
            return total;
        if (stream_write(to, block, (size_t)count, err) < 0)
            return -1;
        total += count;
    }
}
