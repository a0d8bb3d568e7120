#include "linux/mount_find.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/memory.h"

#include "base/banned.h"

static const char mountinfo[] = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                                "30 21 0:25 / /mnt rw shared:9 master:2 - tmpfs tmpfs rw\n"
                                "31 30 0:26 / /mnt/a\\040b rw master:7 - tmpfs tmpfs rw\n"
                                "32 21 0:27 / /mn rw - tmpfs tmpfs rw\n"
                                "33 30 0:28 / /mnt rw - tmpfs tmpfs rw\n";

static const struct {
    const char *path, *target;
    bool is_shared, is_slave;
} places[] = {
    { "/", "/", true, false },
    { "/mnx", "/", true, false },
    { "/mn/x", "/mn", false, false },
    { "/mnt", "/mnt", false, false }, /* the later one is on top */
    { "/mnt/a", "/mnt", false, false },
    { "/mnt/a b/c", "/mnt/a b", false, true },
};

Test(mount_find, finds_the_innermost_and_the_topmost)
{
    for (size_t i = 0; i < COUNT(places); i++) {
        CLEANUP(free) char *text = xstrdup(mountinfo);
        CLEANUP(mount_place_done) struct mount_place place = {};
        struct error err = {};

        cr_assert_eq(mount_find_in(text, places[i].path, &place, &err), 0, "%s", err.text);
        cr_expect_str_eq(place.target, places[i].target);
        cr_expect_eq(place.is_shared, places[i].is_shared, "%s", places[i].path);
        cr_expect_eq(place.is_slave, places[i].is_slave, "%s", places[i].path);
    }
}

Test(mount_find, knows_what_is_mounted)
{
    cr_expect(mount_is_at("/proc"));
    cr_expect_not(mount_is_at("/proc/self"));
    cr_expect_not(mount_is_at("/nowhere"));
}
