/* How results are printed: tables, JSON, Go templates. */
#ifndef BERTH_CLI_FORMAT_H
#define BERTH_CLI_FORMAT_H

#include <stdbool.h>

#include "base/error.h"
#include "codec/json.h"
#include "codec/template.h"

/* A column that a list knows: its key in the row's object, and its heading. */
struct format_column {
    const char *key, *heading;
};

/* Prints rows (each a JSON object of texts) by 'format': NULL or "table": the default columns
 * ('default_keys': words separated by blanks); "table TEMPLATE"; "json": an object per line; else a
 * template per row. The template's {{.Label "x"}} looks into the row's "Labels" text. */
int format_rows(const char *format, const char *default_keys, const struct format_column *columns,
                struct json *const *rows, size_t count, struct error *err);

/* The format, or 'raw' where it is that word: a list spelled out, of those that have such a form.
 */
const char *format_or_raw(const char *format, const char *raw);

/* Prints one document by a template ("json": compact JSON; NULL: nothing). */
int format_document(const char *format, const struct json *document, struct error *err);

/* For building rows. */
struct row {
    struct str text;
    struct json_writer writer;
};
void row_begin(struct row *row);
void row_add(struct row *row, const char *key, const char *value);
struct json *row_finish(struct row *row);

/* "3 hours ago" from seconds since 1970; "N/A" from the year 1. */
char *format_ago(int64_t created_s);
/* "2006-01-02 15:04:05 +0000 UTC" in the local zone, as Docker prints CreatedAt. */
char *format_local_time(int64_t created_s);
/* "2006-01-02T15:04:05Z", or with the local zone in place of "Z". */
char *format_local_rfc3339(int64_t created_s);
/* Cuts to 'length' characters, the last one "…". */
char *format_truncate(const char *text, size_t length);
/* "k=v,k2=v2" of an object of texts. */
char *format_labels(const struct json *labels);
/* First twelve digits of an id, "sha256:" left out. */
char *format_short_id(const char *id);

#endif
