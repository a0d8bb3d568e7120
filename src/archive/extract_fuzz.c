/* Whatever an archive says, and whatever it made the tree look like before, nothing happens outside
 * the tree; and what can be unpacked can be archived again. */
#include "archive/extract.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "archive/collect.h"
#include "base/file.h"
#include "base/memory.h"

#define COLLECT_LIMIT ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/berth-extract-fuzz-XXXXXX";

static void remove_directory(void)
{
    tree_remove(directory, NULL);
}

/* The tree that is unpacked into has a directory for it, and a link that leads out of that. */
static int make_tree(int top_fd)
{
    if (tree_remove_at(top_fd, "tree", NULL) < 0 || mkdirat(top_fd, "tree", 0755) < 0)
        abort();
    int fd = openat(top_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mkdirat(fd, "in", 0755) < 0 || symlinkat("../../..", fd, "in/up") < 0)
        abort();
    return fd;
}

static void check_outside(int top_fd)
{
    DIR *dir = fdopendir(openat(top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int count = 0;

    while (dir && readdir(dir))
        count++;
    if (!dir || count != 3) /* ".", ".." and "tree" */
        abort();
    closedir(dir);
}

struct sink {
    struct stream stream;
    size_t size;
};

/* Sparse files may be called huge: enough is enough. */
static int sink_write(struct stream *stream, const void *data UNUSED, size_t size,
                      struct error *err)
{
    struct sink *sink = CONTAINER_OF(stream, struct sink, stream);

    sink->size += size;
    return sink->size > COLLECT_LIMIT ? error_set(err, ERROR_CANCELLED, "enough") : 0;
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
    CLEANUP(close) int root_fd = make_tree(top_fd);
    CLEANUP(stream_close) struct stream *archive = stream_from_memory(data, size);
    const struct extract_options options = {
        .path = "/in",
        .old_name = "a",
        .new_name = size % 2 ? "b" : NULL,
        .keeps_kinds = size % 3 == 0,
        .cancel_fd = -1,
    };
    const struct collect_options collect = { .name = "in", .cancel_fd = -1 };
    struct sink sink = { .stream = { .write = sink_write } };
    struct error err = {};
    int result = extract_archive(archive, root_fd, &options, &err);

    check_outside(top_fd);
    if (result == 0 && collect_tree(root_fd, "in", &collect, &sink.stream, &err) < 0 &&
        err.kind != ERROR_CANCELLED)
        abort();
    return 0;
}
