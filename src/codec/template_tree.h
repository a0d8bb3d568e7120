/* A parsed template: private to template_*.c. Everything of one template lies in its memory list.
 */
#ifndef BERTH_CODEC_TEMPLATE_TREE_H
#define BERTH_CODEC_TEMPLATE_TREE_H

#include <stdbool.h>

#include "codec/template.h"

#define TEMPLATE_SIZE_LIMIT  ((size_t)1 << 20)
#define TEMPLATE_DEPTH_LIMIT 100

enum operand_kind {
    OPERAND_DOT,
    OPERAND_FIELD, /* of dot */
    OPERAND_VARIABLE,
    OPERAND_FUNCTION,
    OPERAND_TEXT,
    OPERAND_INTEGER,
    OPERAND_REAL,
    OPERAND_BOOL,
    OPERAND_NIL,
    OPERAND_PIPE, /* in parentheses */
};

/* 'position' is where errors point, [start, end) what they quote: offsets into the source. */
struct operand {
    enum operand_kind kind;
    struct operand *next;
    size_t position, start, end;
    const char *text; /* of a text; name of a variable ("$x") or function */
    const char **fields;
    size_t field_count;
    int64_t integer;
    double real;
    bool is_true;
    struct pipe *pipe;
};

struct command {
    struct command *next;
    size_t start, end;
    struct operand *operands;
};

struct pipe {
    const char *variables[2];
    size_t variable_count;
    bool is_assignment; /* "=", not ":=" */
    struct command *commands;
};

enum node_kind {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_BREAK,
    NODE_CONTINUE
};

struct node {
    enum node_kind kind;
    struct node *next;
    const char *text;
    struct pipe *pipe;
    struct node *body, *otherwise;
};

struct template
{
    char *source;
    struct node *nodes;
    void **memory;
    size_t memory_count, memory_capacity;
};

/* Zeroed, freed with the template. */
void *template_take(struct template *template, size_t size);
char *template_take_text(struct template *template, const char *text, size_t length);

/* ---- tokens (template_scan.c) */

enum token_kind {
    TOKEN_TEXT,
    TOKEN_LEFT,  /* {{ */
    TOKEN_RIGHT, /* }} */
    TOKEN_FIELD, /* .Name */
    TOKEN_DOT,
    TOKEN_VARIABLE,
    TOKEN_WORD,
    TOKEN_STRING, /* unquoted in 'text' */
    TOKEN_NUMBER,
    TOKEN_PIPE,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_DECLARE, /* := */
    TOKEN_ASSIGN,
    TOKEN_END
};

struct token {
    enum token_kind kind;
    size_t start, end;
    bool after_space;
    const char *text;  /* TEXT (trimmed), STRING */
    int64_t character; /* a NUMBER written as 'x' */
    bool is_character;
};

struct scanner {
    struct template *template;
    size_t at, size;
    bool is_inside;  /* of {{ }} */
    bool trims_next; /* the action before ended in "-}}" */
    int parentheses;
    struct error *err;
};

int scan_token(struct scanner *scanner, struct token *out);

/* "template parsing error: template: :<line of 'at'>: …" */
int template_complain(const struct template *template, size_t at, struct error *err,
                      const char *format, ...) PRINTF(4, 5);

/* ---- functions (template_function.c, template_text.c) */

enum value_kind {
    VALUE_NIL,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_REAL,
    VALUE_TEXT,
    VALUE_JSON /* a list or a dict */
};

/* Borrowed from the data, the template or the scrap of the run. */
struct value {
    enum value_kind kind;
    bool is_true;
    int64_t integer;
    double real;
    const char *text;
    const struct json *json;
};

/* What a run makes on its way. */
struct scrap {
    struct json **values;
    size_t value_count;
    struct strv texts;
};

struct value value_from_json(const struct json *json);
struct value value_from_text(struct scrap *scrap, char *text_taken);
struct value value_from_list(struct scrap *scrap, char *json_taken);
void scrap_keep(struct scrap *scrap, struct json *value_taken);
void scrap_done(struct scrap *scrap);
bool value_is_true(const struct value *value);
void value_print(const struct value *value, struct str *out);
/* The keys of a dict, sorted; the array is the caller's. */
const char **json_sorted_keys(const struct json *dict);
void value_write_json(const struct value *value, struct str *out);

struct template_function {
    const char *name;
    size_t least, most;
    int (*call)(struct scrap *scrap, const struct value *values, size_t count, struct value *out,
                struct error *err);
};
#define TEMPLATE_ANY ((size_t)-1)

/* NULL if there is none of that name. */
const struct template_function *template_function_find(const char *name);

/* The functions on texts, ended by a row without name. */
extern const struct template_function template_text_functions[];

#endif
