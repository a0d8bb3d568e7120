/* Archives, friendly and hostile, unpacked into a directory. */
#include "archive/extract.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "codec/compress.h"
#include "codec/tar.h"

static char top[] = "/tmp/extract_test_XXXXXX";
static int directory_fd;

static void set_up(void)
{
    CLEANUP(free) char *inside = NULL;

    cr_assert(mkdtemp(top));
    inside = path_join(top, "in");
    cr_assert_eq(mkdir(inside, 0755), 0);
    directory_fd = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(void)
{
    close(directory_fd);
    tree_remove(top, NULL);
}

TestSuite(extract, .init = set_up, .fini = tear_down);

/* Entries as text: "d name", "f name content", "l name target", "h name target", "c name". */
static int write_archive(const char *const *entries, enum compression compression)
{
    int fd = openat(directory_fd, "../archive.tar", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLEANUP(stream_close) struct stream *file = stream_from_fd(fd, false);
    CLEANUP(stream_close)
    struct stream *deflate = compression == COMPRESSION_NONE
                                 ? NULL
                                 : stream_deflate(file, compression, 6, NULL);
    struct stream *out = deflate ? deflate : file;
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(out, false, NULL);

    for (; *entries; entries++) {
        CLEANUP(strv_done) struct strv words = {};
        struct tar_entry entry = { .mode = 0640, .uid = 3, .gid = 4, .mtime_s = 1000 };

        strv_split(&words, *entries, ' ');
        entry.name = words.items[1];
        switch (**entries) {
        case 'd':
            entry.type = TAR_DIRECTORY;
            entry.mode = 0750;
            break;
        case 'l':
        case 'h':
            entry.type = **entries == 'l' ? TAR_SYMLINK : TAR_HARDLINK;
            entry.link_target = words.items[2];
            break;
        case 'c':
            entry.type = TAR_CHARACTER_DEVICE;
            entry.device_major = 1;
            entry.device_minor = 3;
            break;
        default:
            entry.type = TAR_FILE;
            entry.size = (int64_t)strlen(words.items[2]);
        }
        cr_assert_eq(tar_writer_entry(writer, &entry, NULL), 0);
        if (entry.size > 0)
            cr_assert_eq(tar_writer_data(writer, words.items[2], (size_t)entry.size, NULL), 0);
    }
    cr_assert_eq(tar_writer_finish(writer, NULL), 0);
    if (deflate)
        cr_assert_eq(stream_write(deflate, NULL, 0, NULL), 0);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int extract(const char *const *entries, const struct extract_options *options,
                   struct error *err)
{
    CLEANUP(stream_close)
    struct stream *archive = stream_from_fd(write_archive(entries, COMPRESSION_NONE), true);

    return extract_archive(archive, directory_fd, options, err);
}

static bool content_is(const char *path, const char *wanted)
{
    CLEANUP(close) int fd = openat(directory_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(str_done) struct str text = {};

    return fd >= 0 && file_read_fd(fd, 100, &text, NULL) == 0 &&
           strcmp(str_text(&text), wanted) == 0;
}

Test(extract, makes_what_the_archive_says)
{
    const char *const entries[] = { "d ./dir/",
                                    "f dir/a.txt one",
                                    "l dir/link a.txt",
                                    "h hard dir/a.txt",
                                    "f deep/in/x two",
                                    "f dir/a.txt three",
                                    NULL };
    const struct extract_options options = { .cancel_fd = -1 };
    struct error err = {};
    struct stat info;

    cr_assert_eq(extract(entries, &options, &err), 0, "%s", err.text);
    cr_expect(content_is("dir/a.txt", "three"));
    cr_expect(content_is("hard", "one"));
    cr_expect(content_is("deep/in/x", "two"));
    cr_assert_eq(fstatat(directory_fd, "dir", &info, 0), 0);
    cr_expect_eq(info.st_mode & 07777, 0750);
    cr_expect_eq(info.st_mtim.tv_sec, 1000);
    cr_expect_eq(info.st_uid, getuid());
}

Test(extract, stays_inside)
{
    const char *const entries[] = {
        "f ../out1 x", "f /abs x",      "l up ../..",         "f up/out2 x",
        "l root /",    "f root/out3 x", "h stolen ../secret", NULL,
    };
    const struct extract_options options = { .cancel_fd = -1 };
    int secret_fd = openat(directory_fd, "../secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct error err = {};

    close(secret_fd);
    cr_expect_eq(extract(entries, &options, &err), -1);
    cr_expect(strstr(err.text, "stolen"), "%s", err.text);
    cr_expect_neq(faccessat(directory_fd, "../out1", F_OK, 0), 0);
    cr_expect_neq(faccessat(directory_fd, "../out2", F_OK, 0), 0);
    cr_expect_neq(access("/out3", F_OK), 0);
    cr_expect_neq(access("/abs", F_OK), 0);
    cr_expect(content_is("abs", "x") && content_is("out1", "x") && content_is("out2", "x") &&
              content_is("out3", "x"));
}

Test(extract, leaves_devices_out_of_contexts)
{
    const char *const entries[] = { "c null", "f a b", NULL };
    const struct extract_options options = { .skips_devices = true, .cancel_fd = -1 };

    cr_assert_eq(extract(entries, &options, NULL), 0);
    cr_expect_neq(faccessat(directory_fd, "null", F_OK, 0), 0);
    cr_expect(content_is("a", "b"));
}

Test(extract, keeps_or_gives_owners)
{
    const char *const entries[] = { "d d", "f d/a b", NULL };
    struct extract_options options = { .keeps_owners = true, .cancel_fd = -1 };
    struct stat info;

    if (getuid() != 0)
        cr_skip_test("needs root");
    cr_assert_eq(extract(entries, &options, NULL), 0);
    fstatat(directory_fd, "d/a", &info, 0);
    cr_expect(info.st_uid == 3 && info.st_gid == 4);

    options =
        (struct extract_options){ .is_owner_given = true, .uid = 7, .gid = 8, .cancel_fd = -1 };
    cr_assert_eq(extract(entries, &options, NULL), 0);
    fstatat(directory_fd, "d/a", &info, 0);
    cr_expect(info.st_uid == 7 && info.st_gid == 8);
    fstatat(directory_fd, "d", &info, 0);
    cr_expect(info.st_uid == 7);
}

Test(extract, tells_archives_by_content)
{
    static const enum compression compressions[] = { COMPRESSION_NONE, COMPRESSION_GZIP,
                                                     COMPRESSION_ZSTD };
    const char *const entries[] = { "f a b", NULL };
    int fd = openat(directory_fd, "plain", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    cr_assert_eq(write(fd, "no archive at all", 17), 17);
    lseek(fd, 0, SEEK_SET);
    cr_expect_not(extract_is_archive(fd));
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_expect_not(extract_is_archive(fd));
    close(fd);
    for (size_t i = 0; i < COUNT(compressions); i++) {
        fd = write_archive(entries, compressions[i]);
        cr_expect(extract_is_archive(fd), "%zu", i);
        cr_expect_eq(lseek(fd, 0, SEEK_CUR), 0);
        close(fd);
    }
}

Test(extract, goes_below_a_directory_whose_links_lead_through_the_tree)
{
    const char *const entries[] = { "f link/x one", "f y two", "h z y", NULL };
    const struct extract_options options = { .path = "/deep/in", .cancel_fd = -1 };
    struct error err = {};

    mkdirat(directory_fd, "deep", 0755);
    mkdirat(directory_fd, "deep/in", 0755);
    mkdirat(directory_fd, "else", 0755);
    cr_assert_eq(symlinkat("/else", directory_fd, "deep/in/link"), 0);
    cr_assert_eq(extract(entries, &options, &err), 0, "%s", err.text);
    cr_expect(content_is("else/x", "one") && content_is("deep/in/y", "two") &&
              content_is("deep/in/z", "two"));
}

Test(extract, keeps_directories_from_files_and_files_from_directories)
{
    static const struct {
        const char *first, *second;
    } pairs[] = { { "d a", "f a x" }, { "f a x", "d a" } };

    for (size_t i = 0; i < COUNT(pairs); i++) {
        const char *const first[] = { pairs[i].first, NULL }, *const second[] = { pairs[i].second,
                                                                                  NULL };
        struct extract_options options = { .cancel_fd = -1 };
        struct error err = {};

        cr_assert_eq(extract(first, &options, NULL), 0);
        options.keeps_kinds = true;
        cr_expect_eq(extract(second, &options, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect(strstr(err.text, "cannot overwrite"), "%s", err.text);
        options.keeps_kinds = false;
        cr_expect_eq(extract(second, &options, NULL), 0);
    }
}

static const struct {
    const char *old_name, *entry, *made;
} renames[] = {
    { "a", "f a x", "new" },     { "a", "f a/b x", "new/b" }, { "a", "f ab x", "ab" },
    { ".", "f ./b x", "new/b" }, { "/", "f /b x", "new/b" },  { "a", "f b/a x", "b/a" },
};

Test(extract, gives_the_top_another_name)
{
    for (size_t i = 0; i < COUNT(renames); i++) {
        const char *const entries[] = { renames[i].entry, NULL };
        const struct extract_options options = { .old_name = renames[i].old_name,
                                                 .new_name = "new",
                                                 .cancel_fd = -1 };
        struct error err = {};

        cr_assert_eq(extract(entries, &options, &err), 0, "%s", err.text);
        cr_expect(content_is(renames[i].made, "x"), "%s", renames[i].entry);
        tree_remove_at(directory_fd, "new", NULL);
    }
}

/* The old one goes by and by; what has another name stays what it was. */
Test(extract, replaces_large_files)
{
    static const char *const entries[] = { "f large new", "f linked new", NULL };
    static const struct extract_options options = { .cancel_fd = -1 };
    struct error err = {};
    struct stat status;

    for (int i = 0; i < 2; i++) {
        CLEANUP(close)
        int fd = openat(directory_fd, i ? "linked" : "large", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        cr_assert_eq(ftruncate(fd, 16 << 20), 0);
    }
    cr_assert_eq(linkat(directory_fd, "linked", directory_fd, "other", 0), 0);
    cr_assert_eq(extract(entries, &options, &err), 0, "%s", err.text);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(fstatat(directory_fd, i ? "linked" : "large", &status, 0), 0);
        cr_expect_eq(status.st_size, 3);
    }
    cr_assert_eq(fstatat(directory_fd, "other", &status, 0), 0);
    cr_expect_eq(status.st_size, 16 << 20);
}
