#include "linux/memory_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macros.h"
#include "base/str.h"

Test(memory_file, is_a_read_only_mount_of_one_file)
{
    const struct memory_file file = { "a\0b", 3, 0440, 7, 8 };
    CLEANUP(str_done) struct str text = {};
    struct error err = {};
    struct stat info;
    char path[64];

    if (geteuid() != 0)
        cr_skip_test("mounting takes root");
    CLEANUP(close) int fd = memory_file_mount(&file, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(fstat(fd, &info), 0);
    cr_expect(S_ISREG(info.st_mode));
    cr_expect_eq(info.st_mode & 07777, 0440);
    cr_expect_eq(info.st_uid, 7);
    cr_expect_eq(info.st_gid, 8);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    cr_assert_eq(file_read(path, 16, &text, &err), 0, "%s", err.text);
    cr_expect_eq(text.length, 3);
    cr_expect_arr_eq(text.data, "a\0b", 3);
    cr_expect_eq(open(path, O_WRONLY | O_CLOEXEC), -1);
}

Test(memory_file, leaves_no_mount_where_others_see_it)
{
    const struct memory_file file = { "x", 1, 0400, 0, 0 };
    CLEANUP(str_done) struct str before = {}, after = {};
    struct error err = {};

    if (geteuid() != 0)
        cr_skip_test("mounting takes root");
    cr_assert_eq(file_read("/proc/self/mountinfo", 1 << 22, &before, &err), 0, "%s", err.text);
    CLEANUP(close) int fd = memory_file_mount(&file, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(file_read("/proc/self/mountinfo", 1 << 22, &after, &err), 0, "%s", err.text);
    cr_expect_str_eq(str_text(&after), str_text(&before));
}
