/* The language: one row per instruction of a Dockerfile, and an instruction as it stands in a file,
 * before any variable is expanded. */
#ifndef BERTH_BUILD_INSTRUCTION_H
#define BERTH_BUILD_INSTRUCTION_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strv.h"

enum instruction_type {
    INSTRUCTION_ADD,
    INSTRUCTION_ARG,
    INSTRUCTION_CMD,
    INSTRUCTION_COPY,
    INSTRUCTION_ENTRYPOINT,
    INSTRUCTION_ENV,
    INSTRUCTION_EXPOSE,
    INSTRUCTION_FROM,
    INSTRUCTION_HEALTHCHECK,
    INSTRUCTION_INCLUDE,
    INSTRUCTION_LABEL,
    INSTRUCTION_MAINTAINER,
    INSTRUCTION_ONBUILD,
    INSTRUCTION_RUN,
    INSTRUCTION_SHELL,
    INSTRUCTION_STOPSIGNAL,
    INSTRUCTION_USER,
    INSTRUCTION_VOLUME,
    INSTRUCTION_WORKDIR,
};

/* How the text behind the word and its flags is read. */
enum argument_form {
    FORM_WORDS, /* split at blanks */
    FORM_TEXT,  /* one argument: the rest of the line */
    FORM_NAMES, /* words with their quotes: ARG name[=value]… */
    FORM_PAIRS, /* key, value, key, value…: "k=v k=v" or "k rest of the line"; quotes are kept */
    FORM_COMMAND, /* a JSON list of texts, or one argument */
    FORM_LIST,    /* a JSON list of texts, or words */
    FORM_HEALTH,  /* a type, then FORM_COMMAND */
    FORM_TRIGGER, /* another instruction: its word and the rest of its line */
};

/* Which arguments have variables in them. */
enum argument_expansion {
    EXPAND_NOTHING,
    EXPAND_EACH,  /* each argument stays one argument */
    EXPAND_SPLIT, /* values with blanks become several */
};

struct flag_rule {
    const char *name; /* NULL ends the list */
    enum { FLAG_TEXT, FLAG_SWITCH, FLAG_REPEATED } type;
    bool is_refused; /* known to the language, not carried out */
};

struct config_change;

struct instruction_kind {
    const char *word;
    enum instruction_type type;
    enum argument_form form;
    size_t minimum, maximum; /* arguments */
    enum argument_expansion expansion;
    bool has_heredocs;
    const struct flag_rule *flags;
    /* Changes the configuration of the image; NULL for what is more than that (FROM, RUN, …). */
    int (*apply)(struct config_change *change, struct error *err);
};

/* The row of a word in any case, or NULL. */
const struct instruction_kind *instruction_kind_find(const char *word);

struct heredoc {
    char *name, *content;
    bool expand;      /* its name was not quoted */
    bool strips_tabs; /* <<- */
};

struct instruction {
    const struct instruction_kind *kind; /* NULL: the word is unknown (instruction_check says so) */
    char *word;                          /* as written */
    int line, last_line;                 /* counted from 1 */
    char *text;        /* continued lines joined, comments dropped: what "Step" shows */
    struct strv flags; /* "from=x" without the dashes; a switch without value has no '=' */
    struct strv arguments;
    bool is_json;
    struct heredoc *heredocs;
    size_t heredoc_count;
    const char *file_name, *file_text; /* of an included file (borrowed); NULL: the Dockerfile */
};
void instruction_done(struct instruction *instruction);
CLEANUP_VALUE(instruction_done, struct instruction)

/* The value of a flag (of a repeated one: the last), NULL if it is not there. A switch gives "true"
 * or "false". Borrowed. */
const char *instruction_flag(const struct instruction *instruction, const char *name);

/* Is the first argument what would be one of the instruction's flags with another dash ("-from=x")?
 */
bool instruction_lacks_dash(const struct instruction *instruction);

/* Checks the word, flags and arguments. INVALID with "dockerfile parse error on line N: …". */
int instruction_check(const struct instruction *instruction, struct error *err);

/* UNSUPPORTED for what the language has and this builder does not carry out. */
int instruction_check_support(const struct instruction *instruction, struct error *err);

#endif
