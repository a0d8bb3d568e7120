/* Whatever an archive says, nothing happens outside its directory; and what was unpacked can be
 * written as an archive again, unpacked from that, and is then the same. */
#include "store/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "codec/sha256.h"
#include "store/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/berth-unpack-fuzz-XXXXXX";

static void remove_directory(void)
{
    tree_remove(directory, NULL);
}

static int make(int dir_fd, const char *name)
{
    if (tree_remove_at(dir_fd, name, NULL) < 0 || mkdirat(dir_fd, name, 0755) < 0)
        abort();
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int unpack(int root_fd, struct stream *stream)
{
    struct unpack options = { .root_fd = root_fd, .size_limit = 1 << 24, .entry_limit = 2000 };
    struct error err = {};
    struct unpacked unpacked;

    return unpack_archive(&options, stream, &unpacked, &err);
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

static int pack(int root_fd, struct sink *sink)
{
    struct error err = {};

    *sink = (struct sink){ .stream = { .write = sink_write } };
    return pack_directory(root_fd, PACK_LARGE_FIRST, false, &sink->stream, NULL, NULL, &err);
}

static void check_outside(int top_fd)
{
    DIR *dir = fdopendir(openat(top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int count = 0;

    while (dir && readdir(dir))
        count++;
    if (!dir || count != 4) /* ".", "..", "first" and "second" */
        abort();
    closedir(dir);
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
    CLEANUP(close) int first_fd = make(top_fd, "first");
    CLEANUP(close) int second_fd = make(top_fd, "second");
    struct sink first = {}, second = {};
    int result = unpack(first_fd, stream_from_memory(data, size));

    check_outside(top_fd);
    if (result == 0 && pack(first_fd, &first) == 0) {
        if (unpack(second_fd, stream_from_memory(first.text.data, first.text.length)) < 0 ||
            pack(second_fd, &second) < 0 || first.text.length != second.text.length ||
            memcmp(first.text.data, second.text.data, first.text.length) != 0)
            abort();
    }
    str_done(&first.text);
    str_done(&second.text);
    return 0;
}
