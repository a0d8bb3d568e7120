/* Volumes on a record and a directory of the test's own. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "volume/volume.h"

static char place[] = "/tmp/berth-volume-test-XXXXXX";
static struct database *database;
static struct volumes *volumes;

static void set_up(void)
{
    struct error err = {};

    cr_assert_not_null(mkdtemp(place));
    CLEANUP(free) char *path = path_join(place, "berth.db");
    cr_assert_eq(database_open(path, &database, &err), 0, "%s", err.text);
    cr_assert_eq(volumes_open(place, database, &volumes, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
    volumes_close(volumes);
    database_close(database);
    tree_remove(place, NULL);
}

TestSuite(volume, .init = set_up, .fini = tear_down);

static struct volume *create(const char *name)
{
    struct volume *volume = NULL;
    struct error err = {};
    bool created;

    cr_assert_eq(volume_create(volumes, name, NULL, NULL, NULL, &volume, &created, &err), 0, "%s",
                 err.text);
    return volume;
}

Test(volume, is_made_once_and_kept)
{
    CLEANUP(volume_unref) struct volume *first = create("data"), *second = NULL;
    struct error err = {};
    bool created = true;

    cr_assert(file_exists(first->mountpoint));
    cr_assert_eq(volume_create(volumes, "data", "local", NULL, NULL, &second, &created, &err), 0);
    cr_expect_not(created);
    cr_expect_str_eq(first->mountpoint, second->mountpoint);
}

Test(volume, without_a_name_is_anonymous)
{
    CLEANUP(volume_unref) struct volume *volume = create(NULL);

    cr_expect_eq(strlen(volume->name), 64);
    cr_expect(volume->is_anonymous);
}

static const struct {
    const char *name, *driver;
    enum error_kind kind;
} refused[] = {
    { "a b", NULL, ERROR_INVALID },
    { "../x", NULL, ERROR_INVALID },
    { "x", NULL, ERROR_INVALID },
    { "good", "other", ERROR_NOT_FOUND },
};

Test(volume, refuses_what_makes_no_sense)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct volume *volume = NULL;
        struct error err = {};
        bool created;

        cr_expect_eq(volume_create(volumes, refused[i].name, refused[i].driver, NULL, NULL, &volume,
                                   &created, &err),
                     -1);
        cr_expect_eq(err.kind, refused[i].kind, "%s: %s", refused[i].name, err.text);
    }
}

Test(volume, is_gone_after_removal)
{
    CLEANUP(volume_unref) struct volume *volume = create("data");
    struct volume *found = NULL;
    struct error err = {};

    cr_assert_eq(volume_remove(volumes, "data", &err), 0, "%s", err.text);
    cr_expect_not(file_exists(volume->mountpoint));
    cr_expect_eq(volume_get(volumes, "data", &found, &err), -1);
    cr_expect_str_eq(err.text, "get data: no such volume");
}

Test(volume, verify_sees_strays_and_losses)
{
    CLEANUP(volume_unref) struct volume *volume = create("data");
    CLEANUP(strv_done) struct strv said = {};
    CLEANUP(free) char *stray = path_join(place, "volumes/stray");
    struct error err = {};

    cr_assert_eq(volumes_verify(volumes, &said, &err), 0);
    cr_expect_eq(said.count, 0);
    cr_assert_eq(mkdir(stray, 0700), 0);
    cr_assert_eq(tree_remove(volume->mountpoint, &err), 0);
    cr_assert_eq(volumes_verify(volumes, &said, &err), 0);
    cr_expect_eq(said.count, 2);
}

Test(volume, is_filled_once_from_the_image)
{
    CLEANUP(volume_unref) struct volume *volume = create("data");
    CLEANUP(free) char *image = path_join(place, "image");
    CLEANUP(free) char *inside = path_join(image, "var/seed");
    struct error err = {};
    struct stat a, b;

    cr_assert_eq(dir_make(inside, 0755, &err), 0);
    CLEANUP(close) int root = open(image, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int from = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int file = openat(from, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
    cr_assert_eq(fd_write_all(file, "seed", 4, &err), 0);
    cr_assert_eq(linkat(from, "file", from, "again", 0), 0);
    cr_assert_eq(symlinkat("/etc/passwd", from, "link"), 0);
    cr_assert_eq(fchmod(from, 01750), 0);

    cr_assert_eq(volume_copy_up(volume, root, "/var/seed", &err), 0, "%s", err.text);
    CLEANUP(close) int to = open(volume->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(fstatat(to, "file", &a, 0), 0);
    cr_assert_eq(fstatat(to, "again", &b, 0), 0);
    cr_expect_eq(a.st_ino, b.st_ino);
    cr_expect_eq(a.st_size, 4);
    cr_expect_eq(a.st_mode & 07777, 0640);
    cr_assert_eq(fstatat(to, "link", &a, AT_SYMLINK_NOFOLLOW), 0);
    cr_expect(S_ISLNK(a.st_mode));
    cr_assert_eq(fstat(to, &a), 0);
    cr_expect_eq(a.st_mode & 07777, 01750);

    /* What is in it stays as it is. */
    cr_assert_eq(unlinkat(to, "file", 0), 0);
    cr_assert_eq(volume_copy_up(volume, root, "/var/seed", &err), 0);
    cr_expect_eq(faccessat(to, "file", F_OK, 0), -1);
    cr_expect_eq(volume_copy_up(volume, root, "/nothing", &err), 0);
}

Test(volume, place_that_is_a_file_is_refused)
{
    CLEANUP(volume_unref) struct volume *volume = create("data");
    CLEANUP(close) int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error err = {};

    cr_expect_eq(volume_copy_up(volume, root, "/etc/passwd", &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}
