/* Reading numbers, sizes and switches from text, and asking simple things of text. */
#ifndef BERTH_BASE_TEXT_H
#define BERTH_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Decimal, the whole text, within [low, high]; INVALID otherwise. */
int parse_int64(const char *text, int64_t low, int64_t high, int64_t *out, struct error *err);

/* "1k" "64m" "1.5g" "10GiB" "512b" "7": units are powers of 1024 as Docker's command line reads
 * them; not negative. */
int parse_size(const char *text, int64_t *out_bytes, struct error *err);

bool text_is_empty(const char *text);          /* NULL or "" */
bool text_equal(const char *a, const char *b); /* NULL equals NULL only */
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
/* How many characters must be added, removed or changed (case does not matter) to make one of
 * the other: for "did you mean". Of 'b' only the
 * first 63 characters are looked at. */
size_t text_distance(const char *a, const char *b);
/* Negative, 0 or positive like strcmp, but runs of digits count as numbers ("a9" before "a10",
 * digits before all else; of equal numbers the one with fewer leading zeros first): the order in
 * which Docker's command line lists names. */
int text_compare_natural(const char *a, const char *b);
bool text_is_hex(const char *text, size_t length); /* exactly 'length' lower-case hex digits */

/* Go's ParseBool: 1 t T true TRUE True, and the like for false. False for anything else. */
bool text_parse_bool(const char *text, bool *out);

/* Docker's way of saying "on" in a query: "", "0", "no", "false", "none" (any case, trimmed) are
 * off, all else is on. */
bool text_is_true(const char *text);

/* An ASCII letter of that case in it. */
bool text_has_upper(const char *text);
bool text_has_lower(const char *text);
void text_lower(char *text); /* Its ASCII letters become lower-case ones, in place. */

/* 1.23MB style: decimal units, three significant digits, as `docker images` prints ("0B", "532B",
 * "1.98MB"). */
char *text_human_size(int64_t bytes);
/* 1.234MB style: four digits, as `docker system df` prints sums. */
char *text_human_size_long(int64_t bytes);
/* 12.5MiB style: binary units, as `docker stats` prints. */
char *text_human_size_binary(int64_t bytes);

/* Writes a 64-digit random lower-case hex id whose first twelve digits are not all decimal. */
#define ID_LENGTH       64
#define SHORT_ID_LENGTH 12
void id_generate(char out[ID_LENGTH + 1]);

/* Lower-case hex of bytes; 'out' has 2 * size + 1 bytes. */
void hex_encode(const void *bytes, size_t size, char *out);

#endif
