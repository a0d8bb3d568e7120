/* Paths of keys as text. */
#include "compose/spot.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

#include "base/banned.h"

static void add(const struct spot *spot, struct str *out)
{
    if (!spot)
        return;
    add(spot->above, out);
    if (out->length)
        str_add_char(out, '.');
    if (spot->name)
        str_add(out, spot->name);
    else
        str_add_format(out, "%zu", spot->index);
}

char *spot_text(const struct spot *spot)
{
    struct str text = {};

    add(spot, &text);
    return str_take(&text);
}

int spot_error(const struct spot *spot, const struct yaml *node, struct error *err,
               const char *format, ...)
{
    CLEANUP(free) char *where = spot_text(spot);
    CLEANUP(str_done) struct str words = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&words, format, arguments);
    va_end(arguments);
    if (node && node->line)
        str_add_format(&words, " (line %d)", node->line);
    return error_set(err, ERROR_INVALID, "validating %s: %s %s",
                     node && node->file ? node->file : "the project", where, str_text(&words));
}
