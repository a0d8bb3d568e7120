/* From tokens to the tree, by recursive descent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/template_tree.h"

#include "base/banned.h"

struct parser {
    struct template *template;
    struct scanner scanner;
    struct token token; /* the next one */
    struct strv variables;
    int depth, ranges;
    struct error *err;
};

/* What ended a list of nodes. */
enum ending { ENDING_TEXT, ENDING_END, ENDING_ELSE };

static int parse_pipe(struct parser *parser, struct pipe **out);
static int parse_nodes(struct parser *parser, struct node **out, enum ending *out_ending);

void *template_take(struct template *template, size_t size)
{
    if (template->memory_count == template->memory_capacity) {
        template->memory_capacity = template->memory_capacity ? template->memory_capacity * 2 : 16;
        template->memory = xrealloc(template->memory, template->memory_capacity,
                                    sizeof(*template->memory));
    }
    return template->memory[template->memory_count++] = xcalloc(1, size);
}

char *template_take_text(struct template *template, const char *text, size_t length)
{
    char *copy = template_take(template, length + 1);

    memcpy(copy, text, length);
    return copy;
}

#define TAKE_NEW(parser, type) ((type *)template_take((parser)->template, sizeof(type)))

static int advance(struct parser *parser)
{
    return scan_token(&parser->scanner, &parser->token);
}

static bool next_is(const struct parser *parser, enum token_kind kind)
{
    return parser->token.kind == kind;
}

static bool next_is_word(const struct parser *parser, const char *word)
{
    const struct token *token = &parser->token;

    return token->kind == TOKEN_WORD && token->end - token->start == strlen(word) &&
           strncmp(parser->template->source + token->start, word, strlen(word)) == 0;
}

static int unexpected(struct parser *parser, const char *where)
{
    const struct token *token = &parser->token;

    if (token->kind == TOKEN_END)
        return template_complain(parser->template, token->start, parser->err, "unexpected EOF");
    return template_complain(
        parser->template, token->start, parser->err, "unexpected %s%.*s%s in %s",
        token->kind == TOKEN_STRING ? "" : "<", (int)MIN(token->end - token->start, 20),
        parser->template->source + token->start, token->kind == TOKEN_STRING ? "" : ">", where);
}

static char *token_text(struct parser *parser)
{
    return template_take_text(parser->template, parser->template->source + parser->token.start,
                              parser->token.end - parser->token.start);
}

/* ---- operands */

static int parse_number(struct parser *parser, struct operand *operand)
{
    const char *text = parser->token.text;
    char *end;

    operand->kind = OPERAND_INTEGER;
    operand->integer = parser->token.character;
    if (parser->token.is_character)
        return 0;
    errno = 0;
    operand->integer = strtoll(text, &end, 0);
    if (!*end && !errno)
        return 0;
    operand->kind = OPERAND_REAL;
    operand->real = strtod(text, &end);
    if (*end)
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "bad number syntax: \"%s\"", text);
    return 0;
}

static int parse_word(struct parser *parser, struct operand *operand)
{
    operand->text = token_text(parser);
    if (next_is_word(parser, "true") || next_is_word(parser, "false")) {
        operand->kind = OPERAND_BOOL;
        operand->is_true = next_is_word(parser, "true");
    } else if (next_is_word(parser, "nil")) {
        operand->kind = OPERAND_NIL;
    } else if (template_function_find(operand->text)) {
        operand->kind = OPERAND_FUNCTION;
    } else {
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "function \"%s\" not defined", operand->text);
    }
    return 0;
}

static int parse_parentheses(struct parser *parser, struct operand *operand)
{
    operand->kind = OPERAND_PIPE;
    if (++parser->depth > TEMPLATE_DEPTH_LIMIT)
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "nested too deeply");
    if (advance(parser) < 0 || parse_pipe(parser, &operand->pipe) < 0)
        return -1;
    parser->depth--;
    return next_is(parser, TOKEN_CLOSE) ? 0 : unexpected(parser, "parenthesized pipeline");
}

static void add_field(struct parser *parser, struct operand *operand)
{
    const char **fields = template_take(parser->template,
                                        (operand->field_count + 1) * sizeof(*fields));

    if (operand->field_count)
        memcpy(fields, operand->fields, operand->field_count * sizeof(*fields));
    fields[operand->field_count++] = token_text(parser) + 1;
    operand->fields = fields;
}

static int parse_simple(struct parser *parser, struct operand *operand)
{
    switch (parser->token.kind) {
    case TOKEN_DOT:
        operand->kind = OPERAND_DOT;
        return 0;
    case TOKEN_FIELD:
        operand->kind = OPERAND_FIELD;
        add_field(parser, operand);
        return 0;
    case TOKEN_VARIABLE:
        operand->kind = OPERAND_VARIABLE;
        operand->text = token_text(parser);
        if (!strv_contains(&parser->variables, operand->text))
            return template_complain(parser->template, parser->token.start, parser->err,
                                     "undefined variable \"%s\"", operand->text);
        return 0;
    case TOKEN_STRING:
        operand->kind = OPERAND_TEXT;
        operand->text = parser->token.text;
        return 0;
    case TOKEN_NUMBER:
        return parse_number(parser, operand);
    case TOKEN_WORD:
        return parse_word(parser, operand);
    case TOKEN_OPEN:
        return parse_parentheses(parser, operand);
    default:
        return unexpected(parser, "operand");
    }
}

/* With the fields that follow without a space: .A.B, $x.A, (f x).A. */
static int parse_operand(struct parser *parser, struct operand **out)
{
    struct operand *operand = TAKE_NEW(parser, struct operand);

    operand->position = operand->start = parser->token.start;
    if (parse_simple(parser, operand) < 0)
        return -1;
    operand->end = parser->token.end;
    if (advance(parser) < 0)
        return -1;
    bool takes_fields = operand->kind == OPERAND_FIELD || operand->kind == OPERAND_VARIABLE ||
                        operand->kind == OPERAND_PIPE;
    for (bool is_first = true; next_is(parser, TOKEN_FIELD) && !parser->token.after_space;
         is_first = false) {
        if (!takes_fields)
            return template_complain(parser->template, parser->token.start, parser->err,
                                     "unexpected . after term \"%.*s\"",
                                     (int)(operand->end - operand->start),
                                     parser->template->source + operand->start);
        if (is_first)
            operand->position = parser->token.start; /* as Go has it */
        add_field(parser, operand);
        operand->end = parser->token.end;
        if (advance(parser) < 0)
            return -1;
    }
    *out = operand;
    return 0;
}

/* ---- pipelines */

static bool ends_command(const struct parser *parser)
{
    return next_is(parser, TOKEN_RIGHT) || next_is(parser, TOKEN_CLOSE) ||
           next_is(parser, TOKEN_PIPE);
}

static int parse_command(struct parser *parser, struct command **out)
{
    struct command *command = TAKE_NEW(parser, struct command);
    struct operand **last = &command->operands;

    command->start = parser->token.start;
    while (!ends_command(parser)) {
        if (command->operands && !parser->token.after_space)
            return unexpected(parser, "operand");
        if (parse_operand(parser, last) < 0)
            return -1;
        command->end = (*last)->end;
        last = &(*last)->next;
    }
    if (!command->operands)
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "missing value for command");
    *out = command;
    return 0;
}

/* Whether "$x :=", "$x =" or "$k, $v :=" comes: looks ahead on a copy of the scanner. */
static bool declares(const struct parser *parser)
{
    struct scanner ahead = parser->scanner;
    struct token token;
    struct error ignored;

    ahead.err = &ignored;
    if (!next_is(parser, TOKEN_VARIABLE) || scan_token(&ahead, &token) < 0)
        return false;
    return token.kind == TOKEN_DECLARE || token.kind == TOKEN_ASSIGN || token.kind == TOKEN_COMMA;
}

static int parse_declaration(struct parser *parser, struct pipe *pipe)
{
    while (next_is(parser, TOKEN_VARIABLE)) {
        if (pipe->variable_count == COUNT(pipe->variables))
            return template_complain(parser->template, parser->token.start, parser->err,
                                     "too many declarations");
        pipe->variables[pipe->variable_count++] = token_text(parser);
        if (advance(parser) < 0)
            return -1;
        if (!next_is(parser, TOKEN_COMMA))
            break;
        if (advance(parser) < 0)
            return -1;
    }
    pipe->is_assignment = next_is(parser, TOKEN_ASSIGN);
    if (!pipe->is_assignment && !next_is(parser, TOKEN_DECLARE))
        return unexpected(parser, "declaration");
    for (size_t i = 0; i < pipe->variable_count; i++) {
        if (!pipe->is_assignment)
            strv_add(&parser->variables, pipe->variables[i]);
        else if (!strv_contains(&parser->variables, pipe->variables[i]))
            return template_complain(parser->template, parser->token.start, parser->err,
                                     "undefined variable \"%s\"", pipe->variables[i]);
    }
    return advance(parser);
}

/* Behind the first command only what can be called may stand. */
static int check_stage(struct parser *parser, const struct command *command)
{
    enum operand_kind kind = command->operands->kind;

    if (kind == OPERAND_FIELD || kind == OPERAND_FUNCTION || kind == OPERAND_VARIABLE ||
        kind == OPERAND_PIPE)
        return 0;
    return template_complain(parser->template, command->start, parser->err,
                             "non executable command in pipeline stage 2");
}

static int parse_pipe(struct parser *parser, struct pipe **out)
{
    struct pipe *pipe = TAKE_NEW(parser, struct pipe);
    struct command **last = &pipe->commands;

    if (declares(parser) && parse_declaration(parser, pipe) < 0)
        return -1;
    for (;;) {
        if (parse_command(parser, last) < 0 ||
            (last != &pipe->commands && check_stage(parser, *last) < 0))
            return -1;
        last = &(*last)->next;
        if (!next_is(parser, TOKEN_PIPE))
            break;
        if (advance(parser) < 0)
            return -1;
    }
    *out = pipe;
    return 0;
}

/* ---- nodes */

static int expect_right(struct parser *parser, const char *where)
{
    return next_is(parser, TOKEN_RIGHT) ? advance(parser) : unexpected(parser, where);
}

static int parse_else(struct parser *parser, struct node *node);

/* Pipeline, "}}", body, and what follows an {{else}}, up to and with {{end}}. */
static int parse_control(struct parser *parser, struct node *node, const char *word)
{
    size_t variables = parser->variables.count;
    enum ending ending;
    bool is_range = node->kind == NODE_RANGE;

    if (++parser->depth > TEMPLATE_DEPTH_LIMIT)
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "nested too deeply");
    if (advance(parser) < 0)
        return -1;
    if (next_is(parser, TOKEN_RIGHT))
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "missing value for %s", word);
    parser->ranges += is_range;
    if (parse_pipe(parser, &node->pipe) < 0 || expect_right(parser, word) < 0 ||
        parse_nodes(parser, &node->body, &ending) < 0)
        return -1;
    parser->ranges -= is_range;
    if (ending == ENDING_TEXT)
        return unexpected(parser, word);
    if (ending == ENDING_ELSE && parse_else(parser, node) < 0)
        return -1;
    while (parser->variables.count > variables)
        strv_remove(&parser->variables, parser->variables.count - 1);
    parser->depth--;
    return 0;
}

/* Behind the word "else": "}}" or a further "if" or "with". */
static int parse_else(struct parser *parser, struct node *node)
{
    bool is_if = next_is_word(parser, "if"), is_with = next_is_word(parser, "with");
    enum ending ending;

    if ((is_if && node->kind == NODE_IF) || (is_with && node->kind == NODE_WITH)) {
        node->otherwise = TAKE_NEW(parser, struct node);
        node->otherwise->kind = node->kind;
        return parse_control(parser, node->otherwise, is_if ? "if" : "with");
    }
    if (expect_right(parser, "else") < 0 || parse_nodes(parser, &node->otherwise, &ending) < 0)
        return -1;
    if (ending == ENDING_END)
        return 0;
    if (ending == ENDING_ELSE)
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "expected end; found {{else}}");
    return unexpected(parser, "else");
}

static int parse_jump(struct parser *parser, struct node *node, const char *word)
{
    if (!parser->ranges)
        return template_complain(parser->template, parser->token.start, parser->err,
                                 "{{%s}} outside {{range}}", word);
    node->kind = strcmp(word, "break") == 0 ? NODE_BREAK : NODE_CONTINUE;
    return advance(parser) < 0 ? -1 : expect_right(parser, word);
}

/* Behind "{{". */
static int parse_action(struct parser *parser, struct node *node)
{
    static const struct {
        const char *word;
        enum node_kind kind;
    } controls[] = { { "if", NODE_IF }, { "range", NODE_RANGE }, { "with", NODE_WITH } };
    static const char *const unsupported[] = { "template", "block", "define" };

    for (size_t i = 0; i < COUNT(controls); i++) {
        if (!next_is_word(parser, controls[i].word))
            continue;
        node->kind = controls[i].kind;
        return parse_control(parser, node, controls[i].word);
    }
    for (size_t i = 0; i < COUNT(unsupported); i++)
        if (next_is_word(parser, unsupported[i]))
            return template_complain(parser->template, parser->token.start, parser->err,
                                     "{{%s}} is not supported", unsupported[i]);
    if (next_is_word(parser, "break"))
        return parse_jump(parser, node, "break");
    if (next_is_word(parser, "continue"))
        return parse_jump(parser, node, "continue");
    node->kind = NODE_ACTION;
    return parse_pipe(parser, &node->pipe) < 0 ? -1 : expect_right(parser, "command");
}

/* Up to {{end}} (taken whole), {{else (up to the word) or the end of the text. */
static int parse_nodes(struct parser *parser, struct node **out, enum ending *out_ending)
{
    for (;; out = &(*out)->next) {
        if (next_is(parser, TOKEN_END)) {
            *out_ending = ENDING_TEXT;
            return 0;
        }
        bool is_text = next_is(parser, TOKEN_TEXT);
        const char *text = parser->token.text;
        if (advance(parser) < 0)
            return -1;
        if (!is_text && (next_is_word(parser, "end") || next_is_word(parser, "else"))) {
            *out_ending = next_is_word(parser, "end") ? ENDING_END : ENDING_ELSE;
            if (advance(parser) < 0)
                return -1;
            return *out_ending == ENDING_END ? expect_right(parser, "end") : 0;
        }
        *out = TAKE_NEW(parser, struct node);
        (*out)->text = text;
        if (!is_text && parse_action(parser, *out) < 0)
            return -1;
    }
}

int template_parse(const char *text, struct template **out, struct error *err)
{
    CLEANUP(template_free) struct template *template = NEW(struct template);
    struct parser parser = { .template = template, .err = err };
    enum ending ending = ENDING_TEXT;

    template->source = xstrdup(text);
    if (strlen(text) > TEMPLATE_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "template parsing error: larger than %zu bytes",
                         TEMPLATE_SIZE_LIMIT);
    parser.scanner = (struct scanner){ .template = template, .size = strlen(text), .err = err };
    strv_add(&parser.variables, "$");
    int result = advance(&parser);
    if (result == 0)
        result = parse_nodes(&parser, &template->nodes, &ending);
    strv_done(&parser.variables);
    if (result == 0 && ending != ENDING_TEXT)
        result = template_complain(template, parser.token.start, err, "unexpected {{%s}}",
                                   ending == ENDING_END ? "end" : "else");
    if (result < 0)
        return -1;
    *out = TAKE(template);
    return 0;
}

void template_free(struct template *template)
{
    if (!template)
        return;
    for (size_t i = 0; i < template->memory_count; i++)
        free(template->memory[i]);
    free(template->memory);
    free(template->source);
    free(template);
}
