/* Blobs through the repositories that hold them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "distribution/internal.h"

#include "base/banned.h"

int link_find(struct depot *depot, int64_t repository, const char *digest, int64_t *out_size,
              int64_t *out_touched, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT blob.size, link.touched FROM link JOIN blob USING (digest)"
                    " WHERE link.repository = ? AND link.digest = ?",
                    "is", repository, digest) < 0)
        return -1;
    int found = depot_next(query, problem);
    if (found == 1) {
        *out_size = query_int64(query, 0);
        *out_touched = query_int64(query, 1);
    }
    return found;
}

int link_make(struct depot *depot, int64_t repository, const char *digest, int64_t size,
              int64_t quota, struct problem *problem)
{
    int64_t known_size, touched;
    int found = quota > 0 ? link_find(depot, repository, digest, &known_size, &touched, problem)
                          : 0;

    if (found < 0 ||
        (!found && repository_check_quota(depot, repository, size, quota, problem) < 0))
        return -1;
    return DEPOT_RUN(depot, problem, "INSERT OR REPLACE INTO link VALUES (?, ?, ?)", "isi",
                     repository, digest, depot_now_ms()) < 0
               ? -1
               : 0;
}

static int find(struct depot *depot, const char *repository, const char *digest, int64_t *out_size,
                int64_t *out_id, int64_t *out_touched, struct problem *problem)
{
    int64_t id = repository_find(depot, repository, problem);

    if (id < 0)
        return -1;
    int found = id ? link_find(depot, id, digest, out_size, out_touched, problem) : 0;
    if (found < 0)
        return -1;
    if (!found)
        return problem_set(problem, PROBLEM_BLOB_UNKNOWN, digest, NULL);
    *out_id = id;
    return 0;
}

/* Only now and then: most askers come often. */
static int put_grace_off(struct depot *depot, int64_t repository, const char *digest,
                         int64_t touched, struct problem *problem)
{
    int64_t now = depot_now_ms();

    if (now - touched <= depot->options.grace_ms / 4)
        return 0;
    int64_t changed = DEPOT_RUN(depot, problem,
                                "UPDATE link SET touched = ? WHERE repository = ? AND digest = ?",
                                "iis", now, repository, digest);
    if (changed < 0)
        return -1;
    if (changed == 0) /* it was collected in this moment */
        return problem_set(problem, PROBLEM_BLOB_UNKNOWN, digest, NULL);
    return 0;
}

int depot_blob_stat(struct depot *depot, const char *repository, const char *digest, bool uses,
                    int64_t *out_size, struct problem *problem)
{
    int64_t id = 0, touched = 0;

    if (find(depot, repository, digest, out_size, &id, &touched, problem) < 0)
        return -1;
    return uses ? put_grace_off(depot, id, digest, touched, problem) : 0;
}

int depot_blob_open(struct depot *depot, const char *repository, const char *digest, int *out_fd,
                    int64_t *out_size, struct problem *problem)
{
    CLEANUP(free) char *path = depot_blob_path(depot, digest);
    int64_t id = 0, touched = 0;
    struct error err = {};
    struct stat status;

    if (find(depot, repository, digest, out_size, &id, &touched, problem) < 0)
        return -1;
    CLEANUP(close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* collected since the record was asked */
        return problem_set(problem, PROBLEM_BLOB_UNKNOWN, digest, NULL);
    if (fd < 0 || fstat(fd, &status) < 0) {
        error_sys(&err, "open blob %s", digest);
        return problem_from_error(problem, &err, "storage");
    }
    if (status.st_size != *out_size)
        return problem_set(problem, PROBLEM_UNKNOWN, digest, "the blob's file is damaged");
    *out_fd = TAKE_FD(fd);
    return 0;
}

static int delete_inside(struct depot *depot, const char *repository, const char *digest,
                         struct problem *problem)
{
    int64_t id = 0, size = 0, touched = 0;

    if (find(depot, repository, digest, &size, &id, &touched, problem) < 0 ||
        reference_check(depot, id, digest, false, problem) < 0)
        return -1;
    return DEPOT_RUN(depot, problem, "DELETE FROM link WHERE repository = ? AND digest = ?", "is",
                     id, digest) < 0
               ? -1
               : 0;
}

int depot_blob_delete(struct depot *depot, const char *repository, const char *digest,
                      struct problem *problem)
{
    if (depot_begin(depot, DURABLE, problem) < 0)
        return -1;
    if (delete_inside(depot, repository, digest, problem) < 0) {
        database_rollback(depot->database);
        return -1;
    }
    return depot_commit(depot, problem);
}

static int mount_inside(struct depot *depot, const char *repository, const char *digest,
                        const char *from, int64_t quota, struct problem *problem)
{
    int64_t source = 0, size = 0, touched = 0;

    if (find(depot, from, digest, &size, &source, &touched, problem) < 0)
        return -1;
    int64_t target = repository_make(depot, repository, problem);
    return target < 0 ? -1 : link_make(depot, target, digest, size, quota, problem);
}

int depot_blob_mount(struct depot *depot, const char *repository, const char *digest,
                     const char *from, int64_t quota, struct problem *problem)
{
    if (depot_begin(depot, DURABLE, problem) < 0)
        return -1;
    if (mount_inside(depot, repository, digest, from, quota, problem) < 0) {
        database_rollback(depot->database);
        return -1;
    }
    return depot_commit(depot, problem);
}

int depot_blob_holders(struct depot *depot, const char *digest, size_t limit, struct strv *out,
                       struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT repository.name FROM link JOIN repository"
                    " ON repository.id = link.repository WHERE link.digest = ? LIMIT ?",
                    "si", digest, (int64_t)limit) < 0)
        return -1;
    while ((more = depot_next(query, problem)) == 1)
        strv_add(out, query_text(query, 0));
    return more;
}
