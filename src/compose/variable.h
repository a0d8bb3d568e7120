/* Variables in compose files and .env files: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default},
 * ${NAME:?error}, ${NAME?error},
 * ${NAME:+other}, ${NAME+other}, nested; "$$" is a "$". A "$" before anything else stays. */
#ifndef BERTH_COMPOSE_VARIABLE_H
#define BERTH_COMPOSE_VARIABLE_H

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"

/* What one text may become. Whoever expands many of them has a limit of its own for all. */
#define VARIABLE_SIZE_LIMIT     ((size_t)1 << 20)
#define VARIABLE_ALL_SIZE_LIMIT ((size_t)16 << 20)

struct variable_source {
    /* The value, or NULL if the variable is not set; borrowed. */
    const char *(*get)(void *data, const char *name);
    /* Called for a variable that is not set and has no default; NULL: nobody wants to know. */
    void (*missing)(void *data, const char *name);
    void *data;
};

/* Adds the expanded text to 'out'. INVALID for what grows beyond VARIABLE_SIZE_LIMIT, "required
 * variable X is missing a value: words" or, with 'out_is_malformed' set, "invalid interpolation
 * format". */
int variable_expand(const char *text, const struct variable_source *source, struct str *out,
                    bool *out_is_malformed, struct error *err);

/* A variable that a text uses, for `config --variables`. */
struct variable_use {
    char *name, *fallback, *alternative; /* NULL: none */
    bool is_required;
};
/* Calls 'each' for every use in the text, nested ones too; what it is handed is only lent. */
void variable_list(const char *text, void (*each)(void *data, const struct variable_use *use),
                   void *data);

#endif
