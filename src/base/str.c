/* Growing text: doubles its memory, keeps a NUL behind the last character. */
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

enum { FIRST_CAPACITY = 64 };

void str_reserve(struct str *str, size_t more)
{
    size_t wanted = str->length + more + 1;

    if (wanted <= str->capacity)
        return;
    size_t capacity = str->capacity ? str->capacity : FIRST_CAPACITY;
    while (capacity < wanted)
        capacity *= 2;
    str->data = xrealloc(str->data, capacity, 1);
    str->capacity = capacity;
    str->data[str->length] = 0;
}

void str_add_bytes(struct str *str, const void *bytes, size_t size)
{
    str_reserve(str, size);
    if (size)
        memcpy(str->data + str->length, bytes, size);
    str->length += size;
    str->data[str->length] = 0;
}

void str_add(struct str *str, const char *text)
{
    str_add_bytes(str, text, strlen(text));
}

void str_add_char(struct str *str, char c)
{
    str_reserve(str, 1);
    str->data[str->length++] = c;
    str->data[str->length] = 0;
}

void str_add_vformat(struct str *str, const char *format, va_list arguments)
{
    va_list copy;

    str_reserve(str, 0);
    va_copy(copy, arguments);
    size_t room = str->capacity - str->length;
    int length = vsnprintf(str->data + str->length, room, format, copy);
    va_end(copy);
    if (length < 0)
        return;
    if ((size_t)length >= room) {
        str_reserve(str, (size_t)length);
        vsnprintf(str->data + str->length, (size_t)length + 1, format, arguments);
    }
    str->length += (size_t)length;
}

void str_add_format(struct str *str, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(str, format, arguments);
    va_end(arguments);
}

void str_cut(struct str *str, size_t length)
{
    if (length >= str->length)
        return;
    str->length = length;
    str->data[length] = 0;
}

void str_clear(struct str *str)
{
    str_cut(str, 0);
}

const char *str_text(const struct str *str)
{
    return str->data ? str->data : "";
}

char *str_take(struct str *str)
{
    char *text = str->data ? str->data : xstrdup("");

    *str = (struct str){};
    return text;
}

void str_done(struct str *str)
{
    free(str->data);
    *str = (struct str){};
}
