/* Paths of keys as text. */
#include "compose/spot.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#include "base/banned.h"

enum { NAME_LIMIT = 64 }; /* of a message, in bytes */

static void add_name(const char *name, struct str *out)
{
    size_t size = strnlen(name, NAME_LIMIT + 1);

    if (size <= NAME_LIMIT) {
        str_add(out, name);
        return;
    }
    size = NAME_LIMIT;
    while (size && ((unsigned char)name[size] & 0xC0) == 0x80)
        size--;
    str_add_bytes(out, name, size);
    str_add(out, "...");
}

static void add(const struct spot *spot, struct str *out)
{
    if (!spot)
        return;
    add(spot->above, out);
    if (out->length)
        str_add_char(out, '.');
    if (spot->name)
        add_name(spot->name, out);
    else
        str_add_format(out, "%zu", spot->index);
}

char *spot_text(const struct spot *spot)
{
    struct str text = {};

    add(spot, &text);
    return str_take(&text);
}

/* What stands there; NULL if nothing does. 'inout_known' becomes the last on the way that has a
 * place. */
static const struct yaml *walk(const struct yaml *root, const struct spot *spot,
                               const struct yaml **inout_known)
{
    const struct yaml *node = root;

    if (spot) {
        node = walk(root, spot->above, inout_known);
        if (spot->name)
            node = yaml_get(node, spot->name);
        else
            node = spot->index < yaml_count(node) ? node->items[spot->index] : NULL;
    }
    if (node && node->file && node->line)
        *inout_known = node;
    return node;
}

const struct yaml *spot_find(const struct yaml *root, const struct spot *spot)
{
    const struct yaml *known = NULL;

    walk(root, spot, &known);
    return known;
}

int spot_place(const struct spot *spot, const struct yaml *node, const char *remedy,
               struct error *err)
{
    CLEANUP(free) char *where = spot_text(spot);
    CLEANUP(str_done) struct str text = {};

    if (node && node->file)
        str_add_format(&text, "%s:%d", node->file, node->line);
    if (*where)
        str_add_format(&text, "%s%s", text.length ? ": " : "", where);
    if (remedy)
        str_add_format(&text, "%s%s", text.length ? "; " : "", remedy);
    return text.length ? error_add(err, " (%s)", str_text(&text)) : -1;
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
    error_set(err, ERROR_INVALID, "validating %s: %s%s%s",
              node && node->file ? node->file : "the project", where, *where ? " " : "",
              str_text(&words));
    return node && node->line ? error_add(err, " (line %d)", node->line) : -1;
}
