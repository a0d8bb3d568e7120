/* Words of a Dockerfile: quotes, escapes, and variables in all forms ($NAME, ${NAME:-word} …), as
 * the reference frontend reads them (not a shell: no field splitting, no commands). */
#ifndef BERTH_BUILD_EXPAND_H
#define BERTH_BUILD_EXPAND_H

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"

/* What one expansion may grow to: "ENV A=$A$A" doubles with each line. */
#define EXPAND_SIZE_LIMIT  ((size_t)1 << 20)
#define EXPAND_DEPTH_LIMIT 50

enum expand_flags {
    EXPAND_RAW_QUOTES = 1,   /* keep quotes */
    EXPAND_RAW_ESCAPES = 2,  /* keep escape characters */
    EXPAND_KEEP_UNSET = 4,   /* keep "$NAME" for variables that are not set */
    EXPAND_PLAIN_QUOTES = 8, /* quotes are letters like others */
};

struct expander {
    char escape;                    /* '\\' or '`' */
    unsigned flags;                 /* enum expand_flags */
    const struct strv *environment; /* NAME=value, the last one counts; NULL: none */
};

/* One word, blanks kept. INVALID with 'failed to process "…": …'. */
int expand_word(const struct expander *expander, const char *text, struct str *out,
                struct error *err);

/* Splits into words after the expansion; quoted blanks do not split. Adds to 'out'. */
int expand_words(const struct expander *expander, const char *text, struct strv *out,
                 struct error *err);

#endif
