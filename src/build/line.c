/* The forms of arguments. Quotes and escapes stay in the words: the expansion, later, needs them.
 */
#include "build/line.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "build/expand.h"
#include "build/golang.h"
#include "codec/json.h"

#include "base/banned.h"

#define TRIGGER_DEPTH_LIMIT 2

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *skip_space(const char *text)
{
    while (is_space(*text))
        text++;
    return text;
}

static char *trimmed(const char *text)
{
    size_t length;

    text = skip_space(text);
    for (length = strlen(text); length > 0 && is_space(text[length - 1]);)
        length--;
    return xstrndup(text, length);
}

/* Reads the "--name=value" words at the start; gives where the rest begins. In flags the backslash
 * protects, whatever the file's escape character is. */
static const char *read_flags(const char *rest, struct strv *out)
{
    for (;;) {
        CLEANUP(str_done) struct str word = {};
        char quote = 0;

        rest = skip_space(rest);
        if (rest[0] != '-' || rest[1] != '-')
            return rest;
        for (; *rest && (quote || !is_space(*rest)); rest++) {
            if (*rest == '\\') {
                if (rest[1] == 0)
                    continue;
                str_add_char(&word, *++rest);
            } else if (*rest == quote) {
                quote = 0;
            } else if (!quote && (*rest == '"' || *rest == '\'')) {
                quote = *rest;
            } else {
                str_add_char(&word, *rest);
            }
        }
        if (strcmp(str_text(&word), "--") == 0)
            return rest;
        if (text_starts(str_text(&word), "--"))
            strv_add(out, word.data + 2);
    }
}

/* Words split at blanks outside of quotes; quotes and escapes are kept. */
static void read_words(const char *rest, char escape, struct strv *out)
{
    while (*(rest = skip_space(rest))) {
        const char *start = rest;
        CLEANUP(str_done) struct str word = {};
        char quote = 0;

        for (; *rest && (quote || !is_space(*rest)); rest++) {
            if (*rest == escape && quote != '\'') {
                if (rest[1] == 0)
                    continue;
                str_add_char(&word, *rest++);
            } else if (*rest == quote) {
                quote = 0;
            } else if (!quote && (*rest == '"' || *rest == '\'')) {
                quote = *rest;
            }
            str_add_char(&word, *rest);
        }
        if (word.length > 0)
            strv_add(out, word.data);
        if (rest == start)
            rest++;
    }
}

static void split_blanks(const char *rest, struct strv *out)
{
    while (*(rest = skip_space(rest))) {
        const char *start = rest;

        while (*rest && !is_space(*rest))
            rest++;
        strv_add_take(out, xstrndup(start, (size_t)(rest - start)));
    }
}

static int read_pairs(const char *word, const char *rest, char escape, struct strv *out,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};

    read_words(rest, escape, &words);
    if (words.count == 0)
        return 0;
    if (!strchr(words.items[0], '=')) { /* The old form: a key and the rest of the line. */
        size_t length = strcspn(rest, " \t\v\f\r");
        const char *value = skip_space(rest + length);

        if (rest[length] == 0)
            return error_set(err, ERROR_INVALID, "%s must have two arguments", word);
        strv_add_take(out, xstrndup(rest, length));
        strv_add(out, value);
        return 0;
    }
    for (size_t i = 0; i < words.count; i++) {
        const char *equals = strchr(words.items[i], '=');

        if (!equals) {
            CLEANUP(str_done) struct str shown = {};

            go_add_quoted(&shown, words.items[i]);
            return error_set(err, ERROR_INVALID,
                             "Syntax error - can't find = in %s. Must be of the form: name=value",
                             shown.data);
        }
        strv_add_take(out, xstrndup(words.items[i], (size_t)(equals - words.items[i])));
        strv_add(out, equals + 1);
    }
    return 0;
}

/* 1: it is a JSON list of texts; 0: it is no JSON list. */
static int read_json(const char *rest, struct strv *out, struct error *err)
{
    CLEANUP(json_free) struct json *list = NULL;

    if (*rest != '[' || json_parse(rest, strlen(rest), &list, NULL) < 0)
        return 0;
    for (size_t i = 0; i < json_count(list); i++)
        if (!json_text(json_at(list, i)))
            return error_set(
                err, ERROR_INVALID,
                "when using JSON array syntax, arrays must be comprised of strings only");
    for (size_t i = 0; i < json_count(list); i++)
        strv_add(out, json_text(json_at(list, i)));
    return 1;
}

static int read_command(const char *rest, bool as_list, struct instruction *out, struct error *err)
{
    int is_json = read_json(rest, &out->arguments, err);

    if (is_json < 0)
        return -1;
    out->is_json = is_json;
    if (!is_json && as_list)
        split_blanks(rest, &out->arguments);
    else if (!is_json && *rest)
        strv_add(&out->arguments, rest);
    return 0;
}

static int read_health(const char *rest, struct instruction *out, struct error *err)
{
    size_t length = 0;

    while (rest[length] && !is_space(rest[length]))
        length++;
    if (length == 0)
        return 0;
    strv_add_take(&out->arguments, xstrndup(rest, length));
    return read_command(skip_space(rest + length), false, out, err);
}

static int line_read_nested(const char *line, char escape, int depth, struct instruction *out,
                            struct error *err);

/* The instruction behind ONBUILD has to be readable as well. Its arguments are its word and its
 * whole text. */
static int read_trigger(const char *rest, char escape, int depth, struct instruction *out,
                        struct error *err)
{
    CLEANUP(instruction_done) struct instruction trigger = {};

    if (*rest == 0)
        return 0;
    if (depth >= TRIGGER_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "ONBUILD is nested too deeply");
    if (line_read_nested(rest, escape, depth + 1, &trigger, err) < 0)
        return -1;
    strv_add(&out->arguments, trigger.word);
    strv_add(&out->arguments, rest);
    return 0;
}

static int read_arguments(const char *rest, char escape, int depth, struct instruction *out,
                          struct error *err)
{
    switch (out->kind->form) {
    case FORM_WORDS:
        split_blanks(rest, &out->arguments);
        return 0;
    case FORM_TEXT:
        if (*rest)
            strv_add(&out->arguments, rest);
        return 0;
    case FORM_NAMES:
        read_words(rest, escape, &out->arguments);
        return 0;
    case FORM_PAIRS:
        return read_pairs(out->kind->word, rest, escape, &out->arguments, err);
    case FORM_COMMAND:
        return read_command(rest, false, out, err);
    case FORM_LIST:
        return read_command(rest, true, out, err);
    case FORM_HEALTH:
        return read_health(rest, out, err);
    case FORM_TRIGGER:
        return read_trigger(rest, escape, depth, out, err);
    }
    return 0;
}

static int line_read_nested(const char *line, char escape, int depth, struct instruction *out,
                            struct error *err)
{
    size_t length = 0;

    out->text = trimmed(line);
    while (out->text[length] && !is_space(out->text[length]))
        length++;
    out->word = xstrndup(out->text, length);
    out->kind = instruction_kind_find(out->word);

    CLEANUP(free) char *rest = trimmed(read_flags(out->text + length, &out->flags));
    return out->kind ? read_arguments(rest, escape, depth, out, err) : 0;
}

int line_read(const char *line, char escape, struct instruction *out, struct error *err)
{
    return line_read_nested(line, escape, 0, out, err);
}

/* The word of "<<WORD" without its quotes; NULL if it is not exactly one word. */
static char *heredoc_name(const char *text, unsigned flags)
{
    const struct expander expander = { '\\', flags | EXPAND_KEEP_UNSET, NULL };
    CLEANUP(strv_done) struct strv words = {};

    if (expand_words(&expander, text, &words, NULL) < 0 || words.count != 1)
        return NULL;
    return xstrdup(words.items[0]);
}

/* [digits]<<[-]WORD, without a further '<' */
static void add_heredoc(const char *word, struct instruction *out)
{
    bool strips_tabs;

    while (isdigit((unsigned char)*word))
        word++;
    if (!text_starts(word, "<<"))
        return;
    word += 2;
    strips_tabs = *word == '-';
    if (strips_tabs)
        word++;
    word = skip_space(word);
    if (*word == 0 || strchr(word, '<'))
        return;

    CLEANUP(free) char *name = heredoc_name(word, 0);
    CLEANUP(free) char *raw = heredoc_name(word, EXPAND_RAW_QUOTES | EXPAND_RAW_ESCAPES);
    if (!name || !raw)
        return;
    bool is_plain = strcmp(name, raw) == 0;
    out->heredocs = xrealloc(out->heredocs, out->heredoc_count + 1, sizeof(struct heredoc));
    out->heredocs[out->heredoc_count++] = (struct heredoc){
        .expand = is_plain,
        .strips_tabs = strips_tabs,
        .name = TAKE(name),
    };
}

void line_find_heredocs(const char *line, struct instruction *out)
{
    const struct expander expander = { '\\',
                                       EXPAND_RAW_QUOTES | EXPAND_RAW_ESCAPES | EXPAND_KEEP_UNSET,
                                       NULL };
    CLEANUP(strv_done) struct strv words = {};

    /* A line that is no proper sequence of words (an open quote, say) has no here-documents. */
    if (expand_words(&expander, line, &words, NULL) < 0)
        return;
    for (size_t i = 0; i < words.count; i++)
        add_heredoc(words.items[i], out);
}
