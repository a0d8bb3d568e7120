/* Blobs on their way in. Bytes go to a file of their own as they come; the hash runs along as long
 * as the process does, and is made again from the file otherwise. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "distribution/internal.h"

#include "base/banned.h"

enum { BLOCK_SIZE = 256 * 1024, TOUCH_INTERVAL_MS = 30 * 1000 };

struct upload {
    struct depot *depot;
    char id[UPLOAD_ID_SIZE];
    int64_t repository;
    bool is_taken;   /* guarded by depot->memory, as is_gone */
    bool is_gone;    /* published or cancelled: forget it when it is released */
    int fd;          /* while it is taken */
    int64_t size;    /* of the file */
    int64_t hashed;  /* bytes that 'hash' has seen */
    int64_t touched; /* as the record has it */
    struct hash *hash;
};

const char *upload_id(const struct upload *upload)
{
    return upload->id;
}

int64_t upload_size(const struct upload *upload)
{
    return upload->size;
}

void upload_free(void *pointer)
{
    struct upload *upload = pointer;

    if (!upload)
        return;
    if (upload->fd >= 0)
        close(upload->fd);
    hash_free(upload->hash);
    free(upload);
}
CLEANUP_POINTER(upload_free, struct upload)

static struct upload *upload_new(struct depot *depot, const char *id, int64_t repository,
                                 const char *algorithm)
{
    struct upload *upload = NEW(struct upload);

    upload->depot = depot;
    memcpy(upload->id, id, UPLOAD_ID_SIZE);
    upload->repository = repository;
    upload->fd = -1;
    upload->hash = hash_new(algorithm);
    return upload;
}

/* Random, in the form of a UUID (version 4), as clients are used to. */
static void make_id(char out[UPLOAD_ID_SIZE])
{
    char hex[ID_LENGTH + 1];
    size_t at = 0;

    id_generate(hex);
    hex[12] = '4';
    hex[16] = "89ab"[hex[16] & 3];
    for (size_t i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[at++] = '-';
        out[at++] = hex[i];
    }
    out[at] = 0;
}

static bool id_is_valid(const char *id)
{
    return strlen(id) == UPLOAD_ID_SIZE - 1 &&
           strspn(id, "0123456789abcdef-") == UPLOAD_ID_SIZE - 1;
}

static int fail(struct problem *problem, const char *what)
{
    struct error err = {};

    error_sys(&err, "%s", what);
    return problem_from_error(problem, &err, "storage");
}

static int unknown(const char *id, struct problem *problem)
{
    return problem_set(problem, PROBLEM_BLOB_UPLOAD_UNKNOWN, id, NULL);
}

/* ---- beginning ---- */

static int check_count(struct depot *depot, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query, "SELECT count(*) FROM upload", NULL) < 0 ||
        depot_next(query, problem) < 0)
        return -1;
    if (query_int64(query, 0) >= depot->options.upload_count)
        return problem_set(problem, PROBLEM_TOOMANYREQUESTS, NULL, "too many uploads are open");
    return 0;
}

static int64_t record_new(struct depot *depot, const char *repository, const char *id,
                          struct problem *problem)
{
    if (check_count(depot, problem) < 0)
        return -1;
    int64_t number = repository_make(depot, repository, problem);
    if (number < 0 || DEPOT_RUN(depot, problem, "INSERT INTO upload VALUES (?, ?, ?)", "sii", id,
                                number, depot_now_ms()) < 0)
        return -1;
    return number;
}

int depot_upload_begin(struct depot *depot, const char *repository, const char *algorithm,
                       struct upload **out, struct problem *problem)
{
    char id[UPLOAD_ID_SIZE];

    make_id(id);
    if (depot_begin(depot, RELAXED, problem) < 0)
        return -1;
    int64_t number = record_new(depot, repository, id, problem);
    if (number < 0) {
        database_rollback(depot->database);
        return -1;
    }
    if (depot_commit(depot, problem) < 0)
        return -1;

    CLEANUP(upload_free) struct upload *upload = upload_new(depot, id, number, algorithm);
    CLEANUP(free) char *path = depot_upload_path(depot, id);
    upload->touched = depot_now_ms();
    upload->is_taken = true;
    upload->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (upload->fd < 0) {
        fail(problem, "create upload");
        database_run(depot->database, NULL, "DELETE FROM upload WHERE id = ?", "s", id);
        return -1;
    }
    mutex_lock(&depot->memory);
    map_set(&depot->uploads, id, upload);
    mutex_unlock(&depot->memory);
    *out = TAKE(upload);
    return 0;
}

/* ---- taking and giving back ---- */

static int load(struct depot *depot, const char *id, int64_t repository, int64_t *out_touched,
                struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT touched FROM upload WHERE id = ? AND repository = ?", "si", id,
                    repository) < 0)
        return -1;
    int found = depot_next(query, problem);
    if (found < 0)
        return -1;
    if (!found)
        return unknown(id, problem);
    *out_touched = query_int64(query, 0);
    return 0;
}

static struct upload *take_locked(struct depot *depot, const char *id, int64_t repository,
                                  struct problem *problem) REQUIRES(depot->memory)
{
    struct upload *upload = map_get(&depot->uploads, id);

    if (!upload) {
        upload = upload_new(depot, id, repository, "sha256");
        map_set(&depot->uploads, id, upload);
    } else if (upload->is_taken) {
        problem_set(problem, PROBLEM_BLOB_UPLOAD_INVALID, id, "another request writes this upload");
        problem_set_status(problem, 409);
        return NULL;
    }
    upload->is_taken = true;
    return upload;
}

int depot_upload_take(struct depot *depot, const char *repository, const char *id,
                      struct upload **out, struct problem *problem)
{
    CLEANUP(upload_release) struct upload *upload = NULL;
    CLEANUP(free) char *path = NULL;
    struct stat status;
    int64_t touched = 0;

    if (!id_is_valid(id))
        return unknown(id, problem);
    int64_t number = repository_find(depot, repository, problem);
    if (number < 0)
        return -1;
    mutex_lock(&depot->memory);
    upload = take_locked(depot, id, number, problem);
    mutex_unlock(&depot->memory);
    if (!upload)
        return -1;
    if (load(depot, id, number, &touched, problem) < 0) {
        upload->is_gone = problem->code == PROBLEM_BLOB_UPLOAD_UNKNOWN;
        return -1;
    }
    path = depot_upload_path(depot, id);
    upload->touched = touched;
    upload->fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (upload->fd < 0 && errno == ENOENT) {
        upload->is_gone = true;
        return unknown(id, problem);
    }
    if (upload->fd < 0 || fstat(upload->fd, &status) < 0)
        return fail(problem, "open upload");
    upload->size = status.st_size;
    *out = TAKE(upload);
    return 0;
}

void upload_release(struct upload *upload)
{
    if (!upload)
        return;
    struct depot *depot = upload->depot;
    if (upload->fd >= 0)
        close(upload->fd);
    upload->fd = -1;
    mutex_lock(&depot->memory);
    upload->is_taken = false;
    if (upload->is_gone)
        map_remove(&depot->uploads, upload->id);
    mutex_unlock(&depot->memory);
}

/* ---- writing ---- */

/* So that an upload that goes on is not taken for an abandoned one after a restart. */
static int touch(struct upload *upload, struct problem *problem)
{
    int64_t now = depot_now_ms();

    if (now - upload->touched < TOUCH_INTERVAL_MS)
        return 0;
    upload->touched = now;
    return DEPOT_RUN(upload->depot, problem, "UPDATE upload SET touched = ? WHERE id = ?", "is",
                     now, upload->id) < 0
               ? -1
               : 0;
}

int upload_write(struct upload *upload, const void *data, size_t size, struct problem *problem)
{
    int64_t limit = upload->depot->options.blob_size_limit;
    struct error err = {};

    if (limit > 0 && upload->size + (int64_t)size > limit) {
        problem_set(problem, PROBLEM_SIZE_INVALID, NULL, "a blob may have %lld bytes",
                    (long long)limit);
        return problem_set_status(problem, 413);
    }
    if (lseek(upload->fd, upload->size, SEEK_SET) < 0)
        return fail(problem, "write upload");
    if (fd_write_all(upload->fd, data, size, &err) < 0)
        return problem_from_error(problem, &err, "storage");
    if (upload->hash && upload->hashed == upload->size) {
        hash_add(upload->hash, data, size);
        upload->hashed += (int64_t)size;
    }
    upload->size += (int64_t)size;
    return touch(upload, problem);
}

void upload_cut(struct upload *upload, int64_t size)
{
    if (ftruncate(upload->fd, size) < 0)
        return;
    upload->size = size;
    if (upload->hashed > size) { /* made again from the file */
        hash_free(TAKE(upload->hash));
        upload->hashed = 0;
    }
}

/* ---- the end ---- */

static int hash_file(struct upload *upload, struct problem *problem)
{
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);

    for (int64_t at = 0; at < upload->size;) {
        ssize_t count = pread(upload->fd, block, BLOCK_SIZE, at);

        if (count < 0)
            return fail(problem, "read upload");
        if (count == 0)
            break;
        hash_add(upload->hash, block, (size_t)count);
        at += count;
    }
    return 0;
}

/* What was hashed along the way counts if it is all, and of the wanted kind. */
static int verify(struct upload *upload, const char *digest, struct problem *problem)
{
    char found[CONTENT_DIGEST_SIZE];
    bool is_ready = upload->hash && upload->hashed == upload->size &&
                    hash_is_of(upload->hash, digest);

    if (!is_ready) {
        hash_free(upload->hash);
        upload->hash = hash_new(digest);
        if (hash_file(upload, problem) < 0)
            return -1;
    }
    hash_finish(upload->hash, found);
    hash_free(TAKE(upload->hash)); /* it cannot go on: the next one begins with the file */
    upload->hashed = 0;
    if (strcmp(found, digest) != 0)
        return problem_set(problem, PROBLEM_DIGEST_INVALID, digest, NULL);
    return 0;
}

static int has_blob(struct depot *depot, const char *digest, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query, "SELECT 1 FROM blob WHERE digest = ?", "s", digest) < 0)
        return -1;
    return depot_next(query, problem);
}

static int record_published(struct upload *upload, const char *digest, int64_t quota,
                            struct problem *problem)
{
    struct depot *depot = upload->depot;

    if (DEPOT_RUN(depot, problem, "INSERT OR IGNORE INTO blob VALUES (?, ?)", "si", digest,
                  upload->size) < 0 ||
        link_make(depot, upload->repository, digest, upload->size, quota, problem) < 0)
        return -1;
    int64_t changed = DEPOT_RUN(depot, problem, "DELETE FROM upload WHERE id = ?", "s", upload->id);
    if (changed == 0)
        return unknown(upload->id, problem);
    return changed < 0 ? -1 : 0;
}

static int record_durably(struct upload *upload, const char *digest, int64_t quota,
                          struct problem *problem)
{
    if (depot_begin(upload->depot, DURABLE, problem) < 0)
        return -1;
    if (record_published(upload, digest, quota, problem) < 0) {
        database_rollback(upload->depot->database);
        return -1;
    }
    return depot_commit(upload->depot, problem);
}

/* The file gets its name, then the record says so. Until then the upload keeps its own name too, so
 * that what fails can be tried again. */
static int publish(struct upload *upload, const char *digest, int64_t quota,
                   struct problem *problem) REQUIRES(upload->depot->files)
{
    struct depot *depot = upload->depot;
    CLEANUP(free) char *path = depot_blob_path(depot, digest);
    CLEANUP(free) char *upload_path = depot_upload_path(depot, upload->id);
    int known = has_blob(depot, digest, problem);

    if (known < 0)
        return -1;
    if (!known) {
        if (unlink(path) < 0 && errno != ENOENT) /* of a crash: nothing vouches for its bytes */
            return fail(problem, "replace blob");
        if (link(upload_path, path) < 0)
            return fail(problem, "name blob");
        if (parent_sync(path, NULL) < 0)
            return fail(problem, "sync directory of blobs");
    }
    if (record_durably(upload, digest, quota, problem) < 0) {
        if (!known)
            unlink(path);
        return -1;
    }
    unlink(upload_path);
    return 0;
}

int upload_finish(struct upload *upload, const char *digest, int64_t quota, struct problem *problem)
{
    struct depot *depot = upload->depot;

    if (verify(upload, digest, problem) < 0)
        return -1;
    if (fdatasync(upload->fd) < 0)
        return fail(problem, "sync blob");
    mutex_lock(&depot->files);
    int result = publish(upload, digest, quota, problem);
    mutex_unlock(&depot->files);
    upload->is_gone = result == 0;
    return result;
}

int upload_cancel(struct upload *upload, struct problem *problem)
{
    CLEANUP(free) char *path = depot_upload_path(upload->depot, upload->id);

    if (DEPOT_RUN(upload->depot, problem, "DELETE FROM upload WHERE id = ?", "s", upload->id) < 0)
        return -1;
    unlink(path);
    upload->is_gone = true;
    return 0;
}

/* ---- upkeep ---- */

static bool is_taken(struct depot *depot, const char *id)
{
    mutex_lock(&depot->memory);
    const struct upload *upload = map_get(&depot->uploads, id);
    bool result = upload && upload->is_taken;
    mutex_unlock(&depot->memory);
    return result;
}

static int list_abandoned(struct depot *depot, struct strv *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(depot->database, &query, err, "SELECT id FROM upload WHERE touched < ?", "i",
                       depot_now_ms() - depot->options.upload_age_ms) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1)
        strv_add(out, query_text(query, 0));
    return more;
}

static void remove_abandoned(struct depot *depot, const char *id, int64_t *count)
{
    CLEANUP(free) char *path = depot_upload_path(depot, id);

    if (is_taken(depot, id) ||
        database_run(depot->database, NULL, "DELETE FROM upload WHERE id = ? AND touched < ?", "si",
                     id, depot_now_ms() - depot->options.upload_age_ms) != 1)
        return;
    unlink(path);
    mutex_lock(&depot->memory);
    const struct upload *upload = map_get(&depot->uploads, id);
    if (upload && !upload->is_taken)
        map_remove(&depot->uploads, id);
    mutex_unlock(&depot->memory);
    ++*count;
}

static bool has_row(struct depot *depot, const char *id)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(depot->database, &query, NULL, "SELECT 1 FROM upload WHERE id = ?", "s",
                       id) < 0)
        return true;
    return query_next(query, NULL) != 0;
}

/* A row comes before its file and goes before it: a file without one belongs to nobody. */
static int remove_strays(struct depot *depot, struct error *err)
{
    CLEANUP(free) char *path = path_join(depot->root_path, "uploads");
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (!directory)
        return error_sys(err, "open %s", path);
    while ((entry = readdir(directory)))
        if (id_is_valid(entry->d_name) && !is_taken(depot, entry->d_name) &&
            !has_row(depot, entry->d_name))
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    return 0;
}

int uploads_collect(struct depot *depot, int64_t *out_count, struct error *err)
{
    CLEANUP(strv_done) struct strv ids = {};

    if (list_abandoned(depot, &ids, err) < 0)
        return -1;
    for (size_t i = 0; i < ids.count; i++)
        remove_abandoned(depot, ids.items[i], out_count);
    return remove_strays(depot, err);
}
