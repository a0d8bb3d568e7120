/* See the header. A line is one write, which stdio does not mix with others. */
#include "cli/labelled.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

enum { LINE_LIMIT = 64 * 1024 }; /* longer ones are broken */

static void end_line(struct labelled *out)
{
    CLEANUP(free) char *whole = xasprintf("%s%s\n", out->label, str_text(&out->line));

    fputs(whole, stdout);
    str_clear(&out->line);
}

void labelled_print(struct labelled *out, const char *format, ...)
{
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    if (!out->label) {
        fputs(str_text(&text), stdout);
        return;
    }
    for (const char *at = str_text(&text); *at; at++) {
        if (*at != '\n')
            str_add_char(&out->line, *at);
        if (*at == '\n' || out->line.length >= LINE_LIMIT)
            end_line(out);
    }
}

void labelled_done(struct labelled *out)
{
    if (out->line.length)
        end_line(out);
    str_done(&out->line);
}
