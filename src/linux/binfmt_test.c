#include "linux/binfmt.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#define ARM64 "7f454c460201010000000000000000000200b700"

static void put(const char *directory, const char *name, const char *first, const char *flags,
                const char *magic)
{
    CLEANUP(free) char *path = path_join(directory, name);
    CLEANUP(free)
    char *text =
        xasprintf("%s\ninterpreter /usr/bin/qemu\nflags: %s\noffset 0\nmagic %s\nmask ff\n", first,
                  flags, magic);

    cr_assert_eq(file_write_atomic(path, text, strlen(text), 0644, false, NULL), 0);
}

Test(binfmt, finds_an_emulator_that_works_in_any_root)
{
    char directory[] = "/tmp/binfmt-XXXXXX";

    cr_assert(mkdtemp(directory));
    cr_expect_not(binfmt_runs("/no/such", "arm64"));
    put(directory, "status", "enabled", "", "");
    put(directory, "qemu-arm64", "enabled", "OC", ARM64);
    cr_expect_not(binfmt_runs(directory, "arm64"), "it is looked up in the container's root");
    put(directory, "qemu-arm64", "disabled", "OCF", ARM64);
    cr_expect_not(binfmt_runs(directory, "arm64"));
    put(directory, "qemu-arm64", "enabled", "OCF", "7f454c46");
    cr_expect_not(binfmt_runs(directory, "arm64"), "it tells no machine");
    put(directory, "qemu-arm64", "enabled", "OCF", ARM64);
    cr_expect(binfmt_runs(directory, "arm64"));
    cr_expect_not(binfmt_runs(directory, "arm"));
    cr_expect_not(binfmt_runs(directory, "s390x"));
    put(directory, "qemu-s390x", "enabled", "F", "7f454c4602020100000000000000000000020016");
    cr_expect(binfmt_runs(directory, "s390x"));
    cr_expect_not(binfmt_runs(directory, "z80"));
    tree_remove(directory, NULL);
}
