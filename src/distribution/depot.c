/* Opening and closing, paths, and the words that the other files use of the record. */
#include "distribution/depot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "distribution/internal.h"

#include "base/banned.h"

enum { DEFAULT_UPLOAD_COUNT = 10000 };

/* A manifest's 'content' is the bytes as they were sent. 'reference' has what manifests name:
 * blobs, or manifests of an index. */
static const char *const steps[] = {
    "CREATE TABLE repository (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE blob (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE link (repository INTEGER NOT NULL, digest TEXT NOT NULL,"
    " touched INTEGER NOT NULL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;"
    "CREATE INDEX link_digest ON link (digest);"
    "CREATE TABLE manifest (repository INTEGER NOT NULL, digest TEXT NOT NULL,"
    " media_type TEXT NOT NULL, size INTEGER NOT NULL, artifact_type TEXT, subject TEXT,"
    " annotations TEXT, pushed INTEGER NOT NULL, content BLOB NOT NULL,"
    " PRIMARY KEY (repository, digest));"
    "CREATE INDEX manifest_subject ON manifest (repository, subject, digest)"
    " WHERE subject IS NOT NULL;"
    "CREATE TABLE reference (repository INTEGER NOT NULL, manifest TEXT NOT NULL,"
    " target TEXT NOT NULL, is_manifest INTEGER NOT NULL, is_optional INTEGER NOT NULL,"
    " PRIMARY KEY (repository, manifest, target, is_manifest)) WITHOUT ROWID;"
    "CREATE INDEX reference_target ON reference (repository, target, is_manifest);"
    "CREATE TABLE tag (repository INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,"
    " PRIMARY KEY (repository, name)) WITHOUT ROWID;"
    "CREATE INDEX tag_digest ON tag (repository, digest);"
    "CREATE TABLE upload (id TEXT PRIMARY KEY, repository INTEGER NOT NULL,"
    " touched INTEGER NOT NULL) WITHOUT ROWID;",
};

/* ---- paths ---- */

char *depot_blob_path(const struct depot *depot, const char *digest)
{
    const char *hex = strchr(digest, ':') + 1;

    return xasprintf("%s/blobs/%.*s/%.2s/%s", depot->root_path, (int)(hex - digest - 1), digest,
                     hex, hex);
}

char *depot_upload_path(const struct depot *depot, const char *id)
{
    return xasprintf("%s/uploads/%s", depot->root_path, id);
}

char *depot_trash_path(const struct depot *depot)
{
    char id[ID_LENGTH + 1];

    id_generate(id);
    return xasprintf("%s/trash/%.32s", depot->root_path, id);
}

int64_t depot_now_ms(void)
{
    return clock_wall_ns() / NS_PER_MS;
}

/* ---- open and close ---- */

static int take_lock(struct depot *depot, struct error *err)
{
    CLEANUP(free) char *path = path_join(depot->root_path, "lock");
    CLEANUP(close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char text[16];

    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, ERROR_CONFLICT, "another registry has %s", depot->root_path);
        return error_sys(err, "lock %s", path);
    }
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0)
        return error_sys(err, "write %s", path);
    if (fd_write_all(fd, text, (size_t)length, err) < 0)
        return -1;
    depot->lock_fd = TAKE_FD(fd);
    return 0;
}

/* All directories are made at once, so that publishing a blob needs none. */
static int make_directories(struct depot *depot, struct error *err)
{
    static const char *const algorithms[] = { "sha256", "sha512" };
    CLEANUP(free) char *uploads = path_join(depot->root_path, "uploads");
    CLEANUP(free) char *trash = path_join(depot->root_path, "trash");

    if (tree_remove(trash, err) < 0 || dir_make(uploads, 0700, err) < 0 ||
        dir_make(trash, 0700, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT(algorithms); i++)
        for (int first = 0; first < 256; first++) {
            CLEANUP(free)
            char *path = xasprintf("%s/blobs/%s/%02x", depot->root_path, algorithms[i],
                                   (unsigned int)first);

            if (!file_exists(path) && dir_make(path, 0700, err) < 0)
                return -1;
        }
    return 0;
}

static int prepare(struct depot *depot, struct error *err)
{
    CLEANUP(free) char *path = path_join(depot->root_path, "registry.db");

    if (depot->options.is_shared) {
        if (!file_exists(path))
            return error_set(err, ERROR_NOT_FOUND, "%s is no registry", depot->root_path);
        return database_open(path, &depot->database, err);
    }
    if (dir_make(depot->root_path, 0700, err) < 0 || take_lock(depot, err) < 0 ||
        make_directories(depot, err) < 0 || database_open(path, &depot->database, err) < 0)
        return -1;
    return database_migrate(depot->database, "registry", steps, COUNT(steps), err);
}

static void free_manifest(void *pointer)
{
    manifest_unref(pointer);
}

int depot_open(const struct depot_options *options, struct depot **out, struct error *err)
{
    CLEANUP(depot_close) struct depot *depot = NEW(struct depot);

    depot->options = *options;
    if (!depot->options.upload_count)
        depot->options.upload_count = DEFAULT_UPLOAD_COUNT;
    depot->root_path = path_absolute(options->root_path);
    depot->options.root_path = depot->root_path;
    depot->lock_fd = -1;
    mutex_init(&depot->files);
    mutex_init(&depot->memory);
    map_init_empty(&depot->uploads, upload_free);
    map_init_empty(&depot->manifests, free_manifest);
    if (prepare(depot, err) < 0)
        return -1;
    *out = TAKE(depot);
    return 0;
}

void depot_close(struct depot *depot)
{
    if (!depot)
        return;
    map_done(&depot->uploads);
    map_done(&depot->manifests);
    database_close(depot->database);
    mutex_done(&depot->files);
    mutex_done(&depot->memory);
    if (depot->lock_fd >= 0)
        close(depot->lock_fd);
    free(depot->root_path);
    free(depot);
}

/* ---- the record ---- */

int depot_begin(struct depot *depot, enum durability durability, struct problem *problem)
{
    struct error err = {};

    if (database_begin(depot->database, durability, &err) < 0)
        return problem_from_error(problem, &err, "record");
    return 0;
}

int depot_commit(struct depot *depot, struct problem *problem)
{
    struct error err = {};

    if (database_commit(depot->database, &err) < 0)
        return problem_from_error(problem, &err, "record");
    return 0;
}

int depot_next(struct query *query, struct problem *problem)
{
    struct error err = {};
    int result = query_next(query, &err);

    return result < 0 ? problem_from_error(problem, &err, "record") : result;
}

int reference_check(struct depot *depot, int64_t repository, const char *digest, bool is_manifest,
                    struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT manifest FROM reference"
                    " WHERE repository = ? AND target = ? AND is_manifest = ? LIMIT 1",
                    "isi", repository, digest, (int64_t)is_manifest) < 0)
        return -1;
    int found = depot_next(query, problem);
    if (found <= 0)
        return found;
    problem_set(problem, PROBLEM_DENIED, digest,
                is_manifest ? "the manifest is used by index %s"
                            : "the blob is used by manifest %s",
                query_text(query, 0));
    return problem_set_status(problem, 405);
}

int64_t repository_find(struct depot *depot, const char *name, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query, "SELECT id FROM repository WHERE name = ?", "s", name) <
        0)
        return -1;
    int found = depot_next(query, problem);
    return found == 1 ? query_int64(query, 0) : found;
}

int64_t repository_make(struct depot *depot, const char *name, struct problem *problem)
{
    int64_t id = repository_find(depot, name, problem);

    if (id != 0)
        return id;
    if (DEPOT_RUN(depot, problem, "INSERT INTO repository (name) VALUES (?)", "s", name) < 0)
        return -1;
    return repository_find(depot, name, problem);
}

int repository_check_quota(struct depot *depot, int64_t repository, int64_t more, int64_t quota,
                           struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (quota <= 0)
        return 0;
    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT (SELECT ifnull(sum(blob.size), 0) FROM link JOIN blob USING (digest)"
                    "        WHERE link.repository = ?1) +"
                    "       (SELECT ifnull(sum(size), 0) FROM manifest WHERE repository = ?1)",
                    "i", repository) < 0 ||
        depot_next(query, problem) < 0)
        return -1;
    int64_t used = query_int64(query, 0);
    if (more > quota || used > quota - more) {
        CLEANUP(free) char *limit = text_human_size_binary(quota);

        return problem_set(problem, PROBLEM_DENIED, NULL,
                           "the repository's quota of %s is exceeded", limit);
    }
    return 0;
}
