/* The patterns of ${name#pattern} and its relatives: '*' is any text, '?' one character, '\'
 * protects the next one. Time grows with the text times the pattern, whatever they hold. */
#ifndef BERTH_BUILD_GLOB_H
#define BERTH_BUILD_GLOB_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum glob_part {
    GLOB_PREFIX, /* cut off what matches at the start */
    GLOB_SUFFIX, /* … at the end */
};

/* Adds 'text' to 'out' without its longest or shortest part that matches. INVALID for a pattern
 * with a wrong escape. */
int glob_trim(const char *pattern, const char *text, enum glob_part part, bool longest,
              struct str *out, struct error *err);

/* Adds 'text' with the first match, or all, replaced. */
int glob_replace(const char *pattern, const char *text, const char *replacement, bool all,
                 struct str *out, struct error *err);

#endif
