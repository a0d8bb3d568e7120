/* "NAME=value\n", or, when the value holds a newline, "NAME\n", its size as 64 bits little-endian,
 * the value and "\n". */
#include "forward/journal.h"

#include <ctype.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

char *journal_field_name(const char *text)
{
    struct str name = {};

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c))
            str_add_char(&name, (char)toupper(c));
        else if (name.length > 0)
            str_add_char(&name, '_');
    }
    return str_take(&name);
}

static void add_field(struct buf *out, const char *name, const char *value, size_t size)
{
    buf_add(out, name, strlen(name));
    if (memchr(value, '\n', size)) {
        uint64_t length = htole64(size);

        buf_add(out, "\n", 1);
        buf_add(out, &length, sizeof(length));
    } else
        buf_add(out, "=", 1);
    buf_add(out, value, size);
    buf_add(out, "\n", 1);
}

void journal_format(const struct forward_settings *settings, const struct forward_entry *entry,
                    const char *text, struct buf *out)
{
    char micros[24];

    MAP_EACH (&settings->fields, field)
        add_field(out, field->key, field->value, strlen(field->value));
    if (entry->is_partial)
        add_field(out, "CONTAINER_PARTIAL_MESSAGE", "true", 4);
    snprintf(micros, sizeof(micros), "%lld", (long long)(entry->wall_ns / 1000));
    add_field(out, "SYSLOG_TIMESTAMP", micros, strlen(micros));
    add_field(out, "PRIORITY", entry->is_stderr ? "3" : "6", 1);
    add_field(out, "MESSAGE", text, entry->size);
}
