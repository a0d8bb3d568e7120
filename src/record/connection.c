/* SQLite, tamed: small caches, no mapping of files, prepared statements in a short list whose last
 * used ones stay. */
#include "record/connection.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/memory.h"

#include "base/banned.h"

#define STATEMENT_LIMIT 48 /* idle ones that are kept */
#define BUSY_TIMEOUT_MS 10000

struct statement {
    struct list list;
    char *sql;
    sqlite3_stmt *handle;
};

struct connection {
    sqlite3 *handle;
    struct list idle; /* least recently used first */
    size_t idle_count;
};

static int tell(sqlite3 *handle, int code, const char *sql, struct error *err)
{
    enum error_kind kind = ERROR_INTERNAL;

    if ((code & 0xff) == SQLITE_CONSTRAINT)
        kind = ERROR_CONFLICT;
    else if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_FULL)
        kind = ERROR_UNAVAILABLE;
    return error_set(err, kind, "record: %s (%.60s)",
                     handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code), sql);
}

static void start_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

int connection_open(const char *path, bool writes, int cache_kib, struct connection **out,
                    struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLEANUP(connection_close) struct connection *connection = NEW(struct connection);
    char settings[160];

    pthread_once(&once, start_library);
    list_init(&connection->idle);
    int code = sqlite3_open_v2(path, &connection->handle,
                               (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                                   SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               NULL);
    if (code != SQLITE_OK)
        return tell(connection->handle, code, "open", err);
    sqlite3_busy_timeout(connection->handle, BUSY_TIMEOUT_MS);
    sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, 256, 64);
    snprintf(settings, sizeof(settings),
             "PRAGMA cache_size=-%d; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY", cache_kib);
    if (connection_execute(connection, settings, err) < 0)
        return -1;
    *out = TAKE(connection);
    return 0;
}

static void statement_free(struct statement *statement)
{
    sqlite3_finalize(statement->handle);
    free(statement->sql);
    free(statement);
}

void connection_close(struct connection *connection)
{
    if (!connection)
        return;
    LIST_EACH (&connection->idle, struct statement, list, statement) {
        list_remove(&statement->list);
        statement_free(statement);
    }
    sqlite3_close_v2(connection->handle);
    free(connection);
}

int connection_execute(struct connection *connection, const char *sql, struct error *err)
{
    int code = sqlite3_exec(connection->handle, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : tell(connection->handle, code, sql, err);
}

int64_t connection_changes(const struct connection *connection)
{
    return sqlite3_changes64(connection->handle);
}

struct statement *connection_prepare(struct connection *connection, const char *sql,
                                     struct error *err)
{
    LIST_EACH (&connection->idle, struct statement, list, kept) {
        if (strcmp(kept->sql, sql) != 0)
            continue;
        list_remove(&kept->list);
        connection->idle_count--;
        return kept;
    }
    sqlite3_stmt *handle;
    int code = sqlite3_prepare_v3(connection->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle,
                                  NULL);
    if (code != SQLITE_OK) {
        tell(connection->handle, code, sql, err);
        return NULL;
    }
    struct statement *statement = NEW(struct statement);
    list_init(&statement->list);
    statement->sql = xstrdup(sql);
    statement->handle = handle;
    return statement;
}

void connection_give_back(struct connection *connection, struct statement *statement)
{
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);
    list_add(&connection->idle, &statement->list);
    if (++connection->idle_count <= STATEMENT_LIMIT)
        return;
    struct statement *oldest = CONTAINER_OF(connection->idle.next, struct statement, list);
    list_remove(&oldest->list);
    connection->idle_count--;
    statement_free(oldest);
}

static int bind_one(sqlite3_stmt *handle, int index, char type, va_list *arguments)
{
    if (type == 'i')
        return sqlite3_bind_int64(handle, index, va_arg(*arguments, int64_t));
    if (type == 's')
        return sqlite3_bind_text(handle, index, va_arg(*arguments, const char *), -1,
                                 SQLITE_TRANSIENT);
    if (type == 'b') {
        const void *data = va_arg(*arguments, const void *);
        size_t size = va_arg(*arguments, size_t);

        return sqlite3_bind_blob64(handle, index, data, size, SQLITE_TRANSIENT);
    }
    return SQLITE_MISUSE;
}

int statement_bind(struct statement *statement, const char *types, va_list arguments,
                   struct error *err)
{
    int wanted = sqlite3_bind_parameter_count(statement->handle);
    int given = types ? (int)strlen(types) : 0;
    int result = 0;
    va_list rest;

    if (wanted != given)
        return error_set(err, ERROR_INTERNAL, "record: %d arguments instead of %d (%.60s)", given,
                         wanted, statement->sql);
    va_copy(rest, arguments);
    for (int i = 0; i < given && result == 0; i++) {
        int code = bind_one(statement->handle, i + 1, types[i], &rest);

        if (code != SQLITE_OK)
            result = tell(NULL, code, statement->sql, err);
    }
    va_end(rest);
    return result;
}

int statement_step(struct statement *statement, struct error *err)
{
    int code = sqlite3_step(statement->handle);

    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    return tell(sqlite3_db_handle(statement->handle), code, statement->sql, err);
}

const char *statement_text(const struct statement *statement, int column)
{
    return (const char *)sqlite3_column_text(statement->handle, column);
}

int64_t statement_int64(const struct statement *statement, int column)
{
    return sqlite3_column_int64(statement->handle, column);
}

const void *statement_bytes(const struct statement *statement, int column, size_t *out_size)
{
    const void *bytes = sqlite3_column_blob(statement->handle, column);

    *out_size = (size_t)sqlite3_column_bytes(statement->handle, column);
    return bytes;
}
