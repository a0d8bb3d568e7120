/* Remote sources. Of a URL the record keeps what the server said of it and the digest, so that an
 * unchanged file need not be sent again to know that a step is cached. */
#include "build/remote.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "http/fetch.h"

#include "base/banned.h"

#define BLOCK_SIZE ((size_t)128 * 1024)

void remote_done(struct remote *remote)
{
    free(remote->url);
    free(remote->name);
    free(remote->checksum);
    free(remote->path);
    git_source_done(&remote->git);
    *remote = (struct remote){};
}

bool remote_is_url(const char *text)
{
    return (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0) &&
           !git_is_source(text);
}

/* The last part of the path, without query and fragment. */
static char *url_name(const char *url)
{
    const char *host = strstr(url, "://") + 3, *path = host + strcspn(host, "/?#");
    size_t length = strcspn(path, "?#");
    CLEANUP(free) char *whole = xstrndup(path, length);
    const char *name = path_base(whole);

    return *name && *whole == '/' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0
               ? xstrdup(name)
               : NULL;
}

int remote_read(const char *text, const char *checksum, bool keeps_git_dir, struct remote *out,
                struct error *err)
{
    CLEANUP(remote_done) struct remote remote = { .is_git = git_is_source(text) };

    if (remote.is_git) {
        if (git_source_read(text, &remote.git, err) < 0)
            return -1;
        remote.git.keeps_git_dir |= keeps_git_dir;
        if (checksum && !text_is_hex(checksum, strlen(checksum)))
            return error_set(err, ERROR_INVALID, "invalid checksum of a Git source: %s", checksum);
        if (checksum) {
            free(remote.git.checksum);
            remote.git.checksum = xstrdup(checksum);
        }
    } else {
        if (keeps_git_dir)
            return error_set(err, ERROR_INVALID, "keep-git-dir is for Git sources only: %s", text);
        if (checksum && !digest_is_valid(checksum))
            return error_set(err, ERROR_INVALID,
                             "invalid checksum digest \"%s\": sha256:<64 hex digits> is understood",
                             checksum);
        remote.checksum = xstrdup(checksum);
        remote.url = xstrdup(text);
        remote.name = url_name(text);
    }
    *out = remote;
    remote = (struct remote){};
    return 0;
}

/* ---- what is known of a URL ---- */

struct known {
    char *etag, *modified, *digest;
};

static void known_done(struct known *known)
{
    free(known->etag);
    free(known->modified);
    free(known->digest);
}
CLEANUP_VALUE(known_done, struct known)

static void find_known(struct database *database, const char *url, struct known *out)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(database, &query, NULL,
                       "SELECT etag, modified, digest FROM build_remote WHERE url = ?", "s",
                       url) < 0 ||
        query_next(query, NULL) != 1)
        return;
    out->etag = xstrdup(query_text(query, 0));
    out->modified = xstrdup(query_text(query, 1));
    out->digest = xstrdup(query_text(query, 2));
}

static void keep_known(struct database *database, const char *url,
                       const struct fetch_answer *answer, const char *digest)
{
    if (answer->etag || answer->last_modified)
        database_run(database, NULL,
                     "INSERT OR REPLACE INTO build_remote (url, etag, modified, digest)"
                     " VALUES (?, ?, ?, ?)",
                     "ssss", url, answer->etag, answer->last_modified, digest);
    else
        database_run(database, NULL, "DELETE FROM build_remote WHERE url = ?", "s", url);
}

/* ---- files ---- */

static int digest_of(int fd, char out[DIGEST_SIZE], struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(free) void *block = xmalloc(BLOCK_SIZE);
    ssize_t count;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "rewind");
    while ((count = fd_read_full(fd, block, BLOCK_SIZE, err)) > 0)
        sha256_add(hash, block, (size_t)count);
    if (count < 0)
        return -1;
    sha256_finish(hash, out);
    return 0;
}

/* Gets the file, unless it is what 'known' tells. */
static int get(struct builder *builder, struct remote *remote, const struct known *known,
               const char *directory, int cancel_fd, struct error *err)
{
    CLEANUP(free) char *path = path_join(directory, "file");
    CLEANUP(close) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLEANUP(fetch_answer_done) struct fetch_answer answer = { .modified_s = -1 };
    const struct fetch fetch = {
        .url = remote->url,
        .etag = known ? known->etag : NULL,
        .last_modified = known ? known->modified : NULL,
        .target_fd = fd,
        .cancel_fd = cancel_fd,
    };

    if (fd < 0)
        return error_sys(err, "create %s", path);
    if (fetch_url(&fetch, &answer, err) < 0)
        return -1;
    if (answer.is_unchanged) {
        if (!known || !known->digest)
            return error_set(err, ERROR_UNAVAILABLE, "failed to GET %s: not sent", remote->url);
        snprintf(remote->digest, sizeof(remote->digest), "%s", known->digest);
        return 0;
    }
    if (digest_of(fd, remote->digest, err) < 0)
        return -1;
    keep_known(builder->database, remote->url, &answer, remote->digest);
    if (remote->checksum && strcmp(remote->checksum, remote->digest) != 0)
        return error_set(err, ERROR_INVALID, "digest mismatch for %s: expected %s, got %s",
                         remote->url, remote->checksum, remote->digest);
    const struct timespec times[2] = { { .tv_sec = MAX(answer.modified_s, 0) },
                                       { .tv_sec = MAX(answer.modified_s, 0) } };
    if (futimens(fd, times) < 0)
        return error_sys(err, "set times");
    remote->path = TAKE(path);
    return 0;
}

int remote_look(struct builder *builder, struct remote *remote, const char *directory,
                int cancel_fd, struct error *err)
{
    CLEANUP(known_done) struct known known = {};

    if (remote->is_git) {
        char commit[GIT_COMMIT_SIZE];

        if (git_resolve(&remote->git, cancel_fd, commit, err) < 0)
            return -1;
        snprintf(remote->digest, sizeof(remote->digest), "%s", commit);
        return 0;
    }
    if (remote->checksum) { /* It can be nothing else. */
        snprintf(remote->digest, sizeof(remote->digest), "%s", remote->checksum);
        return 0;
    }
    find_known(builder->database, remote->url, &known);
    return get(builder, remote, &known, directory, cancel_fd, err);
}

int remote_fetch(struct builder *builder, struct remote *remote, const char *directory,
                 int cancel_fd, struct error *err)
{
    if (remote->path)
        return 0;
    if (!remote->is_git)
        return get(builder, remote, NULL, directory, cancel_fd, err);

    CLEANUP(free) char *path = path_join(directory, "checkout");
    if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
        return error_sys(err, "make directory %s", path);
    if (git_checkout(&remote->git, remote->digest, path, cancel_fd, err) < 0)
        return -1;
    remote->path = TAKE(path);
    return 0;
}
