/* A chunked request body is pumped by whoever waits for the answer: no thread, and an answer that
 * comes early (progress of a load, refusal of a build) is seen while there is still something to
 * send. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "http/client_state.h"

#include "base/banned.h"

enum { BLOCK_SIZE = 128 * 1024, CHUNK_LINE_SIZE = 10, LOOK_AHEAD_SIZE = 4096 };

bool upload_is_done(const struct upload *upload)
{
    return !upload->body && upload->waiting.size == 0;
}

static int load_chunk(struct upload *upload, struct error *err)
{
    char *chunk = (char *)buf_room(&upload->waiting, CHUNK_LINE_SIZE + BLOCK_SIZE + 2);
    ssize_t count = stream_read(upload->body, chunk + CHUNK_LINE_SIZE, BLOCK_SIZE, err);

    if (count < 0)
        return -1;
    if (count == 0)
        upload->body = NULL;
    char line[CHUNK_LINE_SIZE + 1]; /* zeros may stand in front of a size */
    snprintf(line, sizeof(line), "%08x\r\n", (unsigned)count);
    memcpy(chunk, line, CHUNK_LINE_SIZE);
    memcpy(chunk + CHUNK_LINE_SIZE + count, "\r\n", 2);
    buf_grow(&upload->waiting, CHUNK_LINE_SIZE + (size_t)count + 2);
    return 0;
}

/* The end of the other direction counts: whatever it means, reading says it. */
static bool has_answer(struct http_connection *connection)
{
    int state = http_connection_fill(connection, LOOK_AHEAD_SIZE, NULL);

    return state <= 0 || connection->ahead.size > 0;
}

static void send_some(struct upload *upload, struct http_connection *connection)
{
    short events;
    ssize_t count = http_connection_try_write(connection, buf_bytes(&upload->waiting),
                                              upload->waiting.size, &events, NULL);

    if (count >= 0) {
        buf_consume(&upload->waiting, (size_t)count);
    } else if (count != WOULD_BLOCK) { /* closed: perhaps it said why */
        upload->is_broken = true;
        upload->body = NULL;
        buf_clear(&upload->waiting);
    }
}

int client_upload(struct upload *upload, struct http_connection *connection, struct error *err)
{
    for (;;) {
        if (connection->ahead.size > 0)
            return 1;
        if (upload_is_done(upload))
            return 0;
        if (upload->waiting.size == 0 && load_chunk(upload, err) < 0)
            return -1;
        if (http_connection_poll(connection, POLLIN | POLLOUT, -1, -1, err) < 0)
            return -1;
        if (has_answer(connection))
            return 1;
        send_some(upload, connection);
    }
}

void upload_done(struct upload *upload)
{
    upload->body = NULL;
    buf_done(&upload->waiting);
}
