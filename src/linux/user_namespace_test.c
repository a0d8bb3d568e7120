#include "linux/user_namespace.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/mount.h"

#include "base/banned.h"

struct swap {
    uint32_t a, b;
};

ParameterizedTestParameters(user_namespace, swaps)
{
    static struct swap pairs[] = {
        { 0, 0 }, { 0, 1 },     { 1, 0 },     { 5, 5 },
        { 5, 6 }, { 1000, 33 }, { 33, 1000 }, { 0, 4294967294 },
    };

    return cr_make_param_array(struct swap, pairs, COUNT(pairs));
}

ParameterizedTest(const struct swap *pair, user_namespace, swaps)
{
    const uint32_t others[] = { 0, 1, 2, 5, 6, 7, 32, 34, 999, 1001, 4294967293, 4294967294 };
    struct id_table table;
    uint64_t total = 0;

    id_table_swap(&table, pair->a, pair->b);
    cr_expect_eq(id_table_outside(&table, pair->a), pair->b);
    cr_expect_eq(id_table_outside(&table, pair->b), pair->a);
    for (size_t i = 0; i < COUNT(others); i++)
        if (others[i] != pair->a && others[i] != pair->b) {
            cr_expect_eq(id_table_outside(&table, others[i]), others[i], "%u", others[i]);
            cr_expect_eq(id_table_inside(&table, others[i]), others[i], "%u", others[i]);
        }
    for (size_t i = 0; i < table.count; i++)
        total += table.ranges[i].count;
    cr_expect_eq(total, UINT32_MAX, "no number twice, none left out");
}

Test(user_namespace, numbers_that_a_table_does_not_have)
{
    struct id_table table = {};

    id_table_add(&table, 0, 100000, 65536);
    cr_expect_eq(id_table_inside(&table, 100033), 33);
    cr_expect_eq(id_table_inside(&table, 99999), ID_NOBODY);
    cr_expect_eq(id_table_inside(&table, 165536), ID_NOBODY);
    cr_expect_eq(id_table_outside(&table, 65535), 165535);
    cr_expect_eq(id_table_outside(&table, 65536), -1);
}

Test(user_namespace, shows_a_mounts_files_as_another_users)
{
    char place[] = "/tmp/berth-owners-XXXXXX";
    struct id_map map;
    struct error err = {};
    struct stat status;

    id_table_swap(&map.uids, 1234, 33);
    id_table_swap(&map.gids, 1234, 34);
    cr_assert(mkdtemp(place));
    cr_assert_eq(chown(place, 1234, 1234), 0);
    CLEANUP(close) int namespace_fd = user_namespace_make(&map, NULL, &err);
    cr_assert(namespace_fd >= 0, "%s", err.text);
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, place, false, &err);
    cr_assert_eq(mount_map_owners(fd, false, namespace_fd, &err), 0, "%s", err.text);
    cr_assert_eq(fstat(fd, &status), 0);
    cr_expect_eq(status.st_uid, 33);
    cr_expect_eq(status.st_gid, 34);
    cr_assert_eq(mkdirat(fd, "made", 0700), 0);
    cr_assert_eq(fchownat(fd, "made", 33, 34, 0), 0);
    CLEANUP(free) char *made = path_join(place, "made");
    cr_assert_eq(stat(made, &status), 0);
    cr_expect_eq(status.st_uid, 1234);
    tree_remove(place, NULL);
}

Test(user_namespace, comes_with_a_network_of_its_own)
{
    struct id_map map = {};
    struct error err = {};
    struct stat ours, theirs;
    int network_fd = -1;

    id_table_add(&map.uids, 0, 100000, 65536);
    id_table_add(&map.gids, 0, 100000, 65536);
    CLEANUP(close) int fd = user_namespace_make(&map, &network_fd, &err);
    cr_assert(fd >= 0 && network_fd >= 0, "%s", err.text);
    cr_assert_eq(fstat(network_fd, &theirs), 0);
    cr_assert_eq(stat("/proc/self/ns/net", &ours), 0);
    cr_expect_neq(theirs.st_ino, ours.st_ino);
    close(network_fd);
}

Test(user_namespace, says_why_tables_are_refused)
{
    struct id_map map = {};
    struct error err = {};

    id_table_add(&map.uids, 0, 0, 10);
    id_table_add(&map.uids, 5, 100, 10);
    cr_expect_eq(user_namespace_make(&map, NULL, &err), -1);
    cr_expect(strstr(err.text, "uid_map"), "%s", err.text);
}
