/* What a key of a compose file may hold. The tables (schema.c) say it once: loading checks and
 * completes trees by them, merging asks them how two values become one, printing takes their order.
 */
#ifndef BERTH_COMPOSE_FIELD_H
#define BERTH_COMPOSE_FIELD_H

#include "base/error.h"
#include "codec/yaml.h"
#include "compose/spot.h"

enum field_type {
    FIELD_TEXT,   /* a text, nothing else */
    FIELD_SCALAR, /* any scalar, kept as a text */
    FIELD_BOOL,   /* true, or a text that means it */
    FIELD_INTEGER,
    FIELD_NUMBER,       /* with a fraction */
    FIELD_SIZE,         /* "64m" or bytes; kept as the text of a number */
    FIELD_DURATION,     /* "1m30s"; kept as Go writes it */
    FIELD_MODE,         /* of a file: 0440 or "0440"; kept as a text */
    FIELD_COMMAND,      /* a list of texts, or a text that is split as a shell does */
    FIELD_TEXTS,        /* a list of scalars, kept as texts */
    FIELD_TEXT_OR_LIST, /* the same; one alone may stand without a list */
    FIELD_PAIRS,        /* {k: v} or ["k=v"]; kept as a dict of texts */
    FIELD_ENVIRONMENT,  /* the same, where a key without a value stays null */
    FIELD_OBJECT,       /* of 'fields' */
    FIELD_OBJECTS,      /* a list of them */
    FIELD_MAP,          /* {name: object} */
    FIELD_LIMITS,       /* {name: n | {soft, hard}}; 'expand' checks it */
    FIELD_ANY,          /* whatever 'expand' lets through */
};

struct field {
    const char *name; /* NULL ends the table */
    enum field_type type;
    const struct field *fields; /* OBJECT, OBJECTS, MAP */
    /* Turns the short form into the long one, in place, before the type is checked. */
    int (*expand)(struct yaml *node, const struct spot *spot, struct error *err);
    /* OBJECTS: what two elements have in common when the later one takes the place of the earlier
     * (yours); NULL: lists are joined. */
    char *(*identity)(const struct yaml *item);
    const char *choices; /* TEXT: "a|b|c", nothing else */
    const char *pattern; /* TEXT: the whole of it matches */
    int least, most;     /* INTEGER, NUMBER; both 0: any; SIZE: 'least' alone, if 'most' is set */
    bool is_required;    /* in its object */
    bool is_unique;      /* TEXTS: no two the same */
    bool takes_numbers;  /* TEXTS: 80 as well as "80" */
    bool replaces;       /* when files are merged the later value wins whole */
    bool keeps_zero; /* false, 0 and "" are shown in the canonical form; elsewhere they say nothing
                      */
};

/* Row of a key; NULL if there is none. */
const struct field *field_find(const struct field *fields, const char *name);

/* Checks the tree below 'node' against its row, completing short forms and casting texts (of
 * variables) to what the row wants. null is let through anywhere. Unknown keys are INVALID, with a
 * suggestion; those that begin with "x-" are left alone. */
int field_apply(const struct field *field, struct yaml *node, const struct spot *spot,
                struct error *err);

/* Puts the keys below 'node' into the order of the tables, maps and extensions by name, and leaves
 * out what says nothing: zeros and empty lists. */
void field_order(const struct field *field, struct yaml *node);

/* The whole file. */
extern const struct field field_file;
/* One of each. */
extern const struct field field_service, field_network, field_volume;

#endif
