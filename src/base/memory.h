/* Allocation that cannot fail: running out of memory ends the process with a message. Sizes that
 * come from outside are checked against a limit with a name before they get here. */
#ifndef BERTH_BASE_MEMORY_H
#define BERTH_BASE_MEMORY_H

#include "base/macros.h"

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull)); /* zeroed, overflow checked */
void *xrealloc(void *pointer, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text); /* NULL gives NULL */
char *xstrndup(const char *text, size_t length) __attribute__((returns_nonnull));
char *xasprintf(const char *format, ...) PRINTF(1, 2) __attribute__((returns_nonnull));

/* A zeroed object of that type. */
#define NEW(type) ((type *)xcalloc(1, sizeof(type)))

#endif
