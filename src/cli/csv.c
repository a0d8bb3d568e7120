/* One line of CSV (RFC 4180). */
#include "cli/csv.h"

#include <string.h>

#include "base/str.h"

#include "base/banned.h"

/* Reads a field in quotes; *text stands behind the first quote, then behind the last. */
static int read_quoted(const char **text, struct str *field, struct error *err)
{
    for (; **text; (*text)++) {
        if (**text != '"') {
            str_add_char(field, **text);
        } else if ((*text)[1] == '"') {
            str_add_char(field, '"');
            (*text)++;
        } else {
            (*text)++;
            return 0;
        }
    }
    return error_set(err, ERROR_INVALID, "extraneous or missing \" in quoted-field");
}

int csv_split(const char *text, struct strv *out, struct error *err)
{
    const char *at = text;

    for (;;) {
        CLEANUP(str_done) struct str field = {};

        if (*at == '"') {
            at++;
            if (read_quoted(&at, &field, err) < 0)
                return -1;
            if (*at && *at != ',')
                return error_set(err, ERROR_INVALID, "extraneous or missing \" in quoted-field");
        } else {
            size_t length = strcspn(at, ",");

            if (memchr(at, '"', length))
                return error_set(err, ERROR_INVALID, "bare \" in non-quoted-field");
            str_add_bytes(&field, at, length);
            at += length;
        }
        strv_add(out, str_text(&field));
        if (!*at)
            return 0;
        at++;
    }
}
