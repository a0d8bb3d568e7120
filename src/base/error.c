/* Errors are written once, where they happen, and prefixed on the way up. */
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const char *const kind_names[] = {
#define X(name) #name,
    ERROR_KINDS(X)
#undef X
};

/* Drops the bytes of a UTF-8 character that the end of the buffer cut in two. */
static void trim_partial_character(char *text)
{
    size_t length = strlen(text);
    size_t start = length;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < wanted)
        text[start - 1] = 0;
}

PRINTF(2, 0) static void set_text(struct error *err, const char *format, va_list arguments)
{
    int length = vsnprintf(err->text, sizeof(err->text), format, arguments);

    if (length >= (int)sizeof(err->text))
        trim_partial_character(err->text);
}

int error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list arguments;

    if (!err)
        return -1;
    err->kind = kind;
    err->sys = 0;
    va_start(arguments, format);
    set_text(err, format, arguments);
    va_end(arguments);
    return -1;
}

int error_sys(struct error *err, const char *format, ...)
{
    int number = errno;
    va_list arguments;

    if (!err)
        return -1;
    err->kind = ERROR_INTERNAL;
    err->sys = number;
    va_start(arguments, format);
    set_text(err, format, arguments);
    va_end(arguments);

    /* In the middle of a sentence, and as clients look for it: "no such file or directory". */
    const char *text = strerrordesc_np(number) ?: "unknown error";
    bool is_word = islower((unsigned char)text[1]); /* not an abbreviation */
    size_t length = strlen(err->text);
    snprintf(err->text + length, sizeof(err->text) - length, ": %c%s",
             is_word ? tolower((unsigned char)text[0]) : text[0], text + 1);
    return -1;
}

int error_context(struct error *err, const char *format, ...)
{
    char old[ERROR_TEXT_SIZE];
    va_list arguments;

    if (!err)
        return -1;
    memcpy(old, err->text, sizeof(old));
    va_start(arguments, format);
    set_text(err, format, arguments);
    va_end(arguments);

    size_t length = strlen(err->text);
    if (snprintf(err->text + length, sizeof(err->text) - length, ": %s", old) >=
        (int)(sizeof(err->text) - length))
        trim_partial_character(err->text);
    return -1;
}

int error_add(struct error *err, const char *format, ...)
{
    char more[ERROR_TEXT_SIZE];
    va_list arguments;

    if (!err)
        return -1;
    va_start(arguments, format);
    int size = vsnprintf(more, sizeof(more), format, arguments);
    va_end(arguments);
    size_t room = size < (int)sizeof(more) ? sizeof(err->text) - 1 - (size_t)size : 0;

    if (strlen(err->text) > room) {
        err->text[room] = 0;
        trim_partial_character(err->text);
    }
    size_t length = strlen(err->text);
    if (snprintf(err->text + length, sizeof(err->text) - length, "%s", more) >=
        (int)(sizeof(err->text) - length))
        trim_partial_character(err->text);
    return -1;
}

const char *error_kind_name(enum error_kind kind)
{
    return (size_t)kind < COUNT(kind_names) ? kind_names[kind] : "INTERNAL";
}

enum error_kind error_kind_from_name(const char *name)
{
    for (size_t i = 0; name && i < COUNT(kind_names); i++)
        if (strcmp(kind_names[i], name) == 0)
            return (enum error_kind)i;
    return ERROR_INTERNAL;
}
