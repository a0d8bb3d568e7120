/* Running a template: walks the tree with a dot, a stack of variables and the words of Go's errors.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/template_tree.h"

#include "base/banned.h"

/* A template of a few bytes can ask for much: nested ranges are stopped here. */
#define OUTPUT_LIMIT ((size_t)64 << 20)
#define STEP_LIMIT   ((size_t)10 * 1000 * 1000)

struct variable {
    const char *name;
    struct value value;
};

struct run {
    const struct template *template;
    const struct template_methods *methods;
    struct str *out;
    size_t out_start, steps;
    struct variable *variables;
    size_t variable_count, variable_capacity;
    struct scrap scrap;
    struct error *err;
};

/* How a list of nodes was left. */
enum flow { FLOW_ERROR = -1, FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static int run_pipe(struct run *run, const struct value *dot, const struct pipe *pipe,
                    struct value *out);
static enum flow run_nodes(struct run *run, const struct value *dot, const struct node *node);

/* template: :1:2: executing "" at <.Foo>: … */
static int PRINTF(5, 6)
    fail(struct run *run, size_t position, size_t start, size_t end, const char *format, ...)
{
    const char *source = run->template->source;
    char text[ERROR_TEXT_SIZE];
    size_t line = 1, line_start = 0;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < position; i++) {
        if (source[i] != '\n')
            continue;
        line++;
        line_start = i + 1;
    }
    return error_set(run->err, ERROR_INVALID,
                     "template parsing error: template: :%zu:%zu: executing \"\" at <%.*s>: %s",
                     line, position - line_start, (int)MIN(end - start, 200), source + start, text);
}

static void push_variable(struct run *run, const char *name, struct value value)
{
    if (run->variable_count == run->variable_capacity) {
        run->variable_capacity = run->variable_capacity ? run->variable_capacity * 2 : 8;
        run->variables = xrealloc(run->variables, run->variable_capacity, sizeof(*run->variables));
    }
    run->variables[run->variable_count++] = (struct variable){ name, value };
}

/* The youngest of that name. The parser lets few through that are not there: "$x := $x". */
static int find_variable(struct run *run, const char *name, struct variable **out)
{
    for (size_t i = run->variable_count; i-- > 0;) {
        if (strcmp(run->variables[i].name, name) != 0)
            continue;
        *out = &run->variables[i];
        return 0;
    }
    return error_set(run->err, ERROR_INVALID,
                     "template parsing error: template: : undefined variable: %s", name);
}

/* ---- fields and methods */

static bool call_method(struct run *run, const struct value *from, const char *name,
                        const struct value *arguments, size_t count, struct value *out)
{
    CLEANUP(strv_done) struct strv texts = {};

    if (!run->methods)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct str text = {};

        value_print(&arguments[i], &text);
        strv_add_take(&texts, str_take(&text));
    }
    struct json *answer = run->methods->call(run->methods->data, from->json, name,
                                             (const char *const *)texts.items, count);
    if (!answer)
        return false;
    scrap_keep(&run->scrap, answer);
    *out = value_from_json(answer);
    return true;
}

/* Go's names have abbreviations in capitals (APIVersion, NanoCPUs) where JSON's often have not
 * (ApiVersion, NanoCpus): such a name means that key. */
static bool abbreviates(const char *name, const char *key)
{
    if (*name != *key)
        return false;
    for (; *name && *key; name++, key++)
        if (*name != *key && (*name < 'A' || *name > 'Z' || *name + ('a' - 'A') != *key))
            return false;
    return !*name && !*key;
}

static const struct json *find_abbreviated(const struct json *dict, const char *name)
{
    if (json_type(dict) == JSON_DICT)
        JSON_EACH (dict, key)
            if (abbreviates(name, key))
                return json_get(dict, key);
    return NULL;
}

static int field_of(struct run *run, const struct operand *operand, const struct value *from,
                    const char *name, const struct value *arguments, size_t count,
                    struct value *out)
{
    static const char *const types[] = { "nil", "bool", "int", "float64", "string", "slice" };
    const struct json *found = from->kind == VALUE_JSON ? json_get(from->json, name) : NULL;

    if (found && !count) {
        *out = value_from_json(found);
        return 0;
    }
    if (from->kind == VALUE_JSON && call_method(run, from, name, arguments, count, out))
        return 0;
    const struct json *near = from->kind == VALUE_JSON && !count
                                  ? find_abbreviated(from->json, name)
                                  : NULL;
    if (near) {
        *out = value_from_json(near);
        return 0;
    }
    if (found)
        return fail(run, operand->position, operand->start, operand->end,
                    "%s is not a method but has arguments", name);
    if (from->kind == VALUE_NIL)
        return fail(run, operand->position, operand->start, operand->end,
                    "nil pointer evaluating interface {}.%s", name);
    if (from->kind != VALUE_JSON || json_type(from->json) != JSON_DICT)
        return fail(run, operand->position, operand->start, operand->end,
                    "can't evaluate field %s in type %s", name, types[from->kind]);
    return fail(run, operand->position, operand->start, operand->end,
                "map has no entry for key \"%s\"", name);
}

/* Follows the fields of an operand; the arguments go to the last one. */
static int follow_fields(struct run *run, const struct operand *operand, struct value from,
                         const struct value *arguments, size_t count, struct value *out)
{
    for (size_t i = 0; i < operand->field_count; i++) {
        bool is_last = i + 1 == operand->field_count;
        struct value next;

        if (field_of(run, operand, &from, operand->fields[i], arguments, is_last ? count : 0,
                     &next) < 0)
            return -1;
        from = next;
    }
    *out = from;
    return 0;
}

/* ---- operands and commands */

static int call_function(struct run *run, const struct command *command, const char *name,
                         const struct value *arguments, size_t count, struct value *out)
{
    const struct template_function *function = template_function_find(name);
    struct error problem = {};
    const struct operand *first = command->operands;

    if (count < function->least)
        return fail(run, first->position, first->start, first->end,
                    "wrong number of args for %s: want%s %zu got %zu", name,
                    function->most == TEMPLATE_ANY ? " at least" : "", function->least, count);
    if (count > function->most)
        return fail(run, first->position, first->start, first->end,
                    "wrong number of args for %s: want %zu got %zu", name, function->most, count);
    if (function->call(&run->scrap, arguments, count, out, &problem) < 0)
        return fail(run, command->start, command->start, command->end, "error calling %s: %s", name,
                    problem.text);
    return 0;
}

static int evaluate(struct run *run, const struct value *dot, const struct command *command,
                    const struct operand *operand, const struct value *arguments, size_t count,
                    struct value *out)
{
    struct value from = *dot;
    struct variable *variable = NULL;

    switch (operand->kind) {
    case OPERAND_FIELD:
        return follow_fields(run, operand, *dot, arguments, count, out);
    case OPERAND_VARIABLE:
        if (find_variable(run, operand->text, &variable) < 0)
            return -1;
        return follow_fields(run, operand, variable->value, arguments, count, out);
    case OPERAND_PIPE:
        if (run_pipe(run, dot, operand->pipe, &from) < 0)
            return -1;
        return follow_fields(run, operand, from, arguments, count, out);
    case OPERAND_FUNCTION:
        return call_function(run, command, operand->text, arguments, count, out);
    case OPERAND_DOT:
        *out = *dot;
        return 0;
    case OPERAND_TEXT:
        *out = (struct value){ .kind = VALUE_TEXT, .text = operand->text };
        return 0;
    case OPERAND_INTEGER:
        *out = (struct value){ .kind = VALUE_INTEGER, .integer = operand->integer };
        return 0;
    case OPERAND_REAL:
        *out = (struct value){ .kind = VALUE_REAL, .real = operand->real };
        return 0;
    case OPERAND_BOOL:
        *out = (struct value){ .kind = VALUE_BOOL, .is_true = operand->is_true };
        return 0;
    case OPERAND_NIL:
        return fail(run, operand->position, operand->start, operand->end, "nil is not a command");
    }
    return 0;
}

/* An argument may be nil and a function without arguments of its own. */
static int evaluate_argument(struct run *run, const struct value *dot,
                             const struct operand *operand, struct value *out)
{
    struct command alone = { .start = operand->start, .end = operand->end };

    alone.operands = (struct operand *)(void *)operand;
    if (operand->kind != OPERAND_NIL)
        return evaluate(run, dot, &alone, operand, NULL, 0, out);
    *out = (struct value){ .kind = VALUE_NIL };
    return 0;
}

/* "and" gives the first false value, "or" the first true one; else the last. */
static int run_shortcut(struct run *run, const struct value *dot, const struct command *command,
                        const struct value *final, struct value *out)
{
    bool stops_at = strcmp(command->operands->text, "or") == 0;
    const struct operand *operand = command->operands->next;

    if (!operand && !final)
        return fail(run, command->start, command->operands->start, command->operands->end,
                    "wrong number of args for %s: want at least 1 got 0", command->operands->text);
    for (; operand; operand = operand->next)
        if (evaluate_argument(run, dot, operand, out) < 0)
            return -1;
        else if (value_is_true(out) == stops_at)
            return 0;
    if (final)
        *out = *final;
    return 0;
}

static bool takes_arguments(const struct operand *operand)
{
    return operand->kind == OPERAND_FUNCTION || operand->field_count > 0;
}

/* 'final' is what the command in front of the "|" gave, NULL for the first one. */
static int run_command(struct run *run, const struct value *dot, const struct command *command,
                       const struct value *final, struct value *out)
{
    const struct operand *first = command->operands;
    size_t count = 0, capacity = final ? 1 : 0;

    if (first->kind == OPERAND_FUNCTION && !template_function_find(first->text)->call)
        return run_shortcut(run, dot, command, final, out);
    for (const struct operand *each = first->next; each; each = each->next)
        capacity++;
    if (capacity && !takes_arguments(first))
        return fail(run, first->position, first->start, first->end,
                    "can't give argument to non-function %.*s", (int)(first->end - first->start),
                    run->template->source + first->start);
    CLEANUP(free) struct value *arguments = xcalloc(capacity + 1, sizeof(*arguments));
    for (const struct operand *each = first->next; each; each = each->next)
        if (evaluate_argument(run, dot, each, &arguments[count++]) < 0)
            return -1;
    if (final)
        arguments[count++] = *final;
    return evaluate(run, dot, command, first, arguments, count, out);
}

static int run_pipe(struct run *run, const struct value *dot, const struct pipe *pipe,
                    struct value *out)
{
    struct value value = {};
    const struct value *final = NULL;

    for (const struct command *command = pipe->commands; command; command = command->next) {
        struct value next = {};

        if (++run->steps > STEP_LIMIT)
            return error_set(run->err, ERROR_INVALID, "template runs too long");
        if (run_command(run, dot, command, final, &next) < 0)
            return -1;
        value = next;
        final = &value;
    }
    *out = value;
    return 0;
}

/* ---- nodes */

static int declare(struct run *run, const struct pipe *pipe, size_t index, struct value value)
{
    struct variable *variable = NULL;

    if (!pipe->is_assignment) {
        push_variable(run, pipe->variables[index], value);
        return 0;
    }
    if (find_variable(run, pipe->variables[index], &variable) < 0)
        return -1;
    variable->value = value;
    return 0;
}

static int run_action(struct run *run, const struct value *dot, const struct node *node)
{
    struct value value;

    if (run_pipe(run, dot, node->pipe, &value) < 0)
        return -1;
    if (node->pipe->variable_count)
        return declare(run, node->pipe, 0, value);
    value_print(&value, run->out);
    if (run->out->length - run->out_start > OUTPUT_LIMIT)
        return error_set(run->err, ERROR_INVALID, "template prints more than %zu bytes",
                         OUTPUT_LIMIT);
    return 0;
}

static enum flow run_branch(struct run *run, const struct value *dot, const struct node *node)
{
    size_t variables = run->variable_count;
    struct value value;

    if (run_pipe(run, dot, node->pipe, &value) < 0)
        return FLOW_ERROR;
    if (node->pipe->variable_count && declare(run, node->pipe, 0, value) < 0)
        return FLOW_ERROR;
    enum flow flow;
    if (value_is_true(&value))
        flow = run_nodes(run, node->kind == NODE_WITH ? &value : dot, node->body);
    else
        flow = run_nodes(run, dot, node->otherwise);
    run->variable_count = variables;
    return flow;
}

static enum flow run_turn(struct run *run, const struct node *node, struct value key,
                          struct value element)
{
    const struct pipe *pipe = node->pipe;
    size_t variables = run->variable_count;

    if (pipe->variable_count == 1 && declare(run, pipe, 0, element) < 0)
        return FLOW_ERROR;
    if (pipe->variable_count == 2 &&
        (declare(run, pipe, 0, key) < 0 || declare(run, pipe, 1, element) < 0))
        return FLOW_ERROR;
    enum flow flow = run_nodes(run, &element, node->body);
    run->variable_count = variables;
    return flow == FLOW_CONTINUE ? FLOW_ON : flow;
}

static enum flow run_turns(struct run *run, const struct node *node, const struct value *over)
{
    bool is_dict = over->kind == VALUE_JSON && json_type(over->json) == JSON_DICT;
    size_t count = over->kind == VALUE_INTEGER ? (size_t)MAX(over->integer, 0)
                                               : json_count(over->json);
    CLEANUP(free) const char **keys = is_dict ? json_sorted_keys(over->json) : NULL;

    for (size_t i = 0; i < count; i++) {
        struct value key = { .kind = VALUE_INTEGER, .integer = (int64_t)i }, element = key;

        if (++run->steps > STEP_LIMIT) {
            error_set(run->err, ERROR_INVALID, "template runs too long");
            return FLOW_ERROR;
        }
        if (is_dict) {
            key = (struct value){ .kind = VALUE_TEXT, .text = keys[i] };
            element = value_from_json(json_key_value(keys[i]));
        } else if (over->kind == VALUE_JSON) {
            element = value_from_json(json_at(over->json, i));
        }
        enum flow flow = run_turn(run, node, key, element);
        if (flow != FLOW_ON)
            return flow == FLOW_BREAK ? FLOW_ON : flow;
    }
    return FLOW_ON;
}

static enum flow run_range(struct run *run, const struct value *dot, const struct node *node)
{
    struct value over;

    if (run_pipe(run, dot, node->pipe, &over) < 0)
        return FLOW_ERROR;
    if (over.kind != VALUE_JSON && over.kind != VALUE_NIL && over.kind != VALUE_INTEGER) {
        const struct command *command = node->pipe->commands;
        CLEANUP(str_done) struct str text = {};

        value_print(&over, &text);
        fail(run, command->start, command->start, command->end, "range can't iterate over %s",
             str_text(&text));
        return FLOW_ERROR;
    }
    return value_is_true(&over) ? run_turns(run, node, &over)
                                : run_nodes(run, dot, node->otherwise);
}

static enum flow run_node(struct run *run, const struct value *dot, const struct node *node)
{
    switch (node->kind) {
    case NODE_TEXT:
        str_add(run->out, node->text);
        return FLOW_ON;
    case NODE_ACTION:
        return run_action(run, dot, node) < 0 ? FLOW_ERROR : FLOW_ON;
    case NODE_IF:
    case NODE_WITH:
        return run_branch(run, dot, node);
    case NODE_RANGE:
        return run_range(run, dot, node);
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    }
    return FLOW_ON;
}

static enum flow run_nodes(struct run *run, const struct value *dot, const struct node *node)
{
    size_t variables = run->variable_count;
    enum flow flow = FLOW_ON;

    for (; node && flow == FLOW_ON; node = node->next)
        flow = run_node(run, dot, node);
    run->variable_count = variables;
    return flow;
}

int template_run(const struct template *template, const struct json *data,
                 const struct template_methods *methods, struct str *out, struct error *err)
{
    struct run run = {
        .template = template, .methods = methods, .out = out, .out_start = out->length, .err = err
    };
    struct value dot = value_from_json(data);

    push_variable(&run, "$", dot);
    enum flow flow = run_nodes(&run, &dot, template->nodes);
    free(run.variables);
    scrap_done(&run.scrap);
    return flow == FLOW_ERROR ? -1 : 0;
}

/* ---- fields */

static void visit_pipe(const struct pipe *pipe,
                       void (*each)(void *data, const char *name, const char *argument), void *data)
{
    for (const struct command *command = pipe->commands; command; command = command->next)
        for (const struct operand *operand = command->operands; operand; operand = operand->next) {
            const struct operand *next = operand->next;
            bool has_argument = operand == command->operands && next && next->kind == OPERAND_TEXT;

            if (operand->kind == OPERAND_FIELD)
                each(data, operand->fields[operand->field_count - 1],
                     has_argument ? next->text : NULL);
            else if (operand->kind == OPERAND_PIPE)
                visit_pipe(operand->pipe, each, data);
        }
}

void template_fields(const struct template *template,
                     void (*each)(void *data, const char *name, const char *argument), void *data)
{
    for (const struct node *node = template->nodes; node; node = node->next)
        if (node->kind == NODE_ACTION && !node->pipe->variable_count)
            visit_pipe(node->pipe, each, data);
}
