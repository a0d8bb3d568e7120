/* sqlite_writer DATABASE NAME: a row with the name and a number, again and again, each in a
 * transaction of its own; the number is printed when it is on disk. */
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define WAIT_MS  60000 /* for the other writers */
#define PAUSE_US 5000

static int fail(sqlite3 *database)
{
    fprintf(stderr, "%s\n", sqlite3_errmsg(database));
    return 1;
}

int main(int argc, char **argv)
{
    sqlite3 *database;
    sqlite3_stmt *insert;

    if (argc != 3)
        return 2;
    if (sqlite3_open(argv[1], &database) != SQLITE_OK)
        return fail(database);
    sqlite3_busy_timeout(database, WAIT_MS);
    if (sqlite3_exec(database,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE IF NOT EXISTS row (name TEXT, number INTEGER)",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(database,
                           "INSERT INTO row SELECT ?1, ifnull(max(number), 0) + 1 FROM row"
                           " WHERE name = ?1 RETURNING number",
                           -1, &insert, NULL) != SQLITE_OK)
        return fail(database);
    sqlite3_bind_text(insert, 1, argv[2], -1, SQLITE_STATIC);
    for (;;) {
        if (sqlite3_step(insert) != SQLITE_ROW)
            return fail(database);
        int number = sqlite3_column_int(insert, 0);
        if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
            return fail(database);
        printf("%d\n", number);
        fflush(stdout);
        usleep(PAUSE_US);
    }
}
