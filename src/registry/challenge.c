/* A scheme is a word that no '=' follows; everything else is a parameter of the scheme before. */
#include "registry/challenge.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"

#include "base/banned.h"

#define CHALLENGE_COUNT_LIMIT ((size_t)16)
#define PARAMETER_COUNT_LIMIT ((size_t)32)
#define TEXT_LIMIT            ((size_t)16384)

void challenges_done(struct challenges *challenges)
{
    for (size_t i = 0; i < challenges->count; i++) {
        free(challenges->items[i].scheme);
        map_done(&challenges->items[i].parameters);
    }
    free(challenges->items);
    *challenges = (struct challenges){};
}

const struct challenge *challenges_find(const struct challenges *challenges, const char *scheme)
{
    for (size_t i = 0; i < challenges->count; i++)
        if (strcmp(challenges->items[i].scheme, scheme) == 0)
            return &challenges->items[i];
    return NULL;
}

const char *challenge_get(const struct challenge *challenge, const char *name)
{
    return (const char *)map_get(&challenge->parameters, name) ?: "";
}

static bool is_token(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* Blanks and empty list elements. */
static const char *skip_separators(const char *at)
{
    return at + strspn(at, " \t,");
}

static char *read_token(const char **at)
{
    size_t length = 0;

    while (is_token((*at)[length]))
        length++;
    char *token = xstrndup(*at, length);
    text_lower(token);
    *at += length;
    return token;
}

static int read_quoted(const char **at, struct str *out, struct error *err)
{
    const char *c = *at + 1;

    for (; *c && *c != '"'; c++) {
        if (*c == '\\' && c[1])
            c++;
        str_add_char(out, *c);
    }
    if (*c != '"')
        return error_set(err, ERROR_INVALID, "invalid challenge: a quotation does not end");
    *at = c + 1;
    return 0;
}

/* '*at' is behind the '='. Unquoted values are read generously: some servers put URLs there. */
static int read_value(const char **at, char **out, struct error *err)
{
    CLEANUP(str_done) struct str value = {};

    *at = skip_blanks(*at);
    if (**at == '"') {
        if (read_quoted(at, &value, err) < 0)
            return -1;
    } else {
        size_t length = strcspn(*at, " \t,\"");

        str_add_bytes(&value, *at, length);
        *at += length;
    }
    *out = str_take(&value);
    return 0;
}

static int add_parameter(struct challenges *out, const char *name, char *value, struct error *err)
{
    struct challenge *challenge = &out->items[out->count - 1];

    if (challenge->parameters.count >= PARAMETER_COUNT_LIMIT ||
        map_has(&challenge->parameters, name)) {
        free(value);
        return error_set(err, ERROR_INVALID, "invalid challenge: %.60s comes twice, or too much",
                         name);
    }
    map_set(&challenge->parameters, name, value);
    return 0;
}

static int add_scheme(struct challenges *out, char *scheme, struct error *err)
{
    if (out->count >= CHALLENGE_COUNT_LIMIT) {
        free(scheme);
        return error_set(err, ERROR_INVALID, "invalid challenge: too many schemes");
    }
    out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
    struct challenge *challenge = &out->items[out->count++];
    challenge->scheme = scheme;
    map_init_empty(&challenge->parameters, free);
    return 0;
}

static int read_element(const char **at, struct challenges *out, struct error *err)
{
    CLEANUP(free) char *word = read_token(at);
    char *value;

    if (!*word)
        return error_set(err, ERROR_INVALID, "invalid challenge: %.100s", *at);
    const char *behind = skip_blanks(*at);
    bool is_parameter = *behind == '=' && out->count > 0;
    if (!is_parameter)
        return *behind == '='
                   ? error_set(err, ERROR_INVALID, "invalid challenge: a parameter without scheme")
                   : add_scheme(out, TAKE(word), err);
    *at = behind + 1;
    if (read_value(at, &value, err) < 0)
        return -1;
    return add_parameter(out, word, value, err);
}

int challenges_parse(const char *text, struct challenges *out, struct error *err)
{
    CLEANUP(challenges_done) struct challenges challenges = {};

    if (strlen(text) > TEXT_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid challenge: too long");
    for (const char *at = skip_separators(text); *at; at = skip_separators(at))
        if (read_element(&at, &challenges, err) < 0)
            return -1;
    *out = challenges;
    challenges = (struct challenges){};
    return 0;
}
