#include "linux/user_namespace.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/mount.h"

#include "base/banned.h"

/* What a number becomes; UINT32_MAX if no range has it. */
static uint32_t map(const struct id_range *ranges, size_t count, uint32_t id)
{
    uint32_t found = UINT32_MAX;

    for (size_t i = 0; i < count; i++)
        if (id >= ranges[i].inside && id - ranges[i].inside < ranges[i].count) {
            cr_expect_eq(found, UINT32_MAX, "%u is in two ranges", id);
            found = ranges[i].outside + (id - ranges[i].inside);
        }
    return found;
}

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
    struct id_range ranges[ID_SWAP_RANGES];
    size_t count = id_ranges_swap(pair->a, pair->b, ranges);

    cr_expect_eq(map(ranges, count, pair->a), pair->b);
    cr_expect_eq(map(ranges, count, pair->b), pair->a);
    for (size_t i = 0; i < COUNT(others); i++)
        if (others[i] != pair->a && others[i] != pair->b)
            cr_expect_eq(map(ranges, count, others[i]), others[i], "%u", others[i]);
}

Test(user_namespace, shows_a_mounts_files_as_another_users)
{
    char place[] = "/tmp/berth-owners-XXXXXX";
    struct id_range ranges[ID_SWAP_RANGES];
    size_t count = id_ranges_swap(1234, 33, ranges);
    struct error err = {};
    struct stat status;

    cr_assert(mkdtemp(place));
    cr_assert_eq(chown(place, 1234, 1234), 0);
    CLEANUP(close) int namespace_fd = user_namespace_make(ranges, count, ranges, count, &err);
    cr_assert(namespace_fd >= 0, "%s", err.text);
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, place, false, &err);
    cr_assert_eq(mount_map_owners(fd, false, namespace_fd, &err), 0, "%s", err.text);
    cr_assert_eq(fstat(fd, &status), 0);
    cr_expect_eq(status.st_uid, 33);
    cr_expect_eq(status.st_gid, 33);
    cr_assert_eq(mkdirat(fd, "made", 0700), 0);
    cr_assert_eq(fchownat(fd, "made", 33, 33, 0), 0);
    CLEANUP(free) char *made = path_join(place, "made");
    cr_assert_eq(stat(made, &status), 0);
    cr_expect_eq(status.st_uid, 1234);
    tree_remove(place, NULL);
}

Test(user_namespace, says_why_tables_are_refused)
{
    const struct id_range twice[] = { { 0, 0, 10 }, { 5, 100, 10 } };
    struct error err = {};

    cr_expect_eq(user_namespace_make(twice, 2, twice, 2, &err), -1);
    cr_expect(strstr(err.text, "uid_map"), "%s", err.text);
}
