#include "linux/file_copy.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macros.h"
#include "base/memory.h"

#define MIB ((off_t)1 << 20)

static const struct file_copy options = { .name = "it", .cancel_fd = -1 };
static struct error err;

static int new_file(void)
{
    char path[] = "/tmp/berth-copy-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    cr_assert(fd >= 0 && unlink(path) == 0);
    return fd;
}

/* A file of which no two blocks are alike. */
static int numbered_file(off_t size)
{
    uint64_t block[512];
    int fd = new_file();

    for (off_t at = 0; at < size; at += (off_t)sizeof(block)) {
        for (size_t i = 0; i < COUNT(block); i++)
            block[i] = (uint64_t)at + i;
        cr_assert_eq(fd_write_all(fd, block, (size_t)MIN((off_t)sizeof(block), size - at), &err),
                     0);
    }
    return fd;
}

static off_t size_of(int fd)
{
    struct stat status;

    cr_assert_eq(fstat(fd, &status), 0);
    return status.st_size;
}

static void expect_same(int a_fd, int b_fd, off_t size)
{
    CLEANUP(free) char *a = xmalloc((size_t)MIB), *b = xmalloc((size_t)MIB);

    for (off_t at = 0; at < size; at += MIB) {
        ssize_t count = pread(a_fd, a, (size_t)MIN(MIB, size - at), at);

        cr_assert_gt(count, 0);
        cr_assert_eq(pread(b_fd, b, (size_t)count, at), count);
        cr_assert_arr_eq(a, b, (size_t)count, "different after %lld", (long long)at);
    }
}

Test(file_copy, copies_files_of_all_sizes)
{
    static const off_t sizes[] = { 0, 1, 4096, 5 * MIB + 3, 8 * MIB, 8 * MIB + 1, 33 * MIB - 7 };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        CLEANUP(close) int from_fd = numbered_file(sizes[i]);
        CLEANUP(close) int to_fd = new_file();

        cr_assert_eq(file_copy_content(from_fd, to_fd, sizes[i], &options, &err), 0, "%s",
                     err.text);
        cr_expect_eq(size_of(to_fd), sizes[i]);
        expect_same(from_fd, to_fd, sizes[i]);
    }
}

Test(file_copy, copies_no_more_than_was_asked_for)
{
    static const off_t sizes[] = { 4096, 9 * MIB };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        CLEANUP(close) int from_fd = numbered_file(12 * MIB);
        CLEANUP(close) int to_fd = new_file();

        cr_assert_eq(file_copy_content(from_fd, to_fd, sizes[i], &options, &err), 0, "%s",
                     err.text);
        cr_expect_eq(size_of(to_fd), sizes[i]);
        expect_same(from_fd, to_fd, sizes[i]);
    }
}

Test(file_copy, takes_a_file_that_became_shorter)
{
    CLEANUP(close) int from_fd = numbered_file(9 * MIB);
    CLEANUP(close) int to_fd = new_file();

    cr_assert_eq(file_copy_content(from_fd, to_fd, 40 * MIB, &options, &err), 0, "%s", err.text);
    expect_same(from_fd, to_fd, 9 * MIB);
}

Test(file_copy, keeps_holes_between_large_and_small_ranges)
{
    static const off_t size = 96 * MIB;
    CLEANUP(close) int from_fd = numbered_file(16 * MIB);
    CLEANUP(close) int to_fd = new_file();
    struct stat status;

    cr_assert_eq(pwrite(from_fd, "x", 1, 64 * MIB), 1);
    cr_assert_eq(ftruncate(from_fd, size), 0);
    cr_assert_eq(file_copy_content(from_fd, to_fd, size, &options, &err), 0, "%s", err.text);
    cr_expect_eq(size_of(to_fd), size);
    expect_same(from_fd, to_fd, size);
    cr_assert_eq(fstat(to_fd, &status), 0);
    cr_expect_lt(status.st_blocks, (32 * MIB) / 512);
}

struct follower {
    int from_fd, to_fd;
    off_t reached, limit;
};

static int follow(void *data, off_t offset, struct error *error)
{
    struct follower *follower = data;

    cr_assert_geq(offset, follower->reached, "told in order");
    expect_same(follower->from_fd, follower->to_fd, offset);
    follower->reached = offset;
    return offset < follower->limit ? 0 : error_set(error, ERROR_CONFLICT, "enough");
}

/* Large and small ranges, with a hole before the last one; into a file that has its size. */
Test(file_copy, tells_how_much_is_copied)
{
    CLEANUP(close) int from_fd = numbered_file(21 * MIB);
    CLEANUP(close) int to_fd = new_file();
    struct follower follower = { from_fd, to_fd, 0, 100 * MIB };
    const struct file_copy followed = {
        .name = "it", .cancel_fd = -1, .reached = follow, .data = &follower
    };

    cr_assert_eq(pwrite(from_fd, "x", 1, 40 * MIB), 1);
    cr_assert_eq(ftruncate(to_fd, 40 * MIB + 1), 0);
    cr_assert_eq(file_copy_content(from_fd, to_fd, 40 * MIB + 1, &followed, &err), 0, "%s",
                 err.text);
    expect_same(from_fd, to_fd, 40 * MIB + 1);
    cr_expect(follower.reached == 0 /* shared blocks */ || follower.reached == 40 * MIB + 1);
}

Test(file_copy, ends_when_its_follower_does)
{
    CLEANUP(close) int from_fd = numbered_file(21 * MIB);
    CLEANUP(close) int to_fd = memfd_create("copy", MFD_CLOEXEC); /* which shares no blocks */
    struct follower follower = { from_fd, to_fd, 0, 5 * MIB };
    const struct file_copy followed = {
        .name = "it", .cancel_fd = -1, .reached = follow, .data = &follower
    };

    cr_assert_eq(file_copy_content(from_fd, to_fd, 21 * MIB, &followed, &err), -1);
    cr_expect_str_eq(err.text, "enough");
    cr_expect_lt(size_of(to_fd), 21 * MIB);
}

Test(file_copy, can_be_called_off)
{
    CLEANUP(close) int from_fd = numbered_file(12 * MIB);
    CLEANUP(close) int to_fd = new_file();
    CLEANUP(close) int cancel_fd = eventfd(1, EFD_CLOEXEC);
    const struct file_copy cancelled = { .name = "it", .cancel_fd = cancel_fd };

    cr_assert_eq(file_copy_content(from_fd, to_fd, 12 * MIB, &cancelled, &err), -1);
    cr_expect_eq(err.kind, ERROR_CANCELLED);
}

/* Whichever thread meets it. */
Test(file_copy, tells_what_the_target_cannot_take)
{
    static const off_t limits[] = { 1, 6 * MIB, 20 * MIB };

    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < COUNT(limits); i++) {
        CLEANUP(close) int from_fd = numbered_file(24 * MIB);
        CLEANUP(close) int to_fd = new_file();
        struct rlimit limit = { (rlim_t)limits[i], RLIM_INFINITY };

        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_expect_eq(file_copy_content(from_fd, to_fd, 24 * MIB, &options, &err), -1);
        cr_expect_str_eq(err.text, "write it: file too large");
        limit.rlim_cur = RLIM_INFINITY;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
}

Test(file_copy, tells_what_cannot_be_read)
{
    CLEANUP(close) int from_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int to_fd = new_file();

    cr_assert_eq(file_copy_content(from_fd, to_fd, 4096, &options, &err), -1);
    cr_expect_eq(err.sys, EISDIR, "%s", err.text);
}

Test(file_copy, takes_descriptors_that_cannot_make_it_wait)
{
    static const struct {
        const char *path;
        int flags;
        bool is_fit;
    } rows[] = {
        { "file", O_RDONLY, true },
        { "file", O_RDWR, true },
        { "file", O_WRONLY, false },
        { "file", O_PATH, false },
        { "file", O_RDONLY | O_DIRECT, false },
        { "pipe", O_RDWR, false },
        { ".", O_RDONLY, false },
        { "/proc/self/status", O_RDONLY, false },
        { "/dev/null", O_RDONLY, false },
    };
    char directory[] = "/tmp/berth-copy-XXXXXX";

    cr_assert(mkdtemp(directory) && chdir(directory) == 0);
    close(open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(close) int fd = open(rows[i].path, rows[i].flags | O_CLOEXEC);

        if (fd >= 0 || errno != EINVAL) /* tmpfs may not know O_DIRECT */
            cr_expect_eq(file_copy_is_fit(fd), rows[i].is_fit, "%s %x", rows[i].path,
                         (unsigned)rows[i].flags);
    }
    cr_expect_not(file_copy_is_fit(-1));
    CLEANUP(close) int memory_fd = memfd_create("file", MFD_CLOEXEC);
    cr_expect(file_copy_is_fit(memory_fd));
    cr_assert_eq(tree_remove(directory, &err), 0, "%s", err.text);
}
