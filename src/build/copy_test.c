/* Copying trees: in directories under /tmp, as root where owners matter. */
#include "build/copy.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "build/context.h"
#include "build/owner.h"
#include "spec/dockerignore.h"

static char top[] = "/tmp/copy_test_XXXXXX";
static int from_fd, to_fd;

static void put(int fd, const char *path, const char *text, mode_t mode)
{
    int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    cr_assert_geq(file, 0, "%s", path);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    fchmod(file, mode);
    close(file);
}

static void put_link(int fd, const char *target, const char *path)
{
    cr_assert_eq(symlinkat(target, fd, path), 0, "%s", path);
}

static void set_mode(const char *path, mode_t mode)
{
    cr_assert_eq(fchmodat(from_fd, path, mode, 0), 0, "%s", path);
}

static void set_up(void)
{
    cr_assert(mkdtemp(top));
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    mkdirat(fd, "from", 0755);
    mkdirat(fd, "to", 0755);
    from_fd = openat(fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    to_fd = openat(fd, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    put(from_fd, "a.txt", "a", 0640);
    put(from_fd, "b.txt", "bb", 0644);
    put(from_fd, "sp ace", "s", 0644);
    put(from_fd, "x[1]", "x", 0755);
    mkdirat(from_fd, "dir", 0755);
    put(from_fd, "dir/s", "s", 04755);
    mkdirat(from_fd, "dir/sub", 0700);
    put(from_fd, "dir/sub/t", "t", 0600);
    put_link(from_fd, "s", "dir/link");
    put_link(from_fd, "a.txt", "lnk");
    put_link(from_fd, "dir", "ldir");
    put_link(from_fd, "/../../../../etc/passwd", "escape");
}

static void tear_down(void)
{
    tree_remove(top, NULL);
}

TestSuite(copy, .init = set_up, .fini = tear_down);

static void show(int fd, const char *path, struct str *out)
{
    CLEANUP(strv_done) struct strv names = {};

    directory_names(fd, &names, NULL);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);
        struct stat info;

        fstatat(fd, names.items[i], &info, AT_SYMLINK_NOFOLLOW);
        if (S_ISLNK(info.st_mode)) {
            char target[256] = "";

            (void)!readlinkat(fd, names.items[i], target, sizeof(target) - 1);
            str_add_format(out, "%s>%s ", below, target);
            continue;
        }
        str_add_format(out, "%s%s:%o ", below, S_ISDIR(info.st_mode) ? "/" : "",
                       info.st_mode & 07777);
        if (S_ISDIR(info.st_mode)) {
            int child = openat(fd, names.items[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

            show(child, below, out);
            close(child);
        }
    }
}

static int copy_all(const char *pattern, const char *target, struct error *err)
{
    const struct copy copy = { .source_root_fd = from_fd,
                               .target_root_fd = to_fd,
                               .share_root_fd = -1,
                               .uid = getuid(),
                               .gid = getgid(),
                               .cancel_fd = -1 };
    CLEANUP(sources_done) struct sources sources = {};

    if (source_find(from_fd, pattern, &sources, err) < 0)
        return -1;
    for (size_t i = 0; i < sources.count; i++)
        if (copy_source(&copy, &sources.items[i], target, target[strlen(target) - 1] == '/', err) <
            0)
            return -1;
    return 0;
}

static const struct {
    const char *pattern, *target, *tree;
} cases[] = {
    { "a.txt", "/x", "x:640 " },
    { "/a.txt", "/", "a.txt:640 " },
    { "./a.txt", "/p/q/", "p/:755 p/q/:755 p/q/a.txt:640 " },
    { "a.txt", "/p/q", "p/:755 p/q:640 " },
    { "*.txt", "/d4/", "d4/:755 d4/a.txt:640 d4/b.txt:644 " },
    { "dir", "/d2", "d2/:755 d2/link>s d2/s:4755 d2/sub/:700 d2/sub/t:600 " },
    { "dir/", "/d3/", "d3/:755 d3/link>s d3/s:4755 d3/sub/:700 d3/sub/t:600 " },
    { "dir/*", "/d5/", "d5/:755 d5/link:4755 d5/s:4755 d5/t:600 " },
    { "d*/s*b", "/d6", "d6/:755 d6/t:600 " },
    { "lnk", "/l", "l:640 " },
    { "lnk", "/l/", "l/:755 l/lnk:640 " },
    { "ldir", "/ld", "ld/:755 ld/link>s ld/s:4755 ld/sub/:700 ld/sub/t:600 " },
    { "sp ace", "/sp ace", "sp ace:644 " },
    { "x[[]1]", "/y", "y:755 " },
    { "x\\[1\\]", "/y", "y:755 " },
    { "../../a.txt", "/c", "c:640 " },
    { "nothing*", "/c", "" },
};

Test(copy, follows_the_rules_of_targets)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(str_done) struct str tree = {};
        CLEANUP(strv_done) struct strv names = {};
        struct error err = {};

        cr_assert_eq(copy_all(cases[i].pattern, cases[i].target, &err), 0, "%s: %s",
                     cases[i].pattern, err.text);
        show(to_fd, "", &tree);
        cr_expect_str_eq(str_text(&tree), cases[i].tree, "%s to %s: %s", cases[i].pattern,
                         cases[i].target, str_text(&tree));
        directory_names(to_fd, &names, NULL);
        for (size_t k = 0; k < names.count; k++)
            tree_remove_at(to_fd, names.items[k], NULL);
    }
}

Test(copy, lands_inside_directories)
{
    CLEANUP(str_done) struct str tree = {};

    mkdirat(to_fd, "there", 0700);
    cr_assert_eq(copy_all("a.txt", "/there", NULL), 0);
    show(to_fd, "", &tree);
    cr_expect_str_eq(str_text(&tree), "there/:700 there/a.txt:640 ");
}

Test(copy, follows_links_of_the_target_inside_it)
{
    CLEANUP(str_done) struct str tree = {};
    struct error err = {};

    put_link(to_fd, "/real", "abs");
    put_link(to_fd, "../../../../up", "rel");
    put_link(to_fd, "/new/file", "dangling");
    mkdirat(to_fd, "real", 0755);
    cr_assert_eq(copy_all("a.txt", "/abs/x", &err), 0, "%s", err.text);
    cr_assert_eq(copy_all("a.txt", "/rel/x", &err), 0, "%s", err.text);
    cr_assert_eq(copy_all("a.txt", "/dangling", &err), 0, "%s", err.text);
    show(to_fd, "", &tree);
    cr_expect_str_eq(str_text(&tree),
                     "abs>/real dangling>/new/file new/:755 new/file:640 real/:755 real/x:640 "
                     "rel>../../../../up up/:755 up/x:640 ");
}

Test(copy, does_not_leave_the_source)
{
    struct error err = {};

    cr_expect_eq(copy_all("escape", "/x", &err), -1);
    cr_expect_str_eq(err.text, "stat escape: file does not exist");
}

static const struct {
    const char *pattern, *target, *message;
} failures[] = {
    { "nope", "/x", "stat nope: file does not exist" },
    { "dir", "/file", "cannot copy to non-directory: /file" },
    { "a.txt", "/file/x", "cannot copy to non-directory: /file" },
    { "a.txt", "/d/", "cannot copy to directory: /d/a.txt" },
    { "[", "/d/", "syntax error in pattern" },
};

Test(copy, refuses_to_replace_kinds)
{
    put(to_fd, "file", "x", 0644);
    mkdirat(to_fd, "d", 0755);
    mkdirat(to_fd, "d/a.txt", 0755);
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct error err = {};

        cr_expect_eq(copy_all(failures[i].pattern, failures[i].target, &err), -1);
        cr_expect_str_eq(err.text, failures[i].message);
    }
}

Test(copy, keeps_times_and_replaces_files)
{
    const struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
    struct stat info;

    utimensat(from_fd, "a.txt", times, 0);
    put(to_fd, "x", "longer than before", 0600);
    cr_assert_eq(copy_all("a.txt", "/x", NULL), 0);
    cr_assert_eq(fstatat(to_fd, "x", &info, 0), 0);
    cr_expect_eq(info.st_size, 1);
    cr_expect_eq(info.st_mtim.tv_sec, 2000);
    cr_expect_eq(info.st_mtim.tv_nsec, 7);
}

static char *digest(const char *path)
{
    CLEANUP(sources_done) struct sources sources = {};
    struct error err = {};

    cr_assert_eq(source_find(from_fd, path, &sources, &err), 0, "%s", err.text);
    for (size_t i = 0; i < sources.count; i++)
        cr_assert_eq(source_digest(from_fd, &sources.items[i], NULL, false, NULL, -1, &err), 0,
                     "%s", err.text);
    return sources_digest(&sources);
}

Test(copy, digests_what_counts)
{
    CLEANUP(free) char *before = digest("dir");
    CLEANUP(free) char *file = digest("a.txt");
    CLEANUP(free) char *many = digest("*.txt");

    cr_expect_eq(strncmp(before, "dir:", 4), 0);
    cr_expect_eq(strncmp(file, "file:", 5), 0);
    cr_expect_eq(strncmp(many, "multi:", 6), 0);

    utimensat(from_fd, "dir/s", (const struct timespec[]){ { 1, 1 }, { 1, 1 } }, 0);
    CLEANUP(free) char *touched = digest("dir");
    cr_expect_str_eq(touched, before);

    set_mode("dir/s", 0700);
    CLEANUP(free) char *changed_mode = digest("dir");
    cr_expect_str_neq(changed_mode, before);

    set_mode("dir/s", 04755);
    put(from_fd, "dir/s", "S", 04755);
    CLEANUP(free) char *changed = digest("dir");
    cr_expect_str_neq(changed, before);

    renameat(from_fd, "a.txt", from_fd, "c.txt");
    CLEANUP(free) char *renamed = digest("*.txt");
    cr_expect_str_neq(renamed, many);
}

static const struct {
    const char *text;
    mode_t before, after;
} modes[] = {
    { "644", S_IFREG | 0755, 0644 },     { "04755", S_IFREG, 04755 },
    { "u+x", S_IFREG | 0644, 0744 },     { "go-r", S_IFREG | 0644, 0600 },
    { "a=rX", S_IFREG | 0600, 0444 },    { "a=rX", S_IFDIR | 0700, 0555 },
    { "+X", S_IFREG | 0744, 0755 },      { "u=rwx,g=rx,o=", S_IFREG | 0777, 0750 },
    { "u+s,+t", S_IFREG | 0755, 05755 }, { "g=u", S_IFREG, (mode_t)-1 },
    { "888", S_IFREG, (mode_t)-1 },      { "", S_IFREG, (mode_t)-1 },
    { "u", S_IFREG, (mode_t)-1 },        { "u+x,", S_IFREG, (mode_t)-1 },
    { "77777", S_IFREG, (mode_t)-1 },    { "g+w,o=", S_IFDIR | 01755, 01770 },
    { "a=rx", S_IFDIR | 01755, 0555 },
};

Test(owner, changes_modes)
{
    for (size_t i = 0; i < COUNT(modes); i++) {
        int valid = mode_check(modes[i].text, NULL);

        cr_expect_eq(valid, modes[i].after == (mode_t)-1 ? -1 : 0, "%s", modes[i].text);
        if (valid == 0)
            cr_expect_eq(mode_apply(modes[i].text, modes[i].before), modes[i].after, "%s gave %o",
                         modes[i].text, mode_apply(modes[i].text, modes[i].before));
    }
}

static const struct {
    const char *text;
    uid_t uid;
    gid_t gid;
    const char *message;
} owners[] = {
    { "1:2", 1, 2, NULL },
    { "7", 7, 7, NULL },
    { "nobody:root", 65534, 0, NULL },
    { "www", 33, 1, NULL },
    { "www:www", 33, 34, NULL },
    { ":www", 0, 34, NULL },
    { "5:", 5, 5, NULL },
    { "nobody", 65534, 65534, NULL },
    { "nobody:nobody", 0, 0, "can't find gid for group nobody: no such group: nobody" },
    { "", 0, 0, "invalid chown string format: " },
    { "who:1", 0, 0, "can't find uid for user who: no such user: who" },
    { "1:2:3", 0, 0, "invalid chown string format: 1:2:3" },
};

Test(copy, keeps_hard_links_within_a_directory)
{
    struct error err = {};
    struct stat first, second, alone;

    cr_assert_eq(linkat(from_fd, "dir/sub/t", from_fd, "dir/again", 0), 0);
    cr_assert_eq(linkat(from_fd, "a.txt", from_fd, "dir/outside", 0), 0);
    put(to_fd, "again", "old", 0644);
    cr_assert_eq(copy_all("dir", "/", &err), 0, "%s", err.text);
    cr_assert_eq(fstatat(to_fd, "again", &first, AT_SYMLINK_NOFOLLOW), 0);
    cr_assert_eq(fstatat(to_fd, "sub/t", &second, AT_SYMLINK_NOFOLLOW), 0);
    cr_assert_eq(fstatat(to_fd, "outside", &alone, AT_SYMLINK_NOFOLLOW), 0);
    cr_expect_eq(first.st_ino, second.st_ino);
    cr_expect_eq(first.st_nlink, 2, "and none of the source's");
    cr_expect_eq(first.st_mode & 07777, 0600);
    cr_expect_eq(alone.st_nlink, 1);
}

Test(copy, looks_owners_up_in_the_image)
{
    mkdirat(to_fd, "etc", 0755);
    put(to_fd, "etc/passwd", "root:x:0:0::/:/bin/sh\nwww:x:33:1::/:\nnobody:x:65534:65534::/:\n",
        0644);
    put(to_fd, "etc/group", "root:x:0:\nwww:x:34:", 0644);
    for (size_t i = 0; i < COUNT(owners); i++) {
        struct error err = {};
        uid_t uid = 0;
        gid_t gid = 0;

        cr_expect_eq(owner_parse(owners[i].text, to_fd, &uid, &gid, &err),
                     owners[i].message ? -1 : 0, "%s", owners[i].text);
        cr_expect_eq(uid, owners[i].uid, "%s", owners[i].text);
        cr_expect_eq(gid, owners[i].gid, "%s", owners[i].text);
        if (owners[i].message)
            cr_expect_str_eq(err.text, owners[i].message);
    }
}

Test(copy, leaves_out_what_dockerignore_excludes)
{
    CLEANUP(str_done) struct str tree = {}, text = {};
    CLEANUP(dockerignore_free) struct dockerignore *ignore = NULL;
    CLEANUP(free) char *name = NULL;
    struct error err = {};

    put(from_fd, "dockerfile", "FROM x\n", 0644);
    put(from_fd, ".dockerignore", "*\n!dir/sub\n", 0644);
    cr_assert_eq(context_read_dockerfile(from_fd, NULL, &text, &name, &err), 0, "%s", err.text);
    cr_expect_str_eq(str_text(&text), "FROM x\n");
    cr_assert_eq(context_read_ignore(from_fd, name, &ignore, &err), 0, "%s", err.text);
    cr_assert_eq(context_apply_ignore(from_fd, ignore, &err), 0, "%s", err.text);
    show(from_fd, "", &tree);
    cr_expect_str_eq(str_text(&tree), "dir/:755 dir/sub/:700 dir/sub/t:600 ");
    cr_expect_eq(context_read_dockerfile(from_fd, "no/Dockerfile", &text, &name, &err), -1);
    cr_expect_str_eq(err.text, "Cannot locate specified Dockerfile: no/Dockerfile");
}
