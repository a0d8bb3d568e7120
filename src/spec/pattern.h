/* Patterns of file names: Go's filepath.Match, which COPY and ADD use for each component. */
#ifndef BERTH_SPEC_PATTERN_H
#define BERTH_SPEC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* '*' matches any text and '?' one character, both without '/'; '[a-z]' and '[^a-z]' one of a
 * class; '\' protects. INVALID "syntax error in pattern" for a pattern that is wrong anywhere. */
int pattern_match(const char *pattern, const char *name, bool *out, struct error *err);

bool pattern_has_wildcard(const char *pattern);

/* The pattern as a plain name, when it has no wildcard: without the protecting '\'. */
char *pattern_plain(const char *pattern);

/* One character class at 'pattern' (its '['): gives its end and whether 'rune' is in it; false as
 * result for a syntax error. */
bool pattern_class(const char *pattern, const char **out_end, unsigned rune, bool *out_matches);

/* One UTF-8 character (a wrong byte counts as one) and its size in bytes. */
unsigned pattern_rune(const char *text, size_t *out_size);

#endif
