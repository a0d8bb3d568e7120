/* One call reads a blob, or writes one. Writing is a talk: each message is answered with how far
 * the client is. */
#include "buildkit/content.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "buildkit/grpc.h"
#include "codec/protobuf.h"

#include "base/banned.h"

#define SERVICE    "/containerd.services.content.v1.Content/"
#define BLOCK_SIZE ((size_t)256 << 10)

enum { ACTION_STAT, ACTION_WRITE, ACTION_COMMIT };

static int begin_call(const struct content_store *store, const char *method, struct grpc_call **out,
                      struct error *err)
{
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};

    grpc_metadata_add(&metadata, "buildkit-attachable-store-id", store->id);
    if (peer_need(store->session, method, "its directory", err) < 0)
        return -1;
    return grpc_call_new(store->session->channel, method, &metadata, store->cancel_fd, out, err);
}

/* ---- reading ---- */

int content_block_read(const void *message, size_t size, struct content_block *out,
                       struct error *err)
{
    struct protobuf_reader reader = protobuf_read(message, size);
    struct content_block block = {};
    struct protobuf_field field;
    int found;

    while ((found = protobuf_next(&reader, &field, err)) > 0)
        if (field.number == 1 && field.type == PROTOBUF_NUMBER) {
            if (field.value > INT64_MAX)
                return error_set(err, ERROR_INVALID, "a blob has no part at a negative offset");
            block.offset = (int64_t)field.value;
        } else if (field.number == 2 && field.type == PROTOBUF_BYTES) {
            block.bytes = field.bytes;
            block.size = field.size;
        }
    if (found == 0)
        *out = block;
    return found;
}

struct content_reader {
    struct stream stream;
    struct grpc_call *call;
    struct buf message;
    struct content_block rest; /* of the message */
    int64_t received;
};

static int next_block(struct content_reader *reader, struct error *err)
{
    int found = grpc_receive(reader->call, &reader->message, err);

    if (found <= 0)
        return found;
    if (content_block_read(buf_bytes(&reader->message), reader->message.size, &reader->rest, err) <
        0)
        return -1;
    if (reader->rest.offset != reader->received)
        return error_set(err, ERROR_INVALID, "the client sent a part of a blob out of its order");
    reader->received += (int64_t)reader->rest.size;
    return 1;
}

static ssize_t reader_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct content_reader *reader = CONTAINER_OF(stream, struct content_reader, stream);

    while (reader->rest.size == 0) {
        int found = next_block(reader, err);

        if (found <= 0)
            return found;
    }
    size_t count = MIN(size, reader->rest.size);
    memcpy(data, reader->rest.bytes, count);
    reader->rest.bytes += count;
    reader->rest.size -= count;
    return (ssize_t)count;
}

static void reader_close(struct stream *stream)
{
    struct content_reader *reader = CONTAINER_OF(stream, struct content_reader, stream);

    grpc_call_free(reader->call);
    buf_done(&reader->message);
    free(reader);
}

int content_open(const struct content_store *store, const char *digest, struct stream **out,
                 struct error *err)
{
    CLEANUP(grpc_call_free) struct grpc_call *call = NULL;
    CLEANUP(buf_done) struct buf request = {};

    protobuf_add_text(&request, 1, digest);
    if (begin_call(store, SERVICE "Read", &call, err) < 0 || grpc_send(call, &request, err) < 0 ||
        grpc_finish_sending(call, err) < 0)
        return -1;
    struct content_reader *reader = NEW(struct content_reader);
    reader->stream = (struct stream){ .read = reader_read, .close = reader_close };
    reader->call = TAKE(call);
    *out = &reader->stream;
    return 0;
}

/* ---- writing ---- */

struct content_writer {
    struct stream stream;
    struct content_store store;
    struct grpc_call *call;
    char *digest, *ref; /* ref: what the client calls the blob until it is whole */
    int64_t size, written;
    bool is_begun, is_whole;
};

/* Says one thing, and hears what the client says to it. */
static int say(struct content_writer *writer, int action, const void *data, size_t size,
               struct error *err)
{
    CLEANUP(buf_done) struct buf message = {}, answer = {};

    protobuf_add_number(&message, 1, (uint64_t)action);
    protobuf_add_text(&message, 2, writer->ref);
    protobuf_add_number(&message, 3, (uint64_t)writer->size);
    protobuf_add_text(&message, 4, writer->digest);
    protobuf_add_number(&message, 5, (uint64_t)writer->written);
    protobuf_add_bytes(&message, 6, data, size);
    if (grpc_send(writer->call, &message, err) < 0)
        return -1;
    return grpc_receive_one(writer->call, &answer, err);
}

static int writer_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct content_writer *writer = CONTAINER_OF(stream, struct content_writer, stream);

    for (size_t at = 0; at < size;) {
        size_t count = MIN(size - at, BLOCK_SIZE);

        if (say(writer, ACTION_WRITE, (const uint8_t *)data + at, count, err) < 0)
            return -1;
        writer->written += (int64_t)count;
        at += count;
    }
    return 0;
}

/* The writer outlives the stream. */
static void writer_close(struct stream *stream UNUSED)
{
}

int content_writer_new(const struct content_store *store, const char *digest, int64_t size,
                       struct content_writer **out, struct error *err)
{
    CLEANUP(content_writer_free) struct content_writer *writer = NEW(struct content_writer);
    struct error why = {};
    char id[ID_LENGTH + 1];

    id_generate(id);
    *writer = (struct content_writer){
        .stream = { .write = writer_write, .close = writer_close },
        .store = *store,
        .digest = xstrdup(digest),
        .ref = xasprintf("berth-%.24s", id),
        .size = size,
    };
    if (begin_call(store, SERVICE "Write", &writer->call, err) < 0)
        return -1;
    if (say(writer, ACTION_STAT, NULL, 0, &why) < 0)
        return why.kind == ERROR_CONFLICT ? 0 : error_set(err, why.kind, "%s", why.text);
    writer->is_begun = true;
    *out = TAKE(writer);
    return 1;
}

struct stream *content_writer_stream(struct content_writer *writer)
{
    return &writer->stream;
}

int content_writer_finish(struct content_writer *writer, struct error *err)
{
    CLEANUP(buf_done) struct buf rest = {};
    int found;

    if (say(writer, ACTION_COMMIT, NULL, 0, err) < 0)
        return -1;
    writer->is_whole = true;
    if (grpc_finish_sending(writer->call, err) < 0)
        return -1;
    while ((found = grpc_receive(writer->call, &rest, err)) > 0)
        continue;
    return found;
}

static void forget(struct content_writer *writer)
{
    CLEANUP(grpc_call_free) struct grpc_call *call = NULL;
    CLEANUP(buf_done) struct buf request = {}, answer = {};

    protobuf_add_text(&request, 1, writer->ref);
    if (begin_call(&writer->store, SERVICE "Abort", &call, NULL) == 0 &&
        grpc_send(call, &request, NULL) == 0 && grpc_finish_sending(call, NULL) == 0)
        grpc_receive(call, &answer, NULL);
}

void content_writer_free(struct content_writer *writer)
{
    if (!writer)
        return;
    grpc_call_free(writer->call);
    if (writer->is_begun && !writer->is_whole)
        forget(writer);
    free(writer->digest);
    free(writer->ref);
    free(writer);
}
