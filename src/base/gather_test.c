#include "base/gather.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

/* Counts the writes that reach it. */
struct sink {
    struct stream stream;
    struct buf bytes;
    size_t writes;
    bool is_broken;
};

static int sink_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct sink *sink = CONTAINER_OF(stream, struct sink, stream);

    sink->writes++;
    if (sink->is_broken)
        return error_set(err, ERROR_UNAVAILABLE, "gone");
    buf_add(&sink->bytes, data, size);
    return 0;
}

Test(gather, gives_the_same_bytes_in_few_writes)
{
    struct sink sink = { .stream = { .write = sink_write } };
    struct gather gather;
    CLEANUP(buf_done) struct buf wanted = {};
    CLEANUP(free) char *block = xmalloc(300 * 1024);
    struct error err = {};

    for (size_t i = 0; i < 300 * 1024; i++)
        block[i] = (char)(i * 7 + i / 256);
    gather_begin(&gather, &sink.stream);
    for (size_t i = 0; i < 4000; i++) {
        size_t size = i % 500 == 250 ? 200 * 1024 : i % 600;

        cr_assert_eq(stream_write(&gather.stream, block + i, size, &err), 0);
        buf_add(&wanted, block + i, size);
    }
    cr_expect_lt(sink.bytes.size, wanted.size, "the last bytes wait");
    cr_assert_eq(gather_flush(&gather, &err), 0);
    cr_expect_eq(sink.bytes.size, wanted.size);
    cr_expect_eq(memcmp(sink.bytes.memory, wanted.memory, wanted.size), 0);
    cr_expect_lt(sink.writes, 40);
    gather_done(&gather);
    buf_done(&sink.bytes);
}

Test(gather, tells_what_went_wrong_behind_it)
{
    struct sink sink = { .stream = { .write = sink_write }, .is_broken = true };
    struct gather gather;
    struct error err = {};

    gather_begin(&gather, &sink.stream);
    cr_assert_eq(stream_write(&gather.stream, "few", 3, &err), 0);
    cr_expect_eq(gather_flush(&gather, &err), -1);
    cr_expect_str_eq(err.text, "gone");
    gather_done(&gather);
}
