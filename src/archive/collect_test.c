/* A tree becomes an archive, and a tree again. */
#include "archive/collect.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "archive/extract.h"
#include "base/file.h"
#include "base/memory.h"
#include "codec/tar.h"

static char top[] = "/tmp/collect_test_XXXXXX";
static int from_fd, to_fd;

static void write_file(int dir_fd, const char *name, const char *text)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void set_up(void)
{
    cr_assert(mkdtemp(top));
    CLEANUP(close) int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(fd, "from", 0755);
    mkdirat(fd, "to", 0755);
    from_fd = openat(fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    to_fd = openat(fd, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(from_fd, "d", 0750);
    write_file(from_fd, "d/a", "one");
    cr_assert_eq(linkat(from_fd, "d/a", from_fd, "d/b", 0), 0);
    cr_assert_eq(symlinkat("../..", from_fd, "d/up"), 0);
    cr_assert_eq(mkfifoat(from_fd, "d/pipe", 0600), 0);
    write_file(from_fd, "d/\xff\xfe", "not UTF-8");
}

static void tear_down(void)
{
    close(from_fd);
    close(to_fd);
    tree_remove(top, NULL);
}

TestSuite(collect, .init = set_up, .fini = tear_down);

static int archive_fd(const char *name, const struct collect_options *options, struct error *err)
{
    int fd = openat(from_fd, "../archive.tar", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLEANUP(stream_close) struct stream *out = stream_from_fd(fd, false);

    if (collect_tree(from_fd, name, options, out, err) < 0) {
        close(fd);
        return -1;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static char *names_of(int fd)
{
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = tar_reader_new(stream_from_fd(fd, true), NULL);
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    struct str names = {};

    while (tar_reader_next(reader, &entry, NULL) == 1)
        str_add_format(&names, "%s ", entry.name);
    return str_take(&names);
}

static const struct {
    const char *name, *archive_name, *names;
} shapes[] = {
    { "d", "d", "d/ d/a d/b d/pipe d/up d/\xff\xfe " },
    { "d", "other", "other/ other/a other/b other/pipe other/up other/\xff\xfe " },
    { "d", "/", "/ /a /b /pipe /up /\xff\xfe " },
    { "d", ".", "./ ./a ./b ./pipe ./up ./\xff\xfe " },
    { "d", NULL, "a b pipe up \xff\xfe " },
    { "d/a", "a", "a " },
    { "d/up", "up", "up " },
};

Test(collect, names_entries_as_asked)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct collect_options options = { .name = shapes[i].archive_name, .cancel_fd = -1 };
        struct error err = {};
        int fd = archive_fd(shapes[i].name, &options, &err);

        cr_assert_geq(fd, 0, "%s", err.text);
        CLEANUP(free) char *names = names_of(fd);
        cr_expect_str_eq(names, shapes[i].names);
    }
}

Test(collect, comes_back_as_it_was)
{
    const struct collect_options options = { .name = "d", .cancel_fd = -1 };
    const struct extract_options extract = { .path = "/", .cancel_fd = -1 };
    struct stat a, b, info;
    char target[10] = "";
    struct error err = {};
    int fd = archive_fd("d", &options, &err);
    CLEANUP(stream_close) struct stream *archive = stream_from_fd(fd, true);

    cr_assert_eq(extract_archive(archive, to_fd, &extract, &err), 0, "%s", err.text);
    cr_assert_eq(fstatat(to_fd, "d/a", &a, 0), 0);
    cr_assert_eq(fstatat(to_fd, "d/b", &b, 0), 0);
    cr_expect(a.st_ino == b.st_ino && a.st_size == 3 && (a.st_mode & 07777) == 0640);
    cr_expect_eq(readlinkat(to_fd, "d/up", target, sizeof(target)), 5);
    cr_expect(fstatat(to_fd, "d/pipe", &info, 0) == 0 && S_ISFIFO(info.st_mode));
    cr_expect(fstatat(to_fd, "d/\xff\xfe", &info, 0) == 0 && info.st_size == 9);
    cr_expect(fstatat(to_fd, "d", &info, 0) == 0 && (info.st_mode & 07777) == 0750);
}

Test(collect, leaves_sockets_out)
{
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct collect_options options = { .name = "s", .cancel_fd = -1 };

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/from/s", top);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CLEANUP(free) char *names = names_of(archive_fd("s", &options, NULL));
    cr_expect_str_eq(names, "");
}

Test(collect, ends_when_called_off)
{
    int pipe_fds[2];
    struct error err = {};

    cr_assert_eq(pipe(pipe_fds), 0);
    close(pipe_fds[1]);
    const struct collect_options options = { .name = "d", .cancel_fd = pipe_fds[0] };
    cr_expect_eq(archive_fd("d", &options, &err), -1);
    cr_expect_eq(err.kind, ERROR_CANCELLED);
}

static struct stat look_at(const char *name)
{
    struct stat status;

    cr_assert_eq(fstatat(to_fd, name, &status, AT_SYMLINK_NOFOLLOW), 0, "%s", name);
    return status;
}

/* Through its archive as "a", by its descriptor as "b". */
Test(collect, describes_a_file_as_its_archive_does)
{
    const struct collect_options options = { .name = "a", .cancel_fd = -1 };
    const struct extract_options extraction = { .keeps_owners = true, .cancel_fd = -1 };
    struct timespec times[] = { { 1, 2 }, { -12345, 678 } };
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    struct error err = {};
    char value[8] = {};
    int64_t size;

    write_file(from_fd, "f", "some content");
    CLEANUP(close) int fd = openat(from_fd, "f", O_RDONLY | O_CLOEXEC);
    cr_assert(fchown(fd, 12, 34) == 0 && fchmod(fd, 04751) == 0);
    cr_assert_eq(fsetxattr(fd, "user.colour", "red", 3, 0), 0);
    cr_assert_eq(futimens(fd, times), 0);
    CLEANUP(stream_close)
    struct stream *archive = stream_from_fd(archive_fd("f", &options, &err), true);
    cr_assert_eq(extract_archive(archive, to_fd, &extraction, &err), 0, "%s", err.text);
    cr_assert_eq(collect_describe(fd, "b", &entry, &err), 0, "%s", err.text);
    cr_assert_eq(collect_size(&entry, &size, &err), 0, "%s", err.text);
    cr_assert_eq(extract_file(fd, &entry, to_fd, &extraction, &err), 0, "%s", err.text);

    struct stat a = look_at("a"), b = look_at("b"), tar = look_at("../archive.tar");
    cr_expect_eq(size, tar.st_size);
    cr_expect_eq(b.st_mode, S_IFREG | 04751);
    cr_expect(a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid);
    cr_expect(b.st_uid == 12 && b.st_gid == 34 && b.st_size == 12);
    cr_expect(a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
    CLEANUP(close) int copy_fd = openat(to_fd, "b", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(fgetxattr(copy_fd, "user.colour", value, sizeof(value)), 3);
    cr_expect_eq(read(copy_fd, value, sizeof(value)), 8);
    cr_expect_arr_eq(value, "some con", 8);
}

Test(collect, describes_regular_files_only)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    struct error err = {};

    cr_expect_eq(collect_describe(from_fd, "x", &entry, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}

Test(collect, tells_of_a_file_that_became_shorter)
{
    const struct extract_options extraction = { .cancel_fd = -1 };
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    CLEANUP(close) int fd = openat(from_fd, "d/a", O_RDWR | O_CLOEXEC);
    struct error err = {};

    cr_assert_eq(collect_describe(fd, "x", &entry, &err), 0, "%s", err.text);
    cr_assert_eq(ftruncate(fd, 1), 0);
    cr_expect_eq(extract_file(fd, &entry, to_fd, &extraction, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
}
