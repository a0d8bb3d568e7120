/* Splitting a command into words, as a shell does. */
#ifndef BERTH_COMPOSE_WORDS_H
#define BERTH_COMPOSE_WORDS_H

#include "base/error.h"
#include "base/strv.h"

/* Blanks separate; single quotes keep everything, double quotes all but \" and \\, a backslash the
 * next character. INVALID if a quote stays open. */
int words_split(const char *text, struct strv *out, struct error *err);

#endif
