/* Text that grows. Always ends in a NUL (not counted in 'length'); a zeroed struct is an empty
 * text, whose 'data' is NULL until something is added: str_text() never is. */
#ifndef BERTH_BASE_STR_H
#define BERTH_BASE_STR_H

#include <stdarg.h>

#include "base/macros.h"

struct str {
    char *data;
    size_t length;
    size_t capacity;
};

void str_add(struct str *str, const char *text);
void str_add_bytes(struct str *str, const void *bytes, size_t size);
void str_add_char(struct str *str, char c);
void str_add_format(struct str *str, const char *format, ...) PRINTF(2, 3);
void str_add_vformat(struct str *str, const char *format, va_list arguments) PRINTF(2, 0);
void str_reserve(struct str *str, size_t more); /* room for 'more' further characters */
void str_cut(struct str *str, size_t length);   /* keeps the first 'length' characters */
void str_clear(struct str *str);                /* empty, memory kept */
const char *str_text(const struct str *str);    /* borrowed, never NULL */
char *str_take(struct str *str);                /* yours, never NULL; str is empty afterwards */
void str_done(struct str *str);
CLEANUP_VALUE(str_done, struct str)

#endif
