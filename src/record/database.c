/* SQLite in WAL mode: one connection writes, a few read. The writer belongs to one thread at a
 * time; a reader to one query. Connections keep their prepared statements. */
#include "record/database.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "record/connection.h"
#include "record/reserve.h"

#include "base/banned.h"

#define IDLE_READER_LIMIT 3
#define WRITER_CACHE_KIB  512
#define READER_CACHE_KIB  128
#define LOG_SIZE          ((off_t)1 << 20) /* it gets four times as large before it begins anew */

struct database {
    char *path;
    struct connection *writer;    /* used by the thread that holds it */
    _Atomic(pthread_t) holder;    /* 0: none */
    struct reserve reserve;       /* likewise */
    enum durability synchronised; /* the writer's present setting */

    struct mutex lock; /* guards what follows */
    struct condition released;
    bool is_held;
    struct connection *idle_readers[IDLE_READER_LIMIT];
    size_t idle_count;
};

struct query {
    struct database *database;
    struct connection *connection;
    struct statement *statement;
};

static bool holds_writer(struct database *database)
{
    return pthread_equal(atomic_load(&database->holder), pthread_self());
}

static void hold_writer(struct database *database)
{
    assert(!holds_writer(database));
    mutex_lock(&database->lock);
    while (database->is_held)
        condition_wait(&database->released, &database->lock);
    database->is_held = true;
    mutex_unlock(&database->lock);
    atomic_store(&database->holder, pthread_self());
}

static void release_writer(struct database *database)
{
    atomic_store(&database->holder, (pthread_t)0);
    mutex_lock(&database->lock);
    database->is_held = false;
    condition_signal(&database->released);
    mutex_unlock(&database->lock);
}

/* SQLite takes this setting between transactions only. */
static int synchronise(struct database *database, enum durability durability, struct error *err)
{
    if (database->synchronised == durability)
        return 0;
    if (connection_execute(database->writer,
                           durability == DURABLE ? "PRAGMA synchronous=FULL"
                                                 : "PRAGMA synchronous=NORMAL",
                           err) < 0)
        return -1;
    database->synchronised = durability;
    return 0;
}

/* SQLite lets its log grow with each commit, and then a flush of it is also one of the file
 * system's journal. Behind what it has written, zeros are no records: there it writes in place.
 * Only who holds the lock for writing adds to the log. Failing is no error. */
static void extend_log(struct database *database)
{
    CLEANUP(free) char *zeros = xcalloc(1, LOG_SIZE);
    CLEANUP(free) char *path = xasprintf("%s-wal", database->path);
    struct stat status;

    if (connection_execute(database->writer, "BEGIN IMMEDIATE", NULL) < 0)
        return;
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size < LOG_SIZE &&
        pwrite(fd, zeros, (size_t)(LOG_SIZE - status.st_size), status.st_size) > 0)
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    connection_execute(database->writer, "ROLLBACK", NULL);
}

int database_open(const char *path, struct database **out, struct error *err)
{
    CLEANUP(database_close) struct database *database = NEW(struct database);

    database->path = xstrdup(path);
    mutex_init(&database->lock);
    condition_init(&database->released);

    bool is_new = !file_exists(path);
    /* SQLite gives its other files the mode of this one. */
    CLEANUP(close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (is_new && parent_sync(path, err) < 0)
        return -1;
    /* Closed before SQLite opens it: closing later would end the locks that the process has on it,
     * and another process that looked in would take the log away when it leaves. */
    close(TAKE_FD(fd));
    CLEANUP(free) char *reserve_path = xasprintf("%s-reserve", path);
    reserve_open(&database->reserve, reserve_path);
    reserve_refill(&database->reserve);
    reserve_use(&database->reserve);
    if (connection_open(path, true, WRITER_CACHE_KIB, &database->writer, err) < 0 ||
        connection_execute(database->writer,
                           "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                           "PRAGMA journal_size_limit=4194304; PRAGMA foreign_keys=ON;"
                           "CREATE TABLE IF NOT EXISTS migration"
                           " (subsystem TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
                           err) < 0)
        return error_context(err, "open record %s", path);
    database->synchronised = RELAXED;
    extend_log(database);
    *out = TAKE(database);
    return 0;
}

void database_close(struct database *database)
{
    if (!database)
        return;
    for (size_t i = 0; i < database->idle_count; i++)
        connection_close(database->idle_readers[i]);
    connection_close(database->writer);
    reserve_close(&database->reserve);
    condition_done(&database->released);
    mutex_done(&database->lock);
    free(database->path);
    free(database);
}

int database_begin(struct database *database, enum durability durability, struct error *err)
{
    hold_writer(database);
    reserve_refill(&database->reserve);
    if (synchronise(database, durability, err) < 0 ||
        connection_execute(database->writer, "BEGIN IMMEDIATE", err) < 0) {
        release_writer(database);
        return -1;
    }
    return 0;
}

int database_commit(struct database *database, struct error *err)
{
    assert(holds_writer(database));
    if (connection_execute(database->writer, "COMMIT", err) < 0) {
        database_rollback(database);
        return -1;
    }
    release_writer(database);
    return 0;
}

void database_rollback(struct database *database)
{
    assert(holds_writer(database));
    /* It may have rolled back by itself (disk full): then this fails, and that is fine. */
    connection_execute(database->writer, "ROLLBACK", NULL);
    release_writer(database);
}

static int run_held(struct database *database, struct error *err, const char *sql,
                    const char *types, va_list arguments, int64_t *out_changed)
{
    /* What adds something has to find room by itself. */
    if (strncmp(sql, "INSERT", strlen("INSERT")) != 0)
        reserve_use(&database->reserve);
    struct statement *statement = connection_prepare(database->writer, sql, err);
    if (!statement)
        return -1;
    int result = statement_bind(statement, types, arguments, err);
    while (result == 0 && (result = statement_step(statement, err)) == 1)
        result = 0;
    if (result == 0)
        *out_changed = connection_changes(database->writer);
    connection_give_back(database->writer, statement);
    return result;
}

static int64_t run_alone(struct database *database, enum durability durability, struct error *err,
                         const char *sql, const char *types, va_list arguments)
{
    int64_t changed = 0;

    hold_writer(database);
    if (durability == DURABLE)
        reserve_refill(&database->reserve);
    int result = synchronise(database, durability, err);
    if (result == 0)
        result = run_held(database, err, sql, types, arguments, &changed);
    release_writer(database);
    return result < 0 ? -1 : changed;
}

int64_t database_run(struct database *database, struct error *err, const char *sql,
                     const char *types, ...)
{
    int64_t changed = 0;
    va_list arguments;

    va_start(arguments, types);
    if (!holds_writer(database))
        changed = run_alone(database, RELAXED, err, sql, types, arguments);
    else if (run_held(database, err, sql, types, arguments, &changed) < 0)
        changed = -1;
    va_end(arguments);
    return changed;
}

int64_t database_run_alone(struct database *database, enum durability durability, struct error *err,
                           const char *sql, const char *types, ...)
{
    va_list arguments;

    va_start(arguments, types);
    int64_t changed = run_alone(database, durability, err, sql, types, arguments);
    va_end(arguments);
    return changed;
}

/* How many steps ran before; -1 in '*out' if the subsystem is new. No query is open afterwards: no
 * table can be dropped as long as one is. */
static int read_step_count(struct database *database, const char *subsystem, int64_t *out,
                           struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int has_row;

    if (database_query(database, &query, err, "SELECT count FROM migration WHERE subsystem = ?",
                       "s", subsystem) < 0)
        return -1;
    has_row = query_next(query, err);
    if (has_row < 0)
        return -1;
    *out = has_row ? query_int64(query, 0) : -1;
    return 0;
}

static int run_steps(struct database *database, const char *subsystem, const char *const *steps,
                     size_t count, bool *out_changed, struct error *err)
{
    int64_t ran;

    *out_changed = false;
    if (read_step_count(database, subsystem, &ran, err) < 0)
        return -1;
    if (ran > (int64_t)count)
        return error_set(err, ERROR_UNSUPPORTED, "the record was written by a newer version");
    if (ran == (int64_t)count)
        return 0;
    *out_changed = true;
    for (size_t i = (size_t)MAX(ran, (int64_t)0); i < count; i++)
        if (connection_execute(database->writer, steps[i], err) < 0)
            return error_context(err, "step %zu", i);
    if (database_run(database, err, "INSERT OR REPLACE INTO migration VALUES (?, ?)", "si",
                     subsystem, (int64_t)count) < 0)
        return -1;
    return 0;
}

int database_migrate(struct database *database, const char *subsystem, const char *const *steps,
                     size_t count, struct error *err)
{
    bool has_changed;

    if (database_begin(database, DURABLE, err) < 0)
        return -1;
    if (run_steps(database, subsystem, steps, count, &has_changed, err) < 0) {
        database_rollback(database);
        return error_context(err, "bring tables of %s up to date", subsystem);
    }
    if (has_changed)
        return database_commit(database, err);
    database_rollback(database); /* without a wait for the disk */
    return 0;
}

/* ---- queries ---- */

static struct connection *take_reader(struct database *database, struct error *err)
{
    struct connection *reader = NULL;

    mutex_lock(&database->lock);
    if (database->idle_count)
        reader = database->idle_readers[--database->idle_count];
    mutex_unlock(&database->lock);
    if (!reader && connection_open(database->path, false, READER_CACHE_KIB, &reader, err) < 0)
        return NULL;
    return reader;
}

static void give_reader_back(struct database *database, struct connection *reader)
{
    mutex_lock(&database->lock);
    if (database->idle_count < IDLE_READER_LIMIT)
        database->idle_readers[database->idle_count++] = TAKE(reader);
    mutex_unlock(&database->lock);
    connection_close(reader);
}

int database_query(struct database *database, struct query **out, struct error *err,
                   const char *sql, const char *types, ...)
{
    CLEANUP(query_close) struct query *query = NEW(struct query);
    va_list arguments;

    query->database = database;
    query->connection = holds_writer(database) ? database->writer : take_reader(database, err);
    if (!query->connection)
        return -1;
    query->statement = connection_prepare(query->connection, sql, err);
    if (!query->statement)
        return -1;
    va_start(arguments, types);
    int result = statement_bind(query->statement, types, arguments, err);
    va_end(arguments);
    if (result < 0)
        return -1;
    *out = TAKE(query);
    return 0;
}

int query_next(struct query *query, struct error *err)
{
    return statement_step(query->statement, err);
}

const char *query_text(const struct query *query, int column)
{
    return statement_text(query->statement, column);
}

int64_t query_int64(const struct query *query, int column)
{
    return statement_int64(query->statement, column);
}

const void *query_bytes(const struct query *query, int column, size_t *out_size)
{
    return statement_bytes(query->statement, column, out_size);
}

void query_close(struct query *query)
{
    if (!query)
        return;
    if (query->statement)
        connection_give_back(query->connection, query->statement);
    if (query->connection && query->connection != query->database->writer)
        give_reader_back(query->database, query->connection);
    free(query);
}
