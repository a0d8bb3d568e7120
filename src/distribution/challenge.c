/* Commas separate both parameters and challenges: a word with '=' behind it is a parameter of the
 * scheme before, one without is the next scheme. */
#include "distribution/challenge.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

#define BLANKS " \t,"

/* A quoted text or a bare one at '*at', which moves behind it; yours. */
static char *read_value(const char **at)
{
    CLEANUP(str_done) struct str value = {};

    if (**at != '"') {
        size_t length = strcspn(*at, BLANKS);

        str_add_bytes(&value, *at, length);
        *at += length;
        return str_take(&value);
    }
    for (++*at; **at && **at != '"'; ++*at) {
        if (**at == '\\' && (*at)[1])
            ++*at;
        str_add_char(&value, **at);
    }
    if (**at)
        ++*at;
    return str_take(&value);
}

static void set(struct challenge *out, const char *name, size_t length, char *value)
{
    const struct {
        const char *name;
        char **member;
    } members[] = { { "realm", &out->realm },
                    { "service", &out->service },
                    { "scope", &out->scope } };

    for (size_t i = 0; i < COUNT(members); i++)
        if (strlen(members[i].name) == length && strncasecmp(members[i].name, name, length) == 0) {
            free(*members[i].member);
            *members[i].member = value;
            return;
        }
    free(value);
}

void challenge_parse(const char *text, struct challenge *out)
{
    bool is_bearer = false;

    *out = (struct challenge){};
    for (const char *at = text + strspn(text, BLANKS); *at; at += strspn(at, BLANKS)) {
        const char *word = at;
        size_t length = strcspn(at, BLANKS "=");

        at += length;
        if (*at != '=') {
            is_bearer = length == 6 && strncasecmp(word, "Bearer", 6) == 0;
            out->wants_bearer = out->wants_bearer || is_bearer;
            out->wants_basic = out->wants_basic ||
                               (length == 5 && strncasecmp(word, "Basic", 5) == 0);
            continue;
        }
        at++;
        char *value = read_value(&at);
        if (is_bearer)
            set(out, word, length, value);
        else
            free(value);
    }
    out->wants_bearer = out->wants_bearer && out->realm;
}

void challenge_done(struct challenge *challenge)
{
    free(challenge->realm);
    free(challenge->service);
    free(challenge->scope);
    *challenge = (struct challenge){};
}
