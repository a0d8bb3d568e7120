/* One pass over the text; defaults and alternatives are expanded by going down again. */
#include "compose/variable.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

enum { NESTING_LIMIT = 50 };

/* "${NAME<operator>rest}" taken apart. */
struct use {
    char *name;
    char operator[3]; /* "", "-", ":-", "?", ":?", "+", ":+" */
    char *rest;
};

static void use_done(struct use *use)
{
    free(use->name);
    free(use->rest);
}
CLEANUP_VALUE(use_done, struct use)

static size_t name_length(const char *text)
{
    size_t length = 0;

    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return 0;
    while (isalnum((unsigned char)text[length]) || text[length] == '_')
        length++;
    return length;
}

/* The '}' that ends what begins behind a "${"; NULL if there is none. */
static const char *find_end(const char *text)
{
    int depth = 1;

    for (; *text; text++) {
        if (text[0] == '$' && text[1] == '{')
            depth++;
        else if (*text == '}' && --depth == 0)
            return text;
    }
    return NULL;
}

/* Reads a use at 'text' (a '$'); gives what follows it, NULL if it is malformed. 'name' stays NULL
 * if it is no use at all. */
static const char *read_use(const char *text, struct use *out)
{
    bool is_braced = text[1] == '{';
    const char *at = text + (is_braced ? 2 : 1);
    size_t length = name_length(at);

    *out = (struct use){};
    if (!length)
        return is_braced ? NULL : text + 1;
    out->name = xstrndup(at, length);
    at += length;
    if (!is_braced)
        return at;

    const char *end = find_end(at);
    if (!end)
        return NULL;
    if (at == end)
        return end + 1;
    size_t size = *at == ':' ? 2 : 1;
    if (!strchr("-?+", at[size - 1]) || !at[size - 1])
        return NULL;
    memcpy(out->operator, at, size);
    at += size;
    out->rest = xstrndup(at, (size_t)(end - at));
    return end + 1;
}

static int expand(const char *text, const struct variable_source *source, int depth,
                  struct str *out, bool *out_is_malformed, struct error *err);

static int apply(const struct use *use, const struct variable_source *source, int depth,
                 struct str *out, bool *out_is_malformed, struct error *err)
{
    const char *value = source->get(source->data, use->name);
    char kind = use->operator[0] == ':' ? use->operator[1] : use->operator[0];
    bool is_set = value && (use->operator[0] != ':' || * value);

    if (kind == '+')
        return is_set ? expand(use->rest, source, depth + 1, out, out_is_malformed, err) : 0;
    if (is_set) {
        str_add(out, value);
        return 0;
    }
    if (kind == '-')
        return expand(use->rest, source, depth + 1, out, out_is_malformed, err);
    if (kind == '?') {
        CLEANUP(str_done) struct str words = {};

        if (expand(use->rest, source, depth + 1, &words, out_is_malformed, err) < 0)
            return -1;
        return error_set(err, ERROR_INVALID, "required variable %s is missing a value%s%s",
                         use->name, words.length ? ": " : "", str_text(&words));
    }
    if (!value && source->missing)
        source->missing(source->data, use->name);
    return 0;
}

static int expand(const char *text, const struct variable_source *source, int depth,
                  struct str *out, bool *out_is_malformed, struct error *err)
{
    if (depth > NESTING_LIMIT)
        return error_set(err, ERROR_INVALID, "variables are nested more than %d deep",
                         NESTING_LIMIT);
    while (*text) {
        CLEANUP(use_done) struct use use = {};
        size_t plain = strcspn(text, "$");

        str_add_bytes(out, text, plain);
        text += plain;
        if (!*text)
            break;
        if (text[1] == '$') {
            str_add_char(out, '$');
            text += 2;
            continue;
        }
        const char *behind = read_use(text, &use);
        if (!behind) {
            *out_is_malformed = true;
            return error_set(err, ERROR_INVALID, "invalid interpolation format");
        }
        if (!use.name)
            str_add_char(out, '$');
        else if (apply(&use, source, depth, out, out_is_malformed, err) < 0)
            return -1;
        if (out->length > VARIABLE_SIZE_LIMIT)
            return error_set(err, ERROR_INVALID, "a text grows too large by its variables");
        text = behind;
    }
    return 0;
}

int variable_expand(const char *text, const struct variable_source *source, struct str *out,
                    bool *out_is_malformed, struct error *err)
{
    *out_is_malformed = false;
    return expand(text, source, 0, out, out_is_malformed, err);
}

static void list(const char *text, int depth,
                 void (*each)(void *data, const struct variable_use *use), void *data)
{
    while ((text = strchr(text, '$')) && depth <= NESTING_LIMIT) {
        CLEANUP(use_done) struct use use = {};
        const char *behind = text[1] == '$' ? text + 2 : read_use(text, &use);

        if (!behind)
            return;
        if (use.name) {
            char kind = use.operator[0] == ':' ? use.operator[1] : use.operator[0];
            struct variable_use found = { .name = use.name,
                                          .fallback = kind == '-' ? use.rest : NULL,
                                          .alternative = kind == '+' ? use.rest : NULL,
                                          .is_required = kind == '?' };

            each(data, &found);
            if (use.rest)
                list(use.rest, depth + 1, each, data);
        }
        text = behind;
    }
}

void variable_list(const char *text, void (*each)(void *data, const struct variable_use *use),
                   void *data)
{
    list(text, 0, each, data);
}
