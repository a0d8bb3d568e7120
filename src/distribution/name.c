/* The grammar of names, by hand: it is walked for every request. */
#include "distribution/name.h"

#include <stddef.h>
#include <string.h>

#include "base/banned.h"

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Behind a separator at 'at' ("." "_" "__" or dashes); NULL if it is none. */
static const char *skip_separator(const char *at)
{
    if (*at == '-')
        return at + strspn(at, "-");
    if (at[0] == '_' && at[1] == '_')
        return at + 2;
    return *at == '.' || *at == '_' ? at + 1 : NULL;
}

/* Behind one part; NULL if there is none at 'at'. */
static const char *skip_part(const char *at)
{
    for (;;) {
        const char *start = at;

        while (is_plain(*at))
            at++;
        if (at == start)
            return NULL;
        if (*at == '/' || !*at)
            return at;
        at = skip_separator(at);
        if (!at)
            return NULL;
    }
}

bool name_is_repository(const char *text)
{
    if (!text || strnlen(text, NAME_LENGTH_LIMIT + 1) > NAME_LENGTH_LIMIT)
        return false;
    for (;;) {
        text = skip_part(text);
        if (!text)
            return false;
        if (!*text)
            return true;
        text++;
    }
}

bool name_is_tag(const char *text)
{
    size_t length = 0;

    if (!text)
        return false;
    for (; text[length]; length++) {
        char c = text[length];
        bool is_word = is_plain(c) || (c >= 'A' && c <= 'Z') || c == '_';

        if (length == TAG_LENGTH_LIMIT || !(is_word || (length > 0 && (c == '.' || c == '-'))))
            return false;
    }
    return length > 0;
}

bool name_matches(const char *pattern, const char *name)
{
    for (; *pattern; pattern++, name++) {
        bool is_any = pattern[0] == '*' && pattern[1] == '*';

        if (*pattern == '*') {
            const char *rest = pattern + (is_any ? 2 : 1);

            for (;; name++) {
                if (name_matches(rest, name))
                    return true;
                if (!*name || (*name == '/' && !is_any))
                    return false;
            }
        }
        if (*pattern != *name)
            return false;
    }
    return !*name;
}
