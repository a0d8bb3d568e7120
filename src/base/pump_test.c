#include "base/pump.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

#include "base/banned.h"

enum { SIZE = 3 * 1000 * 1000 };

/* Pieces of growing size, then the end or a failure. */
struct work {
    size_t step;
    bool fails, was_refused;
};

static char byte_at(size_t index)
{
    return (char)(index * 7 + index / 1000);
}

static int work(void *data, struct stream *out, struct error *err)
{
    struct work *work = data;
    CLEANUP(free) char *bytes = xmalloc(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = byte_at(i);
    for (size_t at = 0, step = 1; at < SIZE; at += step, step = step * 2 % 900001 + work->step)
        if (stream_write(out, bytes + at, MIN(step, SIZE - at), err) < 0) {
            work->was_refused = err->kind == ERROR_CANCELLED;
            return -1;
        }
    return work->fails ? error_set(err, ERROR_CONFLICT, "something else") : 0;
}

/* All that comes; the last read's result. */
static ssize_t read_all(struct stream *stream, size_t step, struct buf *out, struct error *err)
{
    ssize_t count;

    while ((count = stream_read(stream, buf_room(out, step), step, err)) > 0)
        buf_grow(out, (size_t)count);
    return count;
}

Test(pump, what_is_written_is_read, .timeout = 60)
{
    static const size_t steps[] = { 1000, 262144, 400000 };

    for (size_t i = 0; i < COUNT(steps); i++) {
        CLEANUP(buf_done) struct buf read = {};
        struct work data = { .step = 1 + i };
        struct error err = {};
        CLEANUP(stream_close) struct stream *stream = pump_start(work, &data, &err);

        cr_assert_not_null(stream, "%s", err.text);
        cr_expect_eq(read_all(stream, steps[i], &read, &err), 0, "%s", err.text);
        cr_assert_eq(read.size, SIZE);
        for (size_t at = 0; at < SIZE; at++)
            cr_assert_eq(((const char *)buf_bytes(&read))[at], byte_at(at), "byte %zu", at);
        cr_expect_eq(stream_read(stream, buf_room(&read, 1), 1, &err), 0, "it stays at the end");
    }
}

Test(pump, a_failure_comes_behind_the_bytes, .timeout = 60)
{
    CLEANUP(buf_done) struct buf read = {};
    struct work data = { .step = 1, .fails = true };
    struct error err = {};
    CLEANUP(stream_close) struct stream *stream = pump_start(work, &data, &err);

    cr_expect_eq(read_all(stream, 5000, &read, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    cr_expect_eq(read.size, SIZE);
}

Test(pump, a_reader_that_leaves_ends_the_writer, .timeout = 60)
{
    struct work data = { .step = 1 };
    struct error err = {};
    char byte;
    struct stream *stream = pump_start(work, &data, &err);

    cr_expect_eq(stream_read(stream, &byte, 1, &err), 1);
    cr_expect_eq(byte, byte_at(0));
    stream_close(stream);
    cr_expect(data.was_refused);
}
