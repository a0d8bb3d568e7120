/* The record: one SQLite database (WAL) that says what exists. Each subsystem owns tables of its
 * own and keeps them here.
 *
 * Writers are serialised: database_begin waits for the one before. Readers never wait for writers
 * (a connection of their own per call, from a small pool). All functions may be called from any
 * thread. */
#ifndef BERTH_RECORD_DATABASE_H
#define BERTH_RECORD_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct database;

int database_open(const char *path, struct database **out, struct error *err);
void database_close(struct database *database);
CLEANUP_POINTER(database_close, struct database)

/* Brings a subsystem's tables up to date: runs steps[n…count-1] in one transaction, where n is how
 * many ran before (kept per 'subsystem'). Steps are only ever added. */
int database_migrate(struct database *database, const char *subsystem, const char *const *steps,
                     size_t count, struct error *err);

/* A transaction of the calling thread. DURABLE is on disk when commit returns (power cut); RELAXED
 * survives a crash of the process but perhaps not of the machine. Always end with commit or
 * rollback. */
enum durability { RELAXED, DURABLE };
int database_begin(struct database *database, enum durability durability, struct error *err);
int database_commit(struct database *database, struct error *err);
void database_rollback(struct database *database);

/* On a full disk a little room is kept for transactions that do not INSERT (record/reserve.h). */

/* Runs one statement. 'types' names the arguments behind it, one letter each: s (const char *, NULL
 * is null), i (int64_t), b (const void *, size_t). Outside a transaction it is one of its own
 * (RELAXED). CONFLICT on a violated constraint. Returns the number of changed rows. */
int64_t database_run(struct database *database, struct error *err, const char *sql,
                     const char *types, ...);

/* The same, always as a transaction of its own. */
int64_t database_run_alone(struct database *database, enum durability durability, struct error *err,
                           const char *sql, const char *types, ...);

/* A query; several may be open. Inside a transaction it sees what that wrote. */
struct query;
int database_query(struct database *database, struct query **out, struct error *err,
                   const char *sql, const char *types, ...);
int query_next(struct query *query, struct error *err); /* 1: a row, 0: no more */
const char *query_text(const struct query *query,
                       int column); /* NULL for null; borrowed until the next call */
int64_t query_int64(const struct query *query, int column);
/* Bytes as they were bound with 'b' (borrowed until the next call); NULL for null and for none. */
const void *query_bytes(const struct query *query, int column, size_t *out_size);
void query_close(struct query *query);
CLEANUP_POINTER(query_close, struct query)

#endif
