/* .env files: KEY=VALUE lines, "export " allowed in front, comments, single quotes literal, double
 * quotes with escapes and variables, values over several lines inside quotes. */
#ifndef BERTH_COMPOSE_DOTENV_H
#define BERTH_COMPOSE_DOTENV_H

#include "base/error.h"
#include "base/map.h"
#include "compose/variable.h"

#define DOTENV_SIZE_LIMIT ((size_t)4 << 20)

/* Adds what the text says to 'out' (texts); later lines win. Values may use what 'source' knows
 * and, after that, earlier lines. A key alone takes the value of 'source', or is left out. INVALID
 * "unexpected character … in variable name". */
int dotenv_parse(const char *text, const struct variable_source *source, struct map *out,
                 struct error *err);

/* The raw form: KEY=VALUE lines as they are. */
int dotenv_parse_raw(const char *text, struct map *out, struct error *err);

#endif
