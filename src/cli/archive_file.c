/* Half an archive has no name. */
#include "cli/archive_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/terminal.h"

#include "base/banned.h"

static int check_path(const char *path, const char *what, struct error *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(free)
    char *directory = slash ? xstrndup(path, (size_t)MAX(slash - path, 1)) : xstrdup(".");
    struct stat status;

    if (stat(directory, &status) < 0) {
        error_sys(err, "stat %s", directory);
        return error_context(err, "failed to %s: invalid output path", what);
    }
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INVALID, "failed to %s: cannot write to a directory", what);
    return 0;
}

static int check(const char *path, const char *what, struct error *err)
{
    if (text_is_empty(path) && terminal_is(STDOUT_FILENO))
        return error_set(err, ERROR_INVALID,
                         "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    return text_is_empty(path) ? 0 : check_path(path, what, err);
}

static int copy_out(struct http_response *response, int fd, struct error *err)
{
    CLEANUP(stream_close) struct stream *out = stream_from_fd(fd, 0);

    return stream_copy(http_response_stream(response), out, err) < 0 ? -1 : 0;
}

static int write_new(struct http_response *response, const char *path, const char *what,
                     struct error *err)
{
    CLEANUP(free) char *unfinished = xasprintf("%s.XXXXXX", path);
    CLEANUP(close) int fd = mkostemp(unfinished, O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "failed to %s: create %s", what, path);
    int result = copy_out(response, fd, err);
    if (result == 0 && (fchmod(fd, 0600) < 0 || rename(unfinished, path) < 0))
        result = error_sys(err, "failed to %s: rename %s", what, unfinished);
    if (result < 0)
        unlink(unfinished);
    return result;
}

static int write_answer(struct http_response *response, const char *path, const char *what,
                        struct error *err)
{
    struct stat status;

    if (text_is_empty(path))
        return copy_out(response, STDOUT_FILENO, err);
    if (stat(path, &status) < 0 || S_ISREG(status.st_mode))
        return write_new(response, path, what, err);
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "failed to %s: open %s", what, path)
                  : copy_out(response, fd, err);
}

int archive_file_receive(struct client *client, const struct client_path *path, const char *output,
                         const char *what, struct error *err)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;

    if (check(output, what, err) < 0 ||
        client_stream(client, "GET", path, NULL, NULL, NULL, &response, err) < 0)
        return -1;
    return write_answer(response, output, what, err);
}
