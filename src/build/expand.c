/* Quotes, escapes and variables. One reader walks over the text; the functions for '…', "…" and $…
 * each begin at their first character and end behind their last. */
#include "build/expand.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "build/glob.h"
#include "build/golang.h"

#include "base/banned.h"

/* Characters of a text that its error shows. */
#define SHOWN_LIMIT 400

struct reader {
    const struct expander *expander;
    const char *at;
    bool raw_escapes;
    int depth;
};

/* Words as they come together. */
struct words {
    struct strv *list;
    struct str word;
    bool in_word;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void words_push(struct words *words)
{
    if (words->word.length == 0)
        return;
    strv_add(words->list, str_text(&words->word));
    str_clear(&words->word);
    words->in_word = false;
}

/* A character that splits words if it is a blank. */
static void words_add(struct words *words, char c)
{
    if (!words)
        return;
    if (is_space(c)) {
        if (words->in_word)
            words_push(words);
        return;
    }
    str_add_char(&words->word, c);
    words->in_word = true;
}

static void words_add_raw(struct words *words, const char *text, size_t length)
{
    if (!words)
        return;
    str_add_bytes(&words->word, text, length);
    words->in_word = true;
}

static int until(struct reader *r, char stop, struct str *out, struct words *words,
                 struct error *err);

static int check_size(const struct str *out, struct error *err)
{
    if (out->length > EXPAND_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "the expanded text is larger than %zu bytes",
                         EXPAND_SIZE_LIMIT);
    return 0;
}

static bool has_flag(const struct reader *r, unsigned flag)
{
    return (r->expander->flags & flag) != 0;
}

static const char *value_of(const struct reader *r, const char *name)
{
    return r->expander->environment ? strv_env_get(r->expander->environment, name) : NULL;
}

static int single_quoted(struct reader *r, struct str *out, struct error *err)
{
    const char *end = strchr(r->at + 1, '\'');
    size_t keep = has_flag(r, EXPAND_RAW_QUOTES) ? 1 : 0;

    if (!end)
        return error_set(err, ERROR_INVALID,
                         "unexpected end of statement while looking for matching single-quote");
    str_add_bytes(out, r->at + 1 - keep, (size_t)(end - r->at) - 1 + 2 * keep);
    r->at = end + 1;
    return 0;
}

/* The name behind '$' or "${": letters, digits and '_', or a run of digits, or one special sign. */
static char *read_name(struct reader *r)
{
    const char *start = r->at;

    if (isdigit((unsigned char)*r->at)) {
        while (isdigit((unsigned char)*r->at))
            r->at++;
    } else if (*r->at && strchr("@*#?-$!", *r->at)) {
        r->at++;
    } else {
        while (isalnum((unsigned char)*r->at) || *r->at == '_' || (unsigned char)*r->at >= 0x80)
            r->at++;
    }
    return xstrndup(start, (size_t)(r->at - start));
}

static int unsupported(const char *modifier, size_t length, struct error *err)
{
    return error_set(err, ERROR_INVALID, "unsupported modifier (%.*s) in substitution", (int)length,
                     modifier);
}

/* A word inside ${…} up to 'stop'. */
static int inner_word(struct reader *r, char stop, bool raw_escapes, const char *missing,
                      struct str *out, struct error *err)
{
    bool kept = r->raw_escapes;

    if (r->depth >= EXPAND_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "substitutions are nested too deeply");
    r->depth++;
    r->raw_escapes = raw_escapes;
    int result = until(r, stop, out, NULL, err);
    r->raw_escapes = kept;
    r->depth--;
    if (result < 0 && *r->at == 0)
        return error_set(err, ERROR_INVALID, "syntax error: missing %s", missing);
    return result;
}

static int trimmed(char modifier, const char *pattern, const char *value, struct str *out,
                   struct error *err)
{
    bool longest = pattern[0] == modifier;

    return glob_trim(longest ? pattern + 1 : pattern, value,
                     modifier == '#' ? GLOB_PREFIX : GLOB_SUFFIX, longest, out, err);
}

/* ${name<modifier>word}, the reader being behind the modifier of 'length' characters. */
static int modified(struct reader *r, const char *name, const char *modifier, size_t length,
                    struct str *out, struct error *err)
{
    CLEANUP(str_done) struct str word = {};
    const char sign = modifier[length - 1], *value = value_of(r, name);
    bool empty_is_unset = length == 2;

    if ((sign == '#' || sign == '%') && empty_is_unset)
        return unsupported(modifier, length, err);
    if (inner_word(r, '}', sign == '#' || sign == '%', "'}'", &word, err) < 0)
        return -1;
    if (!value && has_flag(r, EXPAND_KEEP_UNSET)) {
        str_add_format(out, "${%s%.*s%s}", name, (int)length, modifier, str_text(&word));
        return 0;
    }

    bool is_there = value && !(empty_is_unset && *value == 0);
    switch (sign) {
    case '-':
        str_add(out, is_there ? value : str_text(&word));
        return 0;
    case '+':
        str_add(out, is_there ? str_text(&word) : "");
        return 0;
    case '?':
        if (!is_there)
            return error_set(err, ERROR_INVALID, "%s: %s", name,
                             word.length > 0 ? word.data
                             : value         ? "is not allowed to be empty"
                                             : "is not allowed to be unset");
        str_add(out, value);
        return 0;
    case '#':
    case '%':
        return trimmed(sign, str_text(&word), value ? value : "", out, err);
    default:
        return unsupported(modifier, length, err);
    }
}

/* ${name/pattern/replacement}, the reader being behind the first '/'. */
static int replaced(struct reader *r, const char *name, struct str *out, struct error *err)
{
    CLEANUP(str_done) struct str pattern = {}, replacement = {};
    const char *value = value_of(r, name);
    bool all = *r->at == '/';

    if (all)
        r->at++;
    if (inner_word(r, '/', true, "'/' in ${}", &pattern, err) < 0 ||
        inner_word(r, '}', true, "'}'", &replacement, err) < 0)
        return -1;
    if (!value && has_flag(r, EXPAND_KEEP_UNSET)) {
        str_add_format(out, "${%s/%s/%s}", name, str_text(&pattern), str_text(&replacement));
        return 0;
    }
    if (glob_replace(str_text(&pattern), value ? value : "", str_text(&replacement), all, out,
                     err) < 0)
        return -1;
    return check_size(out, err);
}

static int braced(struct reader *r, struct str *out, struct error *err)
{
    if (*r->at == 0)
        return error_set(err, ERROR_INVALID, "syntax error: missing '}'");
    if (strchr("{}:", *r->at))
        return error_set(err, ERROR_INVALID, "syntax error: bad substitution");

    CLEANUP(free) char *name = read_name(r);
    const char *modifier = r->at;
    size_t length = 1;

    switch (*modifier) {
    case '}': {
        const char *value = value_of(r, name);

        r->at++;
        if (!value && has_flag(r, EXPAND_KEEP_UNSET))
            str_add_format(out, "${%s}", name);
        str_add(out, value ? value : "");
        return 0;
    }
    case '/':
        r->at++;
        return replaced(r, name, out, err);
    case ':':
        if (modifier[1] == 0)
            return unsupported(":\xef\xbf\xbd", 4, err);
        length = 2;
        break;
    case '+':
    case '-':
    case '?':
    case '#':
    case '%':
        break;
    case 0: /* Said as the reference does, which prints the end of the text as U+FFFD. */
        return unsupported("\xef\xbf\xbd", 3, err);
    default:
        while ((modifier[length] & 0xc0) == 0x80)
            length++;
        return unsupported(modifier, length, err);
    }
    r->at += length;
    return modified(r, name, modifier, length, out, err);
}

static int dollar(struct reader *r, struct str *out, struct error *err)
{
    r->at++;
    if (*r->at == '{') {
        r->at++;
        return braced(r, out, err);
    }

    CLEANUP(free) char *name = read_name(r);
    const char *value = value_of(r, name);

    if (*name == 0 || (!value && has_flag(r, EXPAND_KEEP_UNSET)))
        str_add_format(out, "$%s", name);
    else if (value)
        str_add(out, value);
    return 0;
}

static int double_quoted(struct reader *r, struct str *out, struct error *err)
{
    bool keep = has_flag(r, EXPAND_RAW_QUOTES);

    if (keep)
        str_add_char(out, '"');
    for (r->at++; *r->at != '"';) {
        if (*r->at == 0)
            return error_set(err, ERROR_INVALID,
                             "unexpected end of statement while looking for matching double-quote");
        if (*r->at == '$') {
            if (dollar(r, out, err) < 0 || check_size(out, err) < 0)
                return -1;
            continue;
        }

        char c = *r->at++;
        if (c == r->expander->escape) {
            if (r->raw_escapes)
                str_add_char(out, c);
            if (*r->at == 0)
                continue;
            if (*r->at == '"' || *r->at == '$' || *r->at == c)
                c = *r->at++;
        }
        str_add_char(out, c);
    }
    r->at++;
    if (keep)
        str_add_char(out, '"');
    return 0;
}

static int special(struct reader *r, struct str *out, struct words *words, struct error *err)
{
    size_t before = out->length;
    char first = *r->at;
    int result = first == '$'    ? dollar(r, out, err)
                 : first == '\'' ? single_quoted(r, out, err)
                                 : double_quoted(r, out, err);

    if (result < 0 || check_size(out, err) < 0)
        return -1;
    if (first != '$')
        words_add_raw(words, str_text(out) + before, out->length - before);
    else
        for (size_t i = before; i < out->length; i++)
            words_add(words, out->data[i]);
    return 0;
}

/* Everything up to 'stop' (0: the end of the text), which is read too. */
static int until(struct reader *r, char stop, struct str *out, struct words *words,
                 struct error *err)
{
    while (*r->at) {
        char c = *r->at;

        if (stop && c == stop) {
            r->at++;
            return 0;
        }
        if (c == '$' || ((c == '\'' || c == '"') && !(r->expander->flags & EXPAND_PLAIN_QUOTES))) {
            if (special(r, out, words, err) < 0)
                return -1;
            continue;
        }
        r->at++;
        if (c == r->expander->escape) {
            if (r->raw_escapes) {
                words_add_raw(words, &c, 1);
                str_add_char(out, c);
            }
            if (*r->at == 0)
                break;
            c = *r->at++;
            words_add_raw(words, &c, 1);
        } else {
            words_add(words, c);
        }
        str_add_char(out, c);
    }
    if (stop)
        return error_set(err, ERROR_INVALID,
                         "unexpected end of statement while looking for matching %c", stop);
    return 0;
}

static int process(const struct expander *expander, const char *text, struct str *out,
                   struct words *words, struct error *err)
{
    struct reader reader = { expander, text, (expander->flags & EXPAND_RAW_ESCAPES) != 0, 0 };
    CLEANUP(str_done) struct str source = {};

    if (until(&reader, 0, out, words, err) == 0)
        return 0;
    CLEANUP(free) char *shown = xstrndup(text, SHOWN_LIMIT);
    go_add_quoted(&source, shown);
    return error_context(err, "failed to process %s", source.data);
}

int expand_word(const struct expander *expander, const char *text, struct str *out,
                struct error *err)
{
    return process(expander, text, out, NULL, err);
}

int expand_words(const struct expander *expander, const char *text, struct strv *out,
                 struct error *err)
{
    CLEANUP(str_done) struct str all = {};
    struct words words = { .list = out };
    int result = process(expander, text, &all, &words, err);

    if (result == 0)
        words_push(&words);
    str_done(&words.word);
    return result;
}
