#include "store/pack.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "record/database.h"
#include "store/test_tools.h"

#define LEAST_LARGE_SIZE (1 << 20)

static struct error err;

static void set_up(void)
{
    test_directory_make();
    test_store_open("overlay2");
}

static void tear_down(void)
{
    test_store_remove();
}

TestSuite(pack, .init = set_up, .fini = tear_down, .timeout = 120);

static void put(int dir_fd, const char *name, off_t size)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    cr_assert_eq(ftruncate(fd, size), 0);
}

static void put_tree(int dir_fd)
{
    static const char *const directories[] = { "b", "b/deep", "b/other", "c" };

    for (size_t i = 0; i < COUNT(directories); i++)
        cr_assert_eq(mkdirat(dir_fd, directories[i], 0755), 0);
    put(dir_fd, "a-small", 1);
    put(dir_fd, "b/deep/large", LEAST_LARGE_SIZE);
    put(dir_fd, "b/deep/small", LEAST_LARGE_SIZE - 1);
    put(dir_fd, "b/other/small", 1);
    put(dir_fd, "c/small", 1);
    put(dir_fd, "d-large", LEAST_LARGE_SIZE);
    cr_assert_eq(linkat(dir_fd, "d-large", dir_fd, "a-link", 0), 0);
}

static void pack(int dir_fd, enum pack_order order, struct str *out)
{
    struct text_sink sink = text_sink(out);

    cr_assert_eq(pack_directory(dir_fd, order, false, &sink.stream, NULL, NULL, &err), 0, "%s",
                 err.text);
}

/* "name name …", with an '=' before a hard link. */
static char *list_names(const struct str *archive)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = tar_reader_new(stream_from_memory(archive->data, archive->length),
                                               &err);
    struct str names = {};
    int more;

    while ((more = tar_reader_next(reader, &entry, &err)) == 1)
        str_add_format(&names, "%s%s%s", names.length ? " " : "",
                       entry.type == TAR_HARDLINK ? "=" : "", entry.name);
    cr_assert_eq(more, 0, "%s", err.text);
    return names.data;
}

static int open_tree(void)
{
    CLEANUP(free) char *path = path_join(test_directory, "tree");

    cr_assert_eq(mkdir(path, 0755), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_tree(fd);
    return fd;
}

Test(pack, puts_large_files_first)
{
    CLEANUP(close) int fd = open_tree();
    CLEANUP(str_done) struct str large_first = {}, by_name = {};

    pack(fd, PACK_LARGE_FIRST, &large_first);
    CLEANUP(free) char *names = list_names(&large_first);
    cr_expect_str_eq(names, "a-link b/ b/deep/ b/deep/large =d-large"
                            " a-small b/deep/small b/other/ b/other/small c/ c/small");
    pack(fd, PACK_BY_NAME, &by_name);
    CLEANUP(free) char *sorted = list_names(&by_name);
    cr_expect_str_eq(sorted, "a-link a-small b/ b/deep/ b/deep/large b/deep/small b/other/"
                             " b/other/small c/ c/small =d-large");
}

/* What a record says of a layer from before there was another order. */
Test(pack, keeps_the_order_that_a_layer_was_hashed_in)
{
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(str_done) struct str wanted = {}, written = {};
    struct text_sink sink = text_sink(&written);
    struct layer layer;

    cr_assert_eq(store_writable_new(test_store, &writable, &err), 0, "%s", err.text);
    CLEANUP(close) int fd = open(writable.diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_tree(fd);
    pack(fd, PACK_BY_NAME, &wanted);
    cr_assert_eq(store_layer_commit(test_store, "", &writable, NULL, &layer, &err), 0, "%s",
                 err.text);
    cr_assert_eq(database_run(test_database, &err, "UPDATE layer SET pack_order = 0", NULL), 1);
    test_store_close();
    test_store_open("overlay2");
    cr_assert_eq(store_layer_write(test_store, layer.chain_id, &sink.stream, &err), 0, "%s",
                 err.text);
    cr_expect(written.length == wanted.length &&
              memcmp(written.data, wanted.data, wanted.length) == 0);
}
