/* One connection to SQLite with the statements it has prepared. Used by one thread at a time; the
 * only place that sees SQLite's types. */
#ifndef BERTH_RECORD_CONNECTION_H
#define BERTH_RECORD_CONNECTION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct connection;
struct statement;

/* 'cache_kib' bounds the memory for pages. */
int connection_open(const char *path, bool writes, int cache_kib, struct connection **out,
                    struct error *err);
void connection_close(struct connection *connection);
CLEANUP_POINTER(connection_close, struct connection)

/* Statements separated by ';', without arguments or rows. */
int connection_execute(struct connection *connection, const char *sql, struct error *err);
int64_t connection_changes(const struct connection *connection); /* rows of the last statement */

/* A statement ready to bind: kept from the last time if it is not in use. Give it back afterwards.
 */
struct statement *connection_prepare(struct connection *connection, const char *sql,
                                     struct error *err);
void connection_give_back(struct connection *connection, struct statement *statement);

/* 'types' and arguments as database_run has them. */
int statement_bind(struct statement *statement, const char *types, va_list arguments,
                   struct error *err);
int statement_step(struct statement *statement, struct error *err); /* 1: a row, 0: done */
const char *statement_text(const struct statement *statement, int column);
int64_t statement_int64(const struct statement *statement, int column);
const void *statement_bytes(const struct statement *statement, int column, size_t *out_size);

#endif
