#include "record/database.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/thread.h"

static char directory[] = "/tmp/berth-record-XXXXXX";
static char path[64];
static struct database *database;
static struct error err;

static const char *const steps[] = {
    "CREATE TABLE thing (name TEXT PRIMARY KEY, size INTEGER, data BLOB)",
    "ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'",
};

static void set_up(void)
{
    cr_assert(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/record.db", directory);
    cr_assert_eq(database_open(path, &database, &err), 0, "%s", err.text);
    cr_assert_eq(database_migrate(database, "things", steps, COUNT(steps), &err), 0, "%s",
                 err.text);
}

static void tear_down(void)
{
    database_close(database);
    cr_assert_eq(tree_remove(directory, &err), 0, "%s", err.text);
}

TestSuite(database, .init = set_up, .fini = tear_down);

static int64_t count_things(void)
{
    CLEANUP(query_close) struct query *query = NULL;

    cr_assert_eq(database_query(database, &query, &err, "SELECT count(*) FROM thing", NULL), 0,
                 "%s", err.text);
    cr_assert_eq(query_next(query, &err), 1);
    return query_int64(query, 0);
}

static int64_t add_thing(const char *name)
{
    return database_run(database, &err, "INSERT INTO thing (name) VALUES (?)", "s", name);
}

static off_t log_size(void)
{
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    struct stat status;

    cr_assert_eq(stat(log_path, &status), 0);
    return status.st_size;
}

/* What a crash leaves: the files as they are. */
static void copy_files(const char *copy_path)
{
    static const char *const endings[] = { "", "-wal" };

    for (size_t i = 0; i < COUNT(endings); i++) {
        CLEANUP(free) char *from = xasprintf("%s%s", path, endings[i]);
        CLEANUP(free) char *to = xasprintf("%s%s", copy_path, endings[i]);
        CLEANUP(str_done) struct str content = {};

        cr_assert_eq(file_read(from, 16 << 20, &content, &err), 0, "%s", err.text);
        cr_assert_eq(file_write_atomic(to, content.data, content.length, 0600, false, &err), 0);
    }
}

Test(database, writes_in_place_into_its_log)
{
    CLEANUP(free) char *copy_path = xasprintf("%s/copy.db", directory);
    off_t size = log_size();

    cr_assert_geq(size, 1 << 20);
    for (int i = 0; i < 20; i++) {
        CLEANUP(free) char *name = xasprintf("thing %d", i);

        cr_assert_eq(add_thing(name), 1);
    }
    cr_expect_eq(log_size(), size);
    copy_files(copy_path);

    database_close(database);
    cr_assert_eq(database_open(copy_path, &database, &err), 0, "%s", err.text);
    cr_expect_eq(count_things(), 20);
    cr_assert_eq(add_thing("one more"), 1);
    cr_expect_eq(count_things(), 21);
}

Test(database, keeps_what_was_written)
{
    CLEANUP(query_close) struct query *query = NULL;

    cr_assert_eq(database_run(database, &err, "INSERT INTO thing VALUES (?, ?, ?, 'red')", "sib",
                              "ä", INT64_MAX, "a\0b", (size_t)3),
                 1, "%s", err.text);
    database_close(database);
    cr_assert_eq(database_open(path, &database, &err), 0, "%s", err.text);
    cr_assert_eq(database_query(database, &query, &err,
                                "SELECT name, size, hex(data), NULL FROM thing WHERE size = ?", "i",
                                INT64_MAX),
                 0);
    cr_assert_eq(query_next(query, &err), 1, "%s", err.text);
    cr_expect_str_eq(query_text(query, 0), "ä");
    cr_expect_eq(query_int64(query, 1), INT64_MAX);
    cr_expect_str_eq(query_text(query, 2), "610062");
    cr_expect_null(query_text(query, 3));
    cr_expect_eq(query_next(query, &err), 0);
}

Test(database, rolls_back)
{
    cr_assert_eq(database_begin(database, DURABLE, &err), 0);
    cr_assert_eq(add_thing("a"), 1);
    cr_expect_eq(count_things(), 1, "a transaction sees what it wrote");
    database_rollback(database);
    cr_expect_eq(count_things(), 0);
}

Test(database, tells_conflicts_from_mistakes)
{
    cr_assert_eq(add_thing("a"), 1);
    cr_expect_eq(add_thing("a"), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    cr_expect_eq(database_run(database, &err, "INSERT INTO nothing VALUES (1)", NULL), -1);
    cr_expect_eq(err.kind, ERROR_INTERNAL);
    cr_expect_eq(database_run(database, &err, "DELETE FROM thing WHERE name = ?", NULL), -1);
    cr_expect_eq(count_things(), 1);
}

Test(database, runs_each_step_once)
{
    static const char *const later[] = {
        "CREATE TABLE thing (name TEXT)",
        "this is not looked at again",
        "CREATE TABLE other (name TEXT)",
    };

    cr_assert_eq(database_migrate(database, "things", later, COUNT(later), &err), 0, "%s",
                 err.text);
    cr_expect_eq(database_run(database, &err, "INSERT INTO other VALUES ('x')", NULL), 1);
    cr_expect_eq(database_migrate(database, "things", later, 1, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
}

/* So that constraints can be changed. */
Test(database, a_later_step_may_write_a_table_anew)
{
    static const char *const later[] = {
        "CREATE TABLE thing (name TEXT)",
        "is done",
        ("CREATE TABLE thing_ (name TEXT NOT NULL); INSERT INTO thing_ SELECT name FROM thing;"
         "DROP TABLE thing; ALTER TABLE thing_ RENAME TO thing"),
    };

    cr_assert_eq(add_thing("a"), 1, "%s", err.text);
    cr_assert_eq(database_migrate(database, "things", later, COUNT(later), &err), 0, "%s",
                 err.text);
    cr_expect_eq(count_things(), 1);
}

Test(database, leaves_no_trace_of_a_failed_step)
{
    static const char *const broken[] = { "CREATE TABLE half (name TEXT)", "CREATE TABEL typo" };

    cr_expect_eq(database_migrate(database, "broken", broken, COUNT(broken), &err), -1);
    cr_expect_eq(database_run(database, &err, "INSERT INTO half VALUES ('x')", NULL), -1);
    cr_expect_eq(add_thing("a"), 1, "the writer is free again: %s", err.text);
}

Test(database, belongs_to_its_owner_alone)
{
    struct stat status;

    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
}

static atomic_int failures;

static void *add_many(void *data)
{
    struct error mine = {};

    for (int i = 0; i < 50; i++) {
        char name[32];

        snprintf(name, sizeof(name), "%s-%d", (const char *)data, i);
        if (database_begin(database, i % 10 ? RELAXED : DURABLE, &mine) < 0 ||
            database_run(database, &mine, "INSERT INTO thing (name) VALUES (?)", "s", name) != 1 ||
            database_commit(database, &mine) < 0)
            failures++;
    }
    return NULL;
}

static void *read_many(void *data)
{
    int64_t before = 0;

    for (int i = 0; i < 100; i++) {
        CLEANUP(query_close) struct query *query = NULL;
        struct error mine = {};

        if (database_query(database, &query, &mine, "SELECT count(*) FROM thing", NULL) < 0 ||
            query_next(query, &mine) != 1 || query_int64(query, 0) < before)
            failures++;
        else
            before = query_int64(query, 0);
    }
    return data;
}

Test(database, serves_many_threads)
{
    pthread_t threads[8];

    for (size_t i = 0; i < COUNT(threads); i++) {
        static const char *const names[] = { "a", "b", "c", "d" };

        cr_assert_eq(thread_start("test", i % 2 ? add_many : read_many, (void *)names[i / 2],
                                  &threads[i], &err),
                     0);
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(failures, 0);
    cr_expect_eq(count_things(), 200);
}

Test(database, reads_while_a_transaction_is_open)
{
    pthread_t reader;

    cr_assert_eq(database_begin(database, RELAXED, &err), 0);
    cr_assert_eq(add_thing("a"), 1);
    cr_assert_eq(thread_start("test", read_many, NULL, &reader, &err), 0);
    pthread_join(reader, NULL);
    cr_assert_eq(database_commit(database, &err), 0);
    cr_expect_eq(failures, 0);
}

/* Whoever leaves last takes SQLite's log away: a second process must see that it is not the last.
 */
Test(database, stays_whole_when_another_process_looks_in)
{
    char program[256], python[] = "/usr/bin/python3", option[] = "-c";
    char *arguments[] = { python, option, program, NULL };
    struct process_options options = { .path = python, .arguments = arguments };
    pid_t pid;
    int code;

    snprintf(
        program, sizeof(program),
        "import sqlite3; c = sqlite3.connect('%s'); c.execute('SELECT * FROM thing').fetchall();"
        "c.close()",
        path);
    cr_assert_eq(add_thing("a"), 1);
    cr_assert_eq(process_spawn(&options, &pid, &err), 0, "%s", err.text);
    cr_assert_eq(process_wait(pid, &code, &err), 0, "%s", err.text);
    cr_assert_eq(code, 0);
    cr_expect_eq(add_thing("b"), 1, "%s", err.text);
    cr_expect_eq(count_things(), 2);
}

Test(database, runs_a_statement_alone)
{
    const char *sql = "INSERT INTO thing VALUES (?, 1, NULL, 'red')";

    cr_expect_eq(database_run_alone(database, DURABLE, &err, sql, "s", "a"), 1, "%s", err.text);
    cr_expect_eq(database_run_alone(database, DURABLE, &err, sql, "s", "a"), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    cr_expect_eq(database_run_alone(database, RELAXED, &err, sql, "s", "b"), 1, "%s", err.text);
    cr_assert_eq(database_begin(database, DURABLE, &err), 0);
    database_rollback(database);
    cr_expect_eq(count_things(), 2);
}

Test(database, gives_bytes_back)
{
    CLEANUP(query_close) struct query *query = NULL;
    size_t size = 0;

    cr_assert_eq(database_run(database, &err, "INSERT INTO thing VALUES ('x', 1, ?, 'red')", "b",
                              "a\0b", (size_t)3),
                 1, "%s", err.text);
    cr_assert_eq(database_query(database, &query, &err, "SELECT data FROM thing", NULL), 0);
    cr_assert_eq(query_next(query, &err), 1);
    const void *bytes = query_bytes(query, 0, &size);
    cr_expect_eq(size, 3);
    cr_expect_eq(memcmp(bytes, "a\0b", 3), 0);
}
