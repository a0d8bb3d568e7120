/* Options of commands as tables, parsed the way Docker's command line does (GNU long options, --x=v
 * or --x v, combined short ones, "-p80:80", "--" ends, booleans take a value only with '='). */
#ifndef BERTH_CLI_OPTION_H
#define BERTH_CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"
#include "codec/json.h"

enum option_type {
    OPTION_BOOL,             /* bool */
    OPTION_TEXT,             /* const char *, borrowed from argv */
    OPTION_LIST,             /* struct strv; repeatable */
    OPTION_INTEGER,          /* struct optional_int64 */
    OPTION_BYTES,            /* struct optional_int64; "64m"; "-1" allowed */
    OPTION_DECIMAL,          /* struct optional_int64, in 1e-9: --cpus 1.5 */
    OPTION_DURATION,         /* struct optional_int64 in ns */
    OPTION_UNSUPPORTED,      /* known to Docker, refused here with its name; 'help' may say why */
    OPTION_UNSUPPORTED_FLAG, /* the same, takes no value */
};

struct option_row {
    char letter; /* 0: none */
    const char *name;
    enum option_type type;
    size_t offset;
    const char *help;
    bool initially_true; /* OPTION_BOOL */
    bool is_hidden;      /* another spelling of the row before */
    bool is_inherited;   /* OPTION_BOOL of a group: may stand behind its commands, too */
    int (*check)(const char *value,
                 struct error *err); /* OPTION_LIST: of each; NULL: any will do */
};

/* Parses 'arguments' into the zeroed struct 'out'; what is no option is added to 'rest' (borrowed
 * texts are copied). With 'stops_early' the first positional ends the options. A value that is
 * malformed is INVALID with Docker's words
 * ("unknown flag: --foo", "unknown shorthand flag: 'x' in -x", "flag needs an argument: --foo"). */
int options_parse(const struct option_row *rows, char *const *arguments, bool stops_early,
                  void *out, struct strv *rest, bool *out_wants_help, struct error *err);

/* A row by its name, of which 'length' characters count, or its letter; NULL if there is none. */
const struct option_row *option_of_name(const struct option_row *rows, const char *name,
                                        size_t length);
const struct option_row *option_of_letter(const struct option_row *rows, char letter);
bool option_takes_value(const struct option_row *row);

/* The lines of a help text, sorted by name. */
void options_help(const struct option_row *rows, struct str *out);

/* Frees the lists in 'out'. */
void options_done(const struct option_row *rows, void *out);

#endif
