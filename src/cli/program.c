/* Files without a name instead of pipes: little is said, and nobody has to read while they write.
 */
#include "cli/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#include "base/banned.h"

#define ANSWER_LIMIT ((size_t)1 << 20)

static int scratch_file(const char *text, struct error *err)
{
    int fd = open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, "create a temporary file");
    if (text && (fd_write_all(fd, text, strlen(text), err) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

int program_ask(const char *path, char *const *arguments, const char *input, bool is_silent,
                struct str *out, int *out_code, struct error *err)
{
    CLEANUP(close) int in = scratch_file(input, err);
    CLEANUP(close) int answer = in < 0 ? -1 : scratch_file(NULL, err);
    pid_t pid;

    if (answer < 0)
        return -1;
    struct process_options options = { .path = path,
                                       .arguments = arguments,
                                       .fds = { in, answer, is_silent ? -1 : STDERR_FILENO },
                                       .fd_count = 3 };
    if (process_spawn(&options, &pid, err) < 0 || process_wait(pid, out_code, err) < 0)
        return -1;
    if (lseek(answer, 0, SEEK_SET) < 0)
        return error_sys(err, "read the answer of %s", path);
    return file_read_fd(answer, ANSWER_LIMIT, out, err);
}
