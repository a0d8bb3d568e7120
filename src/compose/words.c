/* See the header. */
#include "compose/words.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

#include "base/banned.h"

/* Reads one word, which begins at 'text'; gives what follows it, NULL if a quote stays open. */
static const char *read_word(const char *text, struct str *out)
{
    char quote = 0;

    for (; *text && (quote || !isspace((unsigned char)*text)); text++) {
        if (quote ? *text == quote : *text == '\'' || *text == '"') {
            quote = quote ? 0 : *text;
            continue;
        }
        if (*text == '\\' && quote != '\'' && text[1] &&
            (!quote || text[1] == '"' || text[1] == '\\'))
            text++;
        str_add_char(out, *text);
    }
    return quote ? NULL : text;
}

int words_split(const char *text, struct strv *out, struct error *err)
{
    strv_init_empty(out);
    for (;;) {
        struct str word = {};

        while (isspace((unsigned char)*text))
            text++;
        if (!*text)
            return 0;
        text = read_word(text, &word);
        strv_add_take(out, str_take(&word));
        if (!text)
            return error_set(err, ERROR_INVALID, "a quote stays open");
    }
}
