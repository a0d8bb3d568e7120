#include "volume/volume.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#define CHARACTERS(name)                                                                           \
    "create " name ": \"" name "\" includes invalid characters for a local volume name, only "     \
    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use "    \
    "absolute path"

static char directory[] = "/tmp/berth-volume-XXXXXX";
static struct database *database;
static struct volumes *volumes;
static struct error err;

static void open_all(void)
{
    CLEANUP(free) char *path = path_join(directory, "berth.db");

    cr_assert_eq(database_open(path, &database, &err), 0, "%s", err.text);
    CLEANUP(strv_done) struct strv trash = {};
    cr_assert_eq(volumes_open(directory, database, &trash, &volumes, &err), 0, "%s", err.text);
    for (size_t i = 0; i < trash.count; i++)
        cr_assert_eq(tree_remove(trash.items[i], &err), 0, "%s", err.text);
}

static void close_all(void)
{
    volumes_close(TAKE(volumes));
    database_close(TAKE(database));
}

static void set_up(void)
{
    cr_assert(mkdtemp(directory));
    open_all();
}

static void tear_down(void)
{
    close_all();
    cr_assert_eq(tree_remove(directory, &err), 0, "%s", err.text);
}

TestSuite(volume, .init = set_up, .fini = tear_down);

static struct volume *create(const char *name)
{
    struct volume *volume = NULL;

    cr_assert_eq(volume_create(volumes, name, NULL, NULL, NULL, &volume, NULL, &err), 0, "%s",
                 err.text);
    return volume;
}

static void create_quietly(const char *name)
{
    volume_unref(create(name));
}

static char *names(void)
{
    CLEANUP(strv_done) struct strv all = {};
    struct volume **list;
    size_t count;

    cr_assert_eq(volume_list(volumes, &list, &count, &err), 0);
    for (size_t i = 0; i < count; i++)
        strv_add(&all, list[i]->name);
    volume_list_free(list, count);
    return strv_join(&all, " ");
}

static void expect_names(const char *wanted)
{
    CLEANUP(free) char *text = names();

    cr_expect_str_eq(text, wanted);
}

static int make(const char *name, mode_t mode)
{
    CLEANUP(free) char *path = path_join(directory, name);

    cr_assert_eq(dir_make(path, 0755, &err), 0, "%s", err.text);
    cr_assert_eq(chmod(path, mode), 0);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void write_file(int fd, const char *name)
{
    CLEANUP(close) int file_fd = openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

    cr_assert_eq(write(file_fd, "text", 4), 4);
}

static bool exists(const char *name)
{
    CLEANUP(free) char *path = path_join(directory, name);

    return file_exists(path);
}

Test(volume, remembers_what_was_created)
{
    CLEANUP(map_done) struct map labels = {};
    CLEANUP(volume_unref) struct volume *first = NULL, *again = NULL;
    bool created = false;

    create_quietly("bare");
    map_set_text(&labels, "x", "y");
    cr_assert_eq(volume_create(volumes, "v1", "local", NULL, &labels, &first, &created, &err), 0);
    cr_expect(created);
    cr_assert_eq(volume_create(volumes, "v1", "", NULL, NULL, &again, &created, &err), 0);
    cr_expect_not(created);
    close_all();
    open_all();
    CLEANUP(volume_unref) struct volume *volume = NULL, *plain = NULL;
    cr_assert_eq(volume_get(volumes, "v1", &volume, &err), 0, "%s", err.text);
    cr_assert_eq(volume_get(volumes, "bare", &plain, &err), 0, "%s", err.text);
    CLEANUP(free) char *mountpoint = path_join(directory, "volumes/v1/_data");
    cr_expect_str_eq(volume->mountpoint, mountpoint);
    cr_expect_str_eq(map_get(&volume->labels, "x"), "y");
    cr_expect_eq(volume->created_ns, first->created_ns);
    cr_expect_not(volume->is_anonymous);
    cr_expect(!plain->labels.entries && !plain->options.entries);
    cr_expect(exists("volumes/v1/_data"));
    expect_names("bare v1");
}

Test(volume, names_anonymous_ones_itself)
{
    CLEANUP(volume_unref) struct volume *volume = create(NULL);

    cr_expect(text_is_hex(volume->name, 64) && strlen(volume->name) == 64);
    cr_expect_str_eq(map_get(&volume->labels, "com.docker.volume.anonymous"), "");
    cr_expect(volume->is_anonymous);
}

static const struct {
    const char *name, *driver, *option;
    enum error_kind kind;
    const char *text;
} refused[] = {
    { "v", NULL, NULL, ERROR_INVALID,
      "create v: volume name is too short, names should be at least two alphanumeric characters" },
    { "a b", NULL, NULL, ERROR_INVALID, CHARACTERS("a b") },
    { "rel/x", NULL, NULL, ERROR_INVALID, CHARACTERS("rel/x") },
    { "..", NULL, NULL, ERROR_INVALID, CHARACTERS("..") },
    { "../x", NULL, NULL, ERROR_INVALID, CHARACTERS("../x") },
    { "-a", NULL, NULL, ERROR_INVALID, CHARACTERS("-a") },
    { "vv", NULL, "foo", ERROR_INVALID, "create vv: invalid option: \"foo\"" },
    { "vt", NULL, "type", ERROR_INVALID, "create vt: missing required option: \"device\"" },
    { "vs", NULL, "size", ERROR_INVALID, "create vs: invalid size: 'x'" },
    { "vd", "nope", NULL, ERROR_NOT_FOUND,
      "create vd: error looking up volume plugin nope: plugin \"nope\" not found" },
};

Test(volume, says_what_is_wrong)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        CLEANUP(map_done) struct map options = {};
        struct volume *volume = NULL;

        if (refused[i].option)
            map_set_text(&options, refused[i].option, "x");
        cr_expect_eq(volume_create(volumes, refused[i].name, refused[i].driver, &options, NULL,
                                   &volume, NULL, &err),
                     -1, "%s", refused[i].name);
        cr_expect_eq(err.kind, refused[i].kind, "%s: %s", refused[i].name, err.text);
        cr_expect_str_eq(err.text, refused[i].text);
    }
    expect_names("");
}

Test(volume, removes_all_of_it)
{
    create_quietly("v1");
    CLEANUP(close) int fd = make("volumes/v1/_data/a/b", 0755);
    write_file(fd, "f");
    cr_assert_eq(volume_remove(volumes, "v1", false, &err), 0, "%s", err.text);
    expect_names("");
    cr_expect_not(exists("volumes/v1"));
    cr_expect_eq(volume_remove(volumes, "v1", false, &err), -1);
    cr_expect(err.kind == ERROR_NOT_FOUND && strcmp(err.text, "get v1: no such volume") == 0);
}

static int64_t count_rows(const char *name)
{
    CLEANUP(query_close) struct query *query = NULL;

    cr_assert_eq(database_query(database, &query, &err,
                                "SELECT count(*) FROM volume WHERE name = ?", "s", name),
                 0, "%s", err.text);
    cr_assert_eq(query_next(query, &err), 1);
    return query_int64(query, 0);
}

/* The old directory may come back with a power cut as long as the row is there, and only then. */
Test(volume, keeps_the_row_of_a_removed_one_until_its_name_is_wanted)
{
    CLEANUP(volume_unref) struct volume *renamed = NULL;
    create_quietly("v1");
    create_quietly("v2");
    create_quietly("v3");
    cr_assert_eq(volume_remove(volumes, "v1", false, &err), 0, "%s", err.text);
    cr_assert_eq(volume_remove(volumes, "v2", false, &err), 0, "%s", err.text);
    cr_expect_eq(count_rows("v1"), 1);

    create_quietly("v1");
    cr_expect_eq(count_rows("v1"), 1);
    cr_expect_eq(count_rows("v2"), 0);
    cr_assert_eq(volume_remove(volumes, "v1", false, &err), 0, "%s", err.text);
    cr_assert_eq(volume_rename(volumes, "v3", "v1", &renamed, &err), 0, "%s", err.text);
    expect_names("v1");
    close_all();
    open_all();
    expect_names("v1");
}

/* Enough of them make their rows go. */
Test(volume, forgets_removed_ones_together)
{
    for (int i = 0; i < 64; i++) {
        CLEANUP(free) char *name = xasprintf("many%d", i);

        create_quietly(name);
        cr_assert_eq(volume_remove(volumes, name, false, &err), 0, "%s", err.text);
        cr_expect_eq(count_rows("many0"), i < 63);
    }
    create_quietly("last");
    cr_assert_eq(volume_remove(volumes, "last", false, &err), 0, "%s", err.text);
    cr_expect_eq(count_rows("last"), 1);
    close_all();
    open_all();
    cr_expect_eq(count_rows("last"), 0);
    expect_names("");
}

/* ---- filling ---- */

Test(volume, is_filled_from_the_image_while_empty)
{
    CLEANUP(volume_unref) struct volume *volume = create("v1");
    CLEANUP(close) int root_fd = make("root", 0755), dir_fd = make("root/d", 01770);
    struct stat status;
    int64_t size;

    write_file(dir_fd, "f");
    cr_assert_eq(fchown(dir_fd, 7, 8), 0);
    cr_assert_eq(symlinkat("/d", root_fd, "link"), 0);
    cr_assert_eq(volume_copy_up(volume, NULL, root_fd, "/link", &err), 0, "%s", err.text);
    cr_assert_eq(stat(volume->mountpoint, &status), 0);
    cr_expect(status.st_mode == (S_IFDIR | 01770) && status.st_uid == 7 && status.st_gid == 8);
    cr_assert_eq(tree_size(volume->mountpoint, &size, &err), 0);
    cr_expect_eq(size, 4);

    /* What is there stays. */
    write_file(dir_fd, "g");
    cr_assert_eq(volume_copy_up(volume, NULL, root_fd, "/d", &err), 0);
    cr_expect_not(exists("volumes/v1/_data/g"));
}

Test(volume, is_filled_from_nowhere_else)
{
    CLEANUP(volume_unref) struct volume *volume = create("v1");
    CLEANUP(close) int root_fd = make("root", 0755), outside_fd = make("outside", 0755);

    write_file(outside_fd, "secret");
    write_file(root_fd, "file");
    cr_assert_eq(symlinkat("../outside", root_fd, "link"), 0);
    cr_expect_eq(volume_copy_up(volume, NULL, root_fd, "/link", &err), 0, "%s", err.text);
    cr_expect_eq(volume_copy_up(volume, NULL, root_fd, "/../outside", &err), 0, "%s", err.text);
    cr_expect_eq(volume_copy_up(volume, NULL, root_fd, "/missing", &err), 0, "%s", err.text);
    cr_expect_not(exists("volumes/v1/_data/secret"));
    cr_expect_eq(volume_copy_up(volume, NULL, root_fd, "/file", &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect_str_eq(err.text, "source /file is not directory");
}

/* ---- opening ---- */

Test(volume, ends_what_a_crash_interrupted)
{
    CLEANUP(strv_done) struct strv differences = {};
    create_quietly("kept");
    create_quietly("filling");
    create_quietly("going");
    create_quietly("lost");
    CLEANUP(close) int kept_fd = make("volumes/kept/_data", 0755);
    CLEANUP(close) int half_fd = make("volumes/filling/_data", 0755);
    CLEANUP(close) int found_fd = make("volumes/found/_data", 0755);

    write_file(kept_fd, "f");
    write_file(half_fd, "f");
    write_file(found_fd, "f");
    CLEANUP(close) int back_fd = make("volumes/going/_data", 0755);
    write_file(back_fd, "f");
    close(make("volumes/.removed-0123/_data", 0755));
    close(make("volumes/shell", 0755));
    database_run(database, &err, "UPDATE volume SET state = 1 WHERE name = 'filling'", NULL);
    database_run(database, &err, "UPDATE volume SET state = 2 WHERE name = 'going'", NULL);
    CLEANUP(free) char *lost_path = path_join(directory, "volumes/lost");
    cr_assert_eq(tree_remove(lost_path, &err), 0);
    cr_assert_eq(volumes_verify(volumes, &differences, &err), 0);
    cr_expect_eq(differences.count, 3);

    close_all();
    open_all();
    expect_names("filling found kept lost");
    cr_expect(exists("volumes/kept/_data/f") && exists("volumes/found/_data/f"));
    cr_expect(exists("volumes/filling/_data") && !exists("volumes/filling/_data/f"));
    cr_expect_not(exists("volumes/going"));
    cr_expect_not(exists("volumes/.removed-0123") || exists("volumes/shell"));
    strv_done(&differences);
    differences = (struct strv){};
    cr_assert_eq(volumes_verify(volumes, &differences, &err), 0);
    cr_expect_eq(differences.count, 0);
}
