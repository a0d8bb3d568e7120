/* Contexts from elsewhere: a Git repository, an archive, or a lone Dockerfile. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/extract.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/build.h"
#include "build/parse.h"
#include "git/git.h"
#include "http/fetch.h"
#include "linux/path.h"

#include "base/banned.h"

static int fetch_repository(const char *remote, const struct map *arguments, const char *path,
                            int cancel_fd, int *out_fd, char out_commit[BUILD_COMMIT_SIZE],
                            struct error *err)
{
    CLEANUP(git_source_done) struct git_source source = {};
    const char *keep = arguments ? map_get(arguments, "BUILDKIT_CONTEXT_KEEP_GIT_DIR") : NULL;
    char commit[GIT_COMMIT_SIZE];

    if (git_source_read(remote, &source, err) < 0)
        return -1;
    source.keeps_git_dir |= keep && text_is_true(keep);
    if (git_resolve(&source, cancel_fd, commit, err) < 0 ||
        git_checkout(&source, commit, path, cancel_fd, err) < 0)
        return -1;
    if (out_commit)
        snprintf(out_commit, BUILD_COMMIT_SIZE, "%s", commit);
    CLEANUP(close) int root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_sys(err, "open %s", path);
    *out_fd = path_open(root_fd, source.subdirectory ? source.subdirectory : ".",
                        O_RDONLY | O_DIRECTORY, 0, err);
    return *out_fd < 0 ? error_context(err, "directory %s of the repository", source.subdirectory)
                       : 0;
}

/* A file that is no archive is a Dockerfile on nothing. */
static int put_dockerfile(int fd, int directory_fd, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(close) int to_fd = -1;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind");
    if (file_read_fd(fd, DOCKERFILE_SIZE_LIMIT, &text, err) < 0)
        return error_context(err, "a remote Dockerfile");
    to_fd = openat(directory_fd, "Dockerfile", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (to_fd < 0)
        return error_sys(err, "create Dockerfile");
    return fd_write_all(to_fd, str_text(&text), text.length, err);
}

static int fetch_file(const char *remote, const char *path, int cancel_fd, int *out_fd,
                      struct error *err)
{
    CLEANUP(free) char *file_path = xasprintf("%s.fetched", path);
    CLEANUP(close)
    int fd = open(file_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CLEANUP(close) int directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fetch_answer_done) struct fetch_answer answer = { .modified_s = -1 };
    const struct fetch fetch = { .url = remote, .target_fd = fd, .cancel_fd = cancel_fd };

    if (fd < 0 || directory_fd < 0)
        return error_sys(err, "create %s", file_path);
    unlink(file_path); /* read through the descriptor only */
    if (fetch_url(&fetch, &answer, err) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind");
    if (extract_is_archive(fd)) {
        CLEANUP(stream_close) struct stream *archive = stream_from_fd(fd, false);

        if (build_context_unpack(archive, directory_fd, err) < 0)
            return -1;
    } else if (put_dockerfile(fd, directory_fd, err) < 0) {
        return -1;
    }
    *out_fd = TAKE_FD(directory_fd);
    return 0;
}

bool build_context_is_remote(const char *text)
{
    return git_is_source(text) || strncasecmp(text, "http://", 7) == 0 ||
           strncasecmp(text, "https://", 8) == 0;
}

int build_context_fetch(const char *remote, const struct map *arguments, const char *path,
                        int cancel_fd, int *out_fd, char out_commit[BUILD_COMMIT_SIZE],
                        struct error *err)
{
    int result;

    if (out_commit)
        *out_commit = 0;

    if (!build_context_is_remote(remote))
        return error_set(err, ERROR_INVALID, "unsupported remote context: %s", remote);
    result = git_is_source(remote)
                 ? fetch_repository(remote, arguments, path, cancel_fd, out_fd, out_commit, err)
                 : fetch_file(remote, path, cancel_fd, out_fd, err);
    return result < 0 && err && err->kind != ERROR_CANCELLED
               ? error_context(err, "failed to load the context %s", remote)
               : result;
}
