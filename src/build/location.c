/* Lines around an error. */
#include "build/location.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#include "base/banned.h"

#define LINES_AROUND 2
#define SHOWN_LIMIT  120
#define RULE         "--------------------\n"

int location_line(const char *message)
{
    static const char *const marks[] = { " on line ", "(line " };

    for (size_t i = 0; i < COUNT(marks); i++) {
        const char *found = strstr(message, marks[i]);

        if (found) {
            long line = strtol(found + strlen(marks[i]), NULL, 10);

            return line > 0 && line < 1000000 ? (int)line : 0;
        }
    }
    return 0;
}

void location_show(const char *name, const char *text, int line, struct str *out)
{
    int number = 1;

    if (line <= 0 || !name)
        return;
    str_add_format(out, "%s:%d\n" RULE, name, line);
    for (const char *at = text; *at; number++) {
        size_t length = strcspn(at, "\n"), shown = length;

        if (shown > 0 && at[shown - 1] == '\r')
            shown--;
        if (number >= line - LINES_AROUND && number <= line + LINES_AROUND)
            str_add_format(out, "%4d | %s %.*s\n", number, number == line ? ">>>" : "   ",
                           (int)MIN(shown, (size_t)SHOWN_LIMIT), at);
        at += length + (at[length] == '\n');
    }
    str_add(out, RULE);
}
