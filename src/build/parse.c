/* Bytes to instructions: lines, continuations, comments, parser directives and here-documents. */
#include "build/parse.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "build/line.h"

#include "base/banned.h"

/* Where the reading is. */
struct parser {
    const char *at, *end;
    int line;             /* of the line read last */
    int instruction_line; /* where the instruction or directive began that is being read */
    bool directives_over;
    struct strv directives; /* names seen */
    struct dockerfile *file;
};

struct span {
    const char *start;
    size_t length;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim_left(struct span line)
{
    while (line.length > 0 && is_space(*line.start)) {
        line.start++;
        line.length--;
    }
    return line;
}

static struct span trim_newline(struct span line)
{
    while (line.length > 0 && strchr("\r\n", line.start[line.length - 1]))
        line.length--;
    return line;
}

static bool is_comment(struct span line)
{
    line = trim_left(line);
    return line.length > 0 && *line.start == '#';
}

/* The next line with its newline: 1, 0 at the end. */
static int next_line(struct parser *parser, struct span *out, struct error *err)
{
    size_t left = (size_t)(parser->end - parser->at);
    const char *newline = memchr(parser->at, '\n', left);

    if (left == 0)
        return 0;
    *out = (struct span){ parser->at, newline ? (size_t)(newline - parser->at) + 1 : left };
    if (out->length > DOCKERFILE_LINE_LIMIT)
        return error_set(err, ERROR_INVALID,
                         "dockerfile line greater than maximum allowed size of %zu",
                         DOCKERFILE_LINE_LIMIT);
    parser->at += out->length;
    parser->line++;
    return 1;
}

/* ---- parser directives ---- */

/* "# name = value": gives both, trimmed. */
static bool split_directive(struct span line, char **out_name, char **out_value)
{
    const char *at = line.start, *end = line.start + line.length, *start;

    if (at == end || *at++ != '#')
        return false;
    while (at < end && is_space(*at))
        at++;
    for (start = at; at < end && isalnum((unsigned char)*at);)
        at++;
    if (at == start || isdigit((unsigned char)*start))
        return false;
    *out_name = xstrndup(start, (size_t)(at - start));
    while (at < end && is_space(*at))
        at++;
    if (at == end || *at++ != '=')
        return false;
    while (at < end && is_space(*at))
        at++;
    while (end > at && is_space(end[-1]))
        end--;
    *out_value = xstrndup(at, (size_t)(end - at));
    return at < end;
}

static int set_escape(struct parser *parser, const char *value, struct error *err)
{
    if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
        return error_set(err, ERROR_INVALID, "invalid escape token '%s' does not match ` or \\",
                         value);
    parser->file->escape = *value;
    return 0;
}

static int read_directive(struct parser *parser, struct span line, struct error *err)
{
    CLEANUP(free) char *name = NULL;
    CLEANUP(free) char *value = NULL;

    if (parser->directives_over)
        return 0;
    parser->directives_over = true;
    if (!split_directive(line, &name, &value))
        return 0;
    text_lower(name);
    if (strcmp(name, "escape") != 0 && strcmp(name, "syntax") != 0 && strcmp(name, "check") != 0)
        return 0;
    if (strv_contains(&parser->directives, name))
        return error_set(err, ERROR_INVALID, "only one %s parser directive can be used", name);
    strv_add(&parser->directives, name);
    parser->directives_over = false;
    if (strcmp(name, "syntax") == 0)
        parser->file->syntax = TAKE(value);
    else if (strcmp(name, "check") == 0)
        parser->file->check = TAKE(value);
    else
        return set_escape(parser, value, err);
    return 0;
}

/* ---- instructions ---- */

/* Cuts an escape character off the end (blanks may follow it). Two of them are an escaped one and
 * do not continue the line, unless nothing stands before. */
static bool cut_continuation(struct span *line, char escape)
{
    size_t length = line->length;

    while (length > 0 && (line->start[length - 1] == ' ' || line->start[length - 1] == '\t'))
        length--;
    if (length == 0 || line->start[length - 1] != escape)
        return false;
    if (length > 1 && line->start[length - 2] == escape)
        return false;
    line->length = length - 1;
    return true;
}

static void warn_empty_continuation(struct parser *parser, const char *line)
{
    struct strv *warnings = &parser->file->warnings;

    strv_add_format(warnings, "[WARNING]: Empty continuation line found in: %s", line);
}

/* Adds the lines that continue the one in 'text'. */
static int join_lines(struct parser *parser, struct str *text, struct error *err)
{
    bool has_empty = false, continues = true;
    struct span line;
    int more = 0;

    while (continues && (more = next_line(parser, &line, err)) > 0) {
        if (is_comment(line))
            continue;
        line = trim_newline(line);
        if (trim_left(line).length == 0) {
            strv_add_format(&parser->file->empty_continuations, "%d", parser->line);
            has_empty = true;
            continue;
        }
        continues = cut_continuation(&line, parser->file->escape);
        str_add_bytes(text, line.start, line.length);
        if (text->length > DOCKERFILE_LINE_LIMIT)
            return error_set(err, ERROR_INVALID, "an instruction is larger than %zu bytes",
                             DOCKERFILE_LINE_LIMIT);
    }
    if (has_empty)
        warn_empty_continuation(parser, str_text(text));
    return more < 0 ? -1 : 0;
}

static int read_heredoc(struct parser *parser, struct heredoc *heredoc, struct error *err)
{
    CLEANUP(str_done) struct str content = {};
    size_t name_length = strlen(heredoc->name);
    struct span line;
    int more;

    while ((more = next_line(parser, &line, err)) > 0) {
        struct span bare = trim_newline(line);

        while (heredoc->strips_tabs && line.length > 0 && *line.start == '\t') {
            line.start++;
            line.length--;
            bare = trim_newline(line);
        }
        if (bare.length == name_length && memcmp(bare.start, heredoc->name, name_length) == 0) {
            heredoc->content = str_take(&content);
            return 0;
        }
        str_add_bytes(&content, line.start, line.length);
    }
    return more < 0 ? -1
                    : error_set(err, ERROR_INVALID,
                                "unterminated heredoc: a line that is %s and nothing else ends it",
                                heredoc->name);
}

static int read_heredocs(struct parser *parser, const char *line, struct instruction *instruction,
                         struct error *err)
{
    if (!instruction->kind || !instruction->kind->has_heredocs || instruction->is_json ||
        !strstr(line, "<<"))
        return 0;
    line_find_heredocs(line, instruction);
    for (size_t i = 0; i < instruction->heredoc_count; i++)
        if (read_heredoc(parser, &instruction->heredocs[i], err) < 0)
            return -1;
    return 0;
}

static struct instruction *add_instruction(struct dockerfile *file)
{
    if ((file->count & (file->count - 1)) == 0) /* full at each power of two */
        file->instructions = xrealloc(file->instructions, file->count ? 2 * file->count : 1,
                                      sizeof(struct instruction));
    file->instructions[file->count] = (struct instruction){};
    return &file->instructions[file->count++];
}

/* Reads the instruction that starts with 'line'. */
static int read_instruction(struct parser *parser, struct span line, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    int first_line = parser->line;
    bool continues = cut_continuation(&line, parser->file->escape);

    if (!continues && line.length == 0)
        return 0;
    str_add_bytes(&text, line.start, line.length);
    if (continues && join_lines(parser, &text, err) < 0)
        return -1;
    if (trim_left((struct span){ str_text(&text), text.length }).length == 0)
        return 0;
    if (parser->file->count >= DOCKERFILE_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d instructions", DOCKERFILE_COUNT_LIMIT);

    struct instruction *instruction = add_instruction(parser->file);
    instruction->line = first_line;
    if (line_read(text.data, parser->file->escape, instruction, err) < 0 ||
        read_heredocs(parser, text.data, instruction, err) < 0)
        return -1;
    instruction->last_line = parser->line;
    return 0;
}

static int read_all(struct parser *parser, struct error *err)
{
    struct span line;
    int more;

    while ((more = next_line(parser, &line, err)) > 0) {
        line = trim_left(trim_newline(line));
        parser->instruction_line = parser->line;
        if (read_directive(parser, line, err) < 0)
            return -1;
        if (!is_comment(line) && read_instruction(parser, line, err) < 0)
            return -1;
    }
    if (more == 0)
        parser->instruction_line = 0;
    if (more == 0 && parser->file->count == 0)
        return error_set(err, ERROR_INVALID, "file with no instructions");
    return more;
}

int dockerfile_parse(const char *text, size_t size, const char *name, struct dockerfile *out,
                     struct error *err)
{
    int line;

    return dockerfile_parse_at(text, size, name, out, &line, err);
}

int dockerfile_parse_at(const char *text, size_t size, const char *name, struct dockerfile *out,
                        int *out_line, struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile file = { .escape = '\\' };
    struct parser parser = { .at = text, .end = text + size, .file = &file };

    const char *shown = name ? name : "Dockerfile";

    *out_line = 0;
    if (size == 0)
        return error_set(err, ERROR_INVALID, "the Dockerfile (%s) cannot be empty", shown);
    if (size > DOCKERFILE_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "the Dockerfile (%s) is larger than %zu bytes", shown,
                         DOCKERFILE_SIZE_LIMIT);
    if (memchr(text, 0, size))
        return error_set(err, ERROR_INVALID,
                         "failed to parse %s: it has a NUL byte, and a Dockerfile is UTF-8 text",
                         shown);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        parser.at += 3;

    int result = read_all(&parser, err);
    strv_done(&parser.directives);
    if (result < 0)
        *out_line = parser.instruction_line;
    if (result < 0)
        return name ? error_context(err, "failed to parse %s", name) : -1;
    if (file.warnings.count > 0)
        strv_add(&file.warnings,
                 "[WARNING]: Empty continuation lines will become errors in a future release.");
    *out = file;
    file = (struct dockerfile){};
    return 0;
}

int dockerfile_parse_line(const char *text, char escape, struct instruction *out, struct error *err)
{
    CLEANUP(instruction_done) struct instruction instruction = { .line = 1, .last_line = 1 };

    if (strlen(text) > DOCKERFILE_LINE_LIMIT)
        return error_set(err, ERROR_INVALID, "an instruction is larger than %zu bytes",
                         DOCKERFILE_LINE_LIMIT);
    if (line_read(text, escape, &instruction, err) < 0)
        return -1;
    if (instruction.kind && instruction.kind->has_heredocs && !instruction.is_json)
        line_find_heredocs(text, &instruction);
    for (size_t i = 0; i < instruction.heredoc_count; i++) /* no lines follow */
        instruction.heredocs[i].content = xstrdup("");
    *out = instruction;
    instruction = (struct instruction){};
    return 0;
}

void dockerfile_done(struct dockerfile *dockerfile)
{
    for (size_t i = 0; i < dockerfile->count; i++)
        instruction_done(&dockerfile->instructions[i]);
    free(dockerfile->instructions);
    free(dockerfile->syntax);
    free(dockerfile->check);
    strv_done(&dockerfile->empty_continuations);
    strv_done(&dockerfile->included_names);
    strv_done(&dockerfile->included_texts);
    strv_done(&dockerfile->warnings);
    *dockerfile = (struct dockerfile){};
}
