#include "store/late_copy.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macros.h"
#include "base/memory.h"

#define SIZE ((off_t)21 * 1024 * 1024 + 5)

static struct error err;
static char *content;

/* A file in memory, reached as 'flags' say. */
static int new_file(int flags)
{
    CLEANUP(close) int fd = memfd_create("file", MFD_CLOEXEC);
    CLEANUP(free) char *path = xasprintf("/proc/self/fd/%d", fd);

    return open(path, flags | O_CLOEXEC);
}

static int new_source(void)
{
    int fd = new_file(O_RDWR);

    content = xmalloc((size_t)SIZE);
    for (off_t i = 0; i < SIZE; i++)
        content[i] = (char)(i * 7 + i / 251);
    cr_assert_eq(fd_write_all(fd, content, (size_t)SIZE, &err), 0, "%s", err.text);
    return fd;
}

static int new_target(void)
{
    int fd = new_file(O_RDWR);

    cr_assert_eq(ftruncate(fd, SIZE), 0);
    return fd;
}

static int follow(struct late_copies *late, int file_fd, int fd, struct sha256 *hash)
{
    struct stat status;

    cr_assert_eq(fstat(file_fd, &status), 0);
    return late_copies_follow(late, &status, fd, hash, &err);
}

static void expect_content(int fd)
{
    CLEANUP(free) char *seen = xmalloc((size_t)SIZE);

    cr_assert_eq(pread(fd, seen, (size_t)SIZE, 0), SIZE);
    cr_expect_arr_eq(seen, content, (size_t)SIZE);
}

Test(late_copy, hashes_what_it_copies)
{
    CLEANUP(late_copies_done) struct late_copies late = {};
    CLEANUP(close) int from_fd = new_source(), to_fd = new_target(), other_fd = new_target();
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    char digest[DIGEST_SIZE], wanted[DIGEST_SIZE];

    cr_assert_eq(late_copies_add(&late, "it", from_fd, to_fd, SIZE), 1);
    cr_expect_eq(follow(&late, other_fd, other_fd, hash), 0, "one that is not late");
    cr_assert_eq(follow(&late, to_fd, to_fd, hash), 1, "%s", err.text);
    cr_expect_eq(follow(&late, to_fd, to_fd, hash), 0, "it is late no more");
    sha256_finish(hash, digest);
    sha256_digest(content, (size_t)SIZE, wanted);
    cr_expect_str_eq(digest, wanted);
    expect_content(to_fd);
}

Test(late_copy, leaves_nothing_out)
{
    CLEANUP(late_copies_done) struct late_copies late = {};
    CLEANUP(close) int from_fd = new_source(), a_fd = new_target(), b_fd = new_target();
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();

    cr_assert_eq(late_copies_add(&late, "a", from_fd, a_fd, SIZE), 1);
    cr_assert_eq(late_copies_add(&late, "b", from_fd, b_fd, SIZE), 1);
    cr_assert_eq(follow(&late, b_fd, b_fd, hash), 1, "%s", err.text);
    cr_assert_eq(late_copies_finish(&late, &err), 0, "%s", err.text);
    expect_content(a_fd);
    expect_content(b_fd);
}

Test(late_copy, takes_large_files_while_there_is_room)
{
    CLEANUP(late_copies_done) struct late_copies late = {};
    CLEANUP(close) int from_fd = new_file(O_RDWR), to_fd = new_file(O_RDWR);

    cr_expect_eq(late_copies_add(&late, "small", from_fd, to_fd, 4096), 0);
    for (int i = 0; i < LATE_COPY_LIMIT; i++)
        cr_assert_eq(late_copies_add(&late, "large", from_fd, to_fd, SIZE), 1);
    cr_expect_eq(late_copies_add(&late, "one more", from_fd, to_fd, SIZE), 0);
}

Test(late_copy, tells_what_cannot_be_copied)
{
    CLEANUP(late_copies_done) struct late_copies late = {};
    CLEANUP(close) int from_fd = new_file(O_WRONLY), to_fd = new_target();
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();

    cr_assert_eq(write(from_fd, "x", 1), 1);
    cr_assert_eq(late_copies_add(&late, "it", from_fd, to_fd, SIZE), 1);
    cr_assert_eq(follow(&late, to_fd, to_fd, hash), -1);
    cr_expect_str_eq(err.text, "read it: bad file descriptor");
}

Test(late_copy, tells_what_cannot_be_hashed)
{
    CLEANUP(late_copies_done) struct late_copies late = {};
    CLEANUP(close) int from_fd = new_source(), to_fd = new_target();
    CLEANUP(close) int closed_fd = new_file(O_WRONLY);
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();

    cr_assert_eq(late_copies_add(&late, "it", from_fd, to_fd, SIZE), 1);
    cr_assert_eq(follow(&late, to_fd, closed_fd, hash), -1);
    cr_expect_eq(err.sys, EBADF, "%s", err.text);
    cr_expect_eq(late.count, 0);
}
