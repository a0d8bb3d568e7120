#include "linux/tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"

#define DEPTH 3000

static char directory[] = "/tmp/berth-tree-XXXXXX";
static int root_fd, from_fd, to_fd;
static struct error err;

static int make_dir(const char *name)
{
    cr_assert_eq(mkdirat(root_fd, name, 0755), 0);
    return openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void set_up(void)
{
    cr_assert(mkdtemp(directory));
    root_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    from_fd = make_dir("from");
    to_fd = make_dir("to");
}

static void tear_down(void)
{
    cr_assert_eq(tree_remove(directory, &err), 0, "%s", err.text);
    cr_assert_not(file_exists(directory));
}

TestSuite(tree, .init = set_up, .fini = tear_down);

static void write_file(int dir_fd, const char *name, const char *text)
{
    CLEANUP(close) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* A file system without such marks says so. */
static bool is_marked(const char *path)
{
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int flags = 0;

    return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || flags & FS_TOPDIR_FL;
}

Test(tree, spreads_what_begins_in_a_directory)
{
    struct statfs system;

    cr_assert_eq(statfs(directory, &system), 0);
    tree_spread("/nowhere/at/all");
    tree_spread(directory);
    tree_spread(directory);
    cr_expect(is_marked(directory) || system.f_type != EXT4_SUPER_MAGIC);
}

static struct stat look_at(int dir_fd, const char *name)
{
    struct stat status;

    cr_assert_eq(fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW), 0, "%s", name);
    return status;
}

static void make_deep(int fd)
{
    fd = dup(fd);
    for (int i = 0; i < DEPTH; i++) {
        cr_assert_eq(mkdirat(fd, "d", 0755), 0);
        write_file(fd, "f", "1234");
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        close(fd);
        fd = next;
    }
    close(fd);
}

struct counts {
    int files, entered, left;
};

static int count_entry(void *data, const struct tree_entry *entry, struct error *ignored UNUSED)
{
    struct counts *counts = data;

    S_ISDIR(entry->status.st_mode) ? counts->entered++ : counts->files++;
    return 0;
}

static int count_leaving(void *data, const struct tree_entry *entry UNUSED,
                         struct error *ignored UNUSED)
{
    ((struct counts *)data)->left++;
    return 0;
}

Test(tree, survives_any_depth)
{
    static const struct tree_visitor counting = { count_entry, count_leaving };
    struct counts counts = {};
    int64_t size;

    make_deep(from_fd);
    cr_assert_eq(tree_walk(from_fd, &counting, &counts, &err), 0, "%s", err.text);
    cr_expect(counts.files == DEPTH && counts.entered == DEPTH && counts.left == DEPTH);
    cr_assert_eq(tree_size(directory, &size, &err), 0, "%s", err.text);
    cr_expect_eq(size, DEPTH * 4);
}

static int note_path(void *data, const struct tree_entry *entry, struct error *ignored UNUSED)
{
    str_add_format(data, "%s ", entry->path);
    return strcmp(entry->name, "closed") == 0;
}

Test(tree, visits_in_order)
{
    static const struct tree_visitor visitor = { note_path, NULL };
    CLEANUP(str_done) struct str seen = {};

    mkdirat(from_fd, "b", 0755);
    mkdirat(from_fd, "b/closed", 0755);
    write_file(from_fd, "b/closed/x", "");
    write_file(from_fd, "b/y", "");
    write_file(from_fd, "b-", "");
    write_file(from_fd, "a", "");
    cr_assert_eq(symlinkat("b", from_fd, "z"), 0);
    cr_assert_eq(tree_walk(from_fd, &visitor, &seen, &err), 0, "%s", err.text);
    cr_expect_str_eq(str_text(&seen), "a b b/closed b/y b- z ");
}

Test(tree, copies_all_that_makes_an_entry)
{
    struct timespec times[] = { { 1, 2 }, { 12345, 678 } };
    char target[16] = {};

    mkdirat(from_fd, "d", 0755);
    write_file(from_fd, "d/f", "text");
    CLEANUP(close) int fd = openat(from_fd, "d/f", O_WRONLY | O_CLOEXEC);
    cr_assert_eq(fchown(fd, 12, 34), 0);
    cr_assert_eq(fchmod(fd, 04751), 0);
    cr_assert_eq(fsetxattr(fd, "user.colour", "red", 3, 0), 0);
    cr_assert_eq(fsetxattr(fd, "trusted.overlay.origin", "x", 1, 0), 0);
    cr_assert_eq(futimens(fd, times), 0);
    cr_assert_eq(linkat(from_fd, "d/f", from_fd, "z", 0), 0);
    cr_assert_eq(symlinkat("/nowhere", from_fd, "d/l"), 0);
    cr_assert_eq(mknodat(from_fd, "d/n", S_IFCHR | 0620, makedev(1, 3)), 0);
    cr_assert_eq(fchmodat(from_fd, "d/n", 0666, 0), 0);
    cr_assert_eq(mkfifoat(from_fd, "d/p", 0600), 0);
    cr_assert_eq(fchmodat(from_fd, "d", 01700, 0), 0);
    cr_assert_eq(utimensat(from_fd, "d", times, 0), 0);

    cr_assert_eq(tree_copy(from_fd, to_fd, NULL, &err), 0, "%s", err.text);
    struct stat file = look_at(to_fd, "d/f"), dir = look_at(to_fd, "d");
    cr_expect_eq(file.st_mode, S_IFREG | 04751);
    cr_expect(file.st_uid == 12 && file.st_gid == 34 && file.st_size == 4);
    cr_expect(file.st_mtim.tv_sec == 12345 && file.st_mtim.tv_nsec == 678);
    cr_expect_eq(file.st_ino, look_at(to_fd, "z").st_ino);
    cr_expect_eq(dir.st_mode, S_IFDIR | 01700);
    cr_expect_eq(dir.st_mtim.tv_sec, 12345);
    cr_expect_eq(look_at(to_fd, "d/n").st_rdev, makedev(1, 3));
    cr_expect_eq(look_at(to_fd, "d/n").st_mode, S_IFCHR | 0666);
    cr_expect(S_ISFIFO(look_at(to_fd, "d/p").st_mode));
    cr_expect_eq(readlinkat(to_fd, "d/l", target, sizeof(target)), 8);
    CLEANUP(close) int copy_fd = openat(to_fd, "d/f", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(fgetxattr(copy_fd, "user.colour", target, sizeof(target)), 3);
    cr_expect_eq(fgetxattr(copy_fd, "trusted.overlay.origin", target, sizeof(target)), -1);
}

static int put_off_one(void *data, const char *path, int source_fd, int copy_fd, off_t size)
{
    cr_assert_eq(fcntl(copy_fd, F_GETFL) & O_ACCMODE, O_WRONLY);
    *(int *)data += strcmp(path, "later") == 0 && size == 4 && source_fd != copy_fd;
    return strcmp(path, "later") == 0;
}

Test(tree, leaves_contents_for_later)
{
    struct timespec times[] = { { 1, 2 }, { 12345, 678 } };
    int count = 0;
    const struct tree_copy options = { .put_off = put_off_one, .data = &count };
    char text[5] = "";

    write_file(from_fd, "later", "text");
    write_file(from_fd, "now", "text");
    cr_assert_eq(utimensat(from_fd, "later", times, 0), 0);
    cr_assert_eq(tree_copy(from_fd, to_fd, &options, &err), 0, "%s", err.text);
    cr_expect_eq(count, 1);
    struct stat copy = look_at(to_fd, "later");
    cr_expect(copy.st_size == 4 && copy.st_blocks == 0 && copy.st_mtim.tv_sec == 12345);
    CLEANUP(close) int fd = openat(to_fd, "now", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(read(fd, text, sizeof(text)), 4);
    cr_expect_str_eq(text, "text");
}

Test(tree, keeps_holes)
{
    CLEANUP(close) int fd = openat(from_fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    char byte = 0;

    cr_assert_eq(pwrite(fd, "x", 1, 64 << 20), 1);
    cr_assert_eq(ftruncate(fd, 128 << 20), 0);
    cr_assert_eq(tree_copy(from_fd, to_fd, NULL, &err), 0, "%s", err.text);
    struct stat copy = look_at(to_fd, "f");
    CLEANUP(close) int copy_fd = openat(to_fd, "f", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(copy.st_size, 128 << 20);
    cr_expect_lt(copy.st_blocks, 1024);
    cr_expect_eq(pread(copy_fd, &byte, 1, 64 << 20), 1);
    cr_expect_eq(byte, 'x');
}

Test(tree, replaces_what_is_in_the_way)
{
    const mode_t file = S_IFREG, dir = S_IFDIR, link = S_IFLNK;
    const struct {
        const char *name;
        mode_t from, to;
    } rows[] = { { "a", file, file }, { "b", file, dir }, { "c", dir, file },
                 { "d", link, link }, { "e", link, dir }, { "f", dir, dir } };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (int side = 0; side < 2; side++) {
            int fd = side ? to_fd : from_fd;
            mode_t type = side ? rows[i].to : rows[i].from;

            if (type == dir) {
                CLEANUP(free) char *inner = xasprintf("%s/%d", rows[i].name, side);

                mkdirat(fd, rows[i].name, 0755);
                write_file(fd, inner, "inside");
            } else if (type == link) {
                cr_assert_eq(symlinkat(side ? "old" : "new", fd, rows[i].name), 0);
            } else {
                write_file(fd, rows[i].name, side ? "an old one" : "new");
            }
        }
    cr_assert_eq(tree_copy(from_fd, to_fd, NULL, &err), 0, "%s", err.text);
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_eq(look_at(to_fd, rows[i].name).st_mode & S_IFMT, rows[i].from, "%s",
                     rows[i].name);
    cr_expect_eq(look_at(to_fd, "a").st_size, 3);
    cr_expect_eq(faccessat(to_fd, "c/0", F_OK, 0), 0);
    cr_expect(faccessat(to_fd, "f/0", F_OK, 0) == 0 && faccessat(to_fd, "f/1", F_OK, 0) == 0,
              "directories are merged");
}

Test(tree, follows_no_link_at_the_target)
{
    mkdirat(root_fd, "outside", 0755);
    mkdirat(from_fd, "d", 0755);
    write_file(from_fd, "d/f", "new");
    write_file(from_fd, "g", "new");
    cr_assert_eq(symlinkat("../outside", to_fd, "d"), 0);
    cr_assert_eq(symlinkat("../outside/g", to_fd, "g"), 0);
    cr_assert_eq(tree_copy(from_fd, to_fd, NULL, &err), 0, "%s", err.text);
    cr_expect(S_ISDIR(look_at(to_fd, "d").st_mode));
    cr_expect(S_ISREG(look_at(to_fd, "g").st_mode));
    cr_expect_eq(faccessat(root_fd, "outside/f", F_OK, 0), -1);
    cr_expect_eq(faccessat(root_fd, "outside/g", F_OK, 0), -1);
}
