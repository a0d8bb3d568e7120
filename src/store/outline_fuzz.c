/* Whatever an archive says: if it has an outline, that and the files make the same bytes again. */
#include "store/outline.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "store/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/berth-outline-fuzz-XXXXXX";

static void remove_directory(void)
{
    tree_remove(directory, NULL);
}

struct sink {
    struct stream stream;
    struct str text;
};

static int sink_write(struct stream *stream, const void *data, size_t size,
                      struct error *err UNUSED)
{
    str_add_bytes(&CONTAINER_OF(stream, struct sink, stream)->text, data, size);
    return 0;
}

static int make_layer(int top_fd)
{
    if (tree_remove_at(top_fd, "layer", NULL) < 0 || mkdirat(top_fd, "layer", 0755) < 0)
        abort();
    return openat(top_fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void expect_again(const struct str *outline, int dir_fd, const void *data, size_t size)
{
    struct sink again = { .stream = { .write = sink_write } };
    CLEANUP(stream_close)
    struct stream *source = stream_from_memory(outline->data, outline->length);
    struct error err = {};

    if (outline_write(source, dir_fd, &again.stream, &err) < 0 || again.text.length != size ||
        memcmp(again.text.data, data, size) != 0)
        abort();
    str_done(&again.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int top_fd = -1;

    if (top_fd < 0) {
        if (!mkdtemp(directory))
            abort();
        atexit(remove_directory);
        top_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    CLEANUP(close) int layer_fd = make_layer(top_fd);
    struct sink sink = { .stream = { .write = sink_write } };
    CLEANUP(outline_free) struct outline *outline = outline_new(&sink.stream);
    struct unpack options = {
        .root_fd = layer_fd, .size_limit = 1 << 24, .entry_limit = 2000, .outline = outline
    };
    struct unpacked unpacked;
    struct error err = {};
    struct stream *archive = outline_read(outline, stream_from_memory(data, size));

    if (unpack_archive(&options, archive, &unpacked, &err) == 0 && outline_finish(outline))
        expect_again(&sink.text, layer_fd, data, size);
    str_done(&sink.text);
    return 0;
}
