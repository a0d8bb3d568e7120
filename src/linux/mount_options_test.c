#include "linux/mount_options.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "linux/mount.h"

#include "base/banned.h"

/* clang-format off */
static const struct {
    const char *words;
    uint64_t set, clear, recursive_set, propagation;
    bool is_bind, is_recursive;
    const char *data;
} rows[] = {
    { "",                        0, 0, 0, 0, false, false, "" },
    { "nosuid,noexec,nodev,ro",  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY, 0, 0, 0,
      false, false, "" },
    { "ro,rw",                   0, MOUNT_ATTR_RDONLY, 0, 0, false, false, "" },
    { "noexec,exec",             0, MOUNT_ATTR_NOEXEC, 0, 0, false, false, "" },
    { "exec,noexec",             MOUNT_ATTR_NOEXEC, 0, 0, 0, false, false, "" },
    { "nosuid,strictatime,mode=755,size=65536k", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, 0, 0, 0, false, false,
      "mode=755,size=65536k" },
    { "newinstance,ptmxmode=0666,gid=5", 0, 0, 0, 0, false, false, "newinstance,ptmxmode=0666,gid=5" },
    { "rbind,rprivate",          0, 0, 0, MS_PRIVATE, true, true, "" },
    { "bind,slave,ro",           MOUNT_ATTR_RDONLY, 0, 0, MS_SLAVE, true, false, "" },
    { "rbind,rshared",           0, 0, 0, MS_SHARED, true, true, "" },
    { "rbind,rro",               0, 0, MOUNT_ATTR_RDONLY, 0, true, true, "" },
    { "defaults,async,silent",   0, 0, 0, 0, false, false, "" },
    { "relatime",                MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, 0, 0, false, false, "" },
};
/* clang-format on */

Test(mount_options, are_sorted_by_what_they_are_for)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(mount_options_done) struct mount_options options = {};
        CLEANUP(strv_done) struct strv words = {};
        struct error err = {};

        strv_split(&words, rows[i].words, ',');
        cr_assert_eq(mount_options_parse(&words, &options, &err), 0, "%s", err.text);
        CLEANUP(free) char *data = strv_join(&options.data, ",");
        cr_expect_eq(options.set, rows[i].set, "%s", rows[i].words);
        cr_expect_eq(options.clear, rows[i].clear, "%s", rows[i].words);
        cr_expect_eq(options.recursive_set, rows[i].recursive_set, "%s", rows[i].words);
        cr_expect_eq(options.propagation, rows[i].propagation, "%s", rows[i].words);
        cr_expect_eq(options.is_bind, rows[i].is_bind, "%s", rows[i].words);
        cr_expect_eq(options.is_recursive, rows[i].is_recursive, "%s", rows[i].words);
        cr_expect_str_eq(data, rows[i].data);
    }
}

Test(mount_options, refuse_what_cannot_be_done)
{
    CLEANUP(mount_options_done) struct mount_options options = {};
    CLEANUP(strv_done) struct strv words = {};
    struct error err = {};

    strv_add(&words, "remount");
    cr_expect_lt(mount_options_parse(&words, &options, &err), 0);
    cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
}
