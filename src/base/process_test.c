#include "base/process.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/macros.h"

#include "base/banned.h"

enum { DESCRIPTORS = 5, FIRST_WRITTEN = 3 };

/* A child whose descriptors 3 and 4 are pipes that have the numbers 'low' and low + 1 here, and
 * that writes to each its own name. */
static void check_descriptors(int low)
{
    static char *const arguments[] = { "sh", "-c", "echo 3 >&3; echo 4 >&4", NULL };
    struct process_options options = { .path = "/bin/sh",
                                       .arguments = arguments,
                                       .fds = { -1, -1, -1, low, low + 1 },
                                       .fd_count = DESCRIPTORS };
    int pipes[2][2], code;
    struct error err = {};
    pid_t pid;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pipe2(pipes[i], O_CLOEXEC), 0);
        cr_assert_eq(dup3(pipes[i][1], low + i, O_CLOEXEC), low + i);
        close(pipes[i][1]);
    }
    cr_assert_eq(process_spawn(&options, &pid, &err), 0, "%s", err.text);
    cr_assert_eq(process_wait(pid, &code, &err), 0, "%s", err.text);
    cr_expect_eq(code, 0, "descriptors from %d on: exit code %d", low, code);
    for (int i = 0; i < 2; i++) {
        char text[8] = "";

        close(low + i);
        cr_expect_eq(read(pipes[i][0], text, sizeof(text) - 1), 2, "descriptors from %d on", low);
        cr_expect_eq(text[0] - '0', FIRST_WRITTEN + i, "descriptors from %d on: %s", low, text);
        close(pipes[i][0]);
    }
}

/* A daemon with many containers has high numbers, and none of them may be in the way. */
Test(process, gives_descriptors_of_any_number)
{
    for (int low = 20; low < 300; low++)
        check_descriptors(low);
}

Test(process, starts_a_program_behind_a_descriptor_of_any_number)
{
    enum { PROGRAM_FD = 100 };
    static char *const arguments[] = { "sh", "-c", "exit 7", NULL };
    char path[32];
    struct error err = {};
    int program = open("/bin/sh", O_PATH | O_CLOEXEC), code;
    pid_t pid;

    cr_assert_eq(dup3(program, PROGRAM_FD, O_CLOEXEC), PROGRAM_FD);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", PROGRAM_FD);
    for (int low = PROGRAM_FD - 10; low < PROGRAM_FD + 10; low++) {
        struct process_options options = {
            .path = path, .arguments = arguments, .fds = { -1, -1, -1, low }, .fd_count = 4
        };

        if (low == PROGRAM_FD)
            continue;
        cr_assert_eq(dup3(STDERR_FILENO, low, O_CLOEXEC), low);
        cr_assert_eq(process_spawn(&options, &pid, &err), 0, "%d: %s", low, err.text);
        cr_assert_eq(process_wait(pid, &code, &err), 0, "%s", err.text);
        cr_expect_eq(code, 7, "descriptor %d: exit code %d", low, code);
        close(low);
    }
    close(PROGRAM_FD);
    close(program);
}
