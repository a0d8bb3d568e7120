/* Regular expressions out of strangers' hands (PCRE2). What an expression may cost is bounded: its
 * length, its compiled size, and the steps and memory of each match. The syntax is Perl's, of which
 * Go's is nearly a subset; back references, which Go has not, are refused. */
#ifndef BERTH_CODEC_REGEX_H
#define BERTH_CODEC_REGEX_H

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"

enum {
    REGEX_LENGTH_LIMIT = 512,   /* bytes of an expression */
    REGEX_MATCH_LIMIT = 100000, /* steps of one match */
    REGEX_HEAP_LIMIT_KIB = 1024 /* memory of one match */
};

struct regex;

/* NULL and INVALID if 'pattern' is no expression, or one that is too large. */
struct regex *regex_new(const char *pattern, struct error *err);
/* True if 'text' holds a match anywhere; a match that would cost more than the limits is none. */
bool regex_matches(const struct regex *regex, const char *text);
void regex_free(struct regex *regex);
CLEANUP_POINTER(regex_free, struct regex)

#endif
