/* One line of a json-file log, written and read:
 *   {"log":"text\n","stream":"stdout","attrs":{…},"time":"2026-01-02T03:04:05.678Z"}
 * with escapes as the Docker engine has them: < > & and control characters as \u00XX (\n and \r
 * short), U+2028 and U+2029 escaped, each byte that is no UTF-8 as \ufffd. */
#ifndef BERTH_SHIM_LOG_LINE_H
#define BERTH_SHIM_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "shim/log_read.h"

#define LOG_TEXT_LIMIT   ((size_t)16 * 1024) /* bytes of output in one entry */
#define LOG_ESCAPED_SIZE 6                   /* bytes that one byte becomes at most */
#define LOG_LINE_START   "{\"log\":\""

/* Escapes bytes until 'size' of them are done or a '\n' is reached; gives the number of bytes read
 * (without the '\n') and moves *out behind what was written. *out has room for LOG_ESCAPED_SIZE *
 * size bytes, and for 16 more. */
size_t log_text_escape(const char *text, size_t size, char **out);

/* Where to cut 'size' bytes so that no character is torn apart: size, or up to three less. */
size_t log_text_cut(const char *text, size_t size);

/* Everything behind the text, from the closing quote to the newline. 'attributes' may be NULL. */
void log_line_end(struct str *out, bool is_stderr, const char *attributes, int64_t wall_ns);

/* Reads a line without its newline. False if it is no entry. 'text' and 'attributes' receive what
 * 'out' borrows. Unknown keys are skipped, order does not matter. */
bool log_line_decode(const char *line, size_t size, struct str *text, struct str *attributes,
                     struct log_entry *out);

#endif
