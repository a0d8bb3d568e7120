/* A list of texts that it owns. A zeroed struct is "none" (JSON null); strv_init_empty makes "an
 * empty list" (JSON []), which differs only in that 'items' is not NULL. items[count] is always
 * NULL once there are items, as execve wants it. */
#ifndef BERTH_BASE_STRV_H
#define BERTH_BASE_STRV_H

#include <stdbool.h>

#include "base/macros.h"

struct strv {
    char **items;
    size_t count;
    size_t capacity;
};

void strv_init_empty(struct strv *strv);
void strv_add(struct strv *strv, const char *text); /* copies */
void strv_add_take(struct strv *strv, char *text);  /* takes */
void strv_add_format(struct strv *strv, const char *format, ...) PRINTF(2, 3);
void strv_add_all(struct strv *strv, const struct strv *other);
void strv_insert(struct strv *strv, size_t index, const char *text);
void strv_remove(struct strv *strv, size_t index);
void strv_copy(struct strv *out,
               const struct strv *strv); /* 'out' is uninitialised; keeps none/empty apart */
bool strv_contains(const struct strv *strv, const char *text);
bool strv_equal(const struct strv *a, const struct strv *b);
void strv_sort(struct strv *strv); /* by byte */
char *strv_join(const struct strv *strv, const char *separator);

/* Splits at each 'separator'; "" gives no item, "a,,b" gives an empty one in the middle. */
void strv_split(struct strv *out, const char *text, char separator);

/* For lists of KEY=VALUE: the value of the last entry with that key (borrowed) or NULL; set
 * replaces the entry in place or adds it; unset removes it. */
const char *strv_env_get(const struct strv *env, const char *key);
void strv_env_set(struct strv *env, const char *key, const char *value);
void strv_env_unset(struct strv *env, const char *key);

/* Sets and unsets many in one go, in order: KEY=VALUE sets, KEY alone unsets. */
void strv_env_change(struct strv *env, const struct strv *changes);

void strv_done(struct strv *strv);
CLEANUP_VALUE(strv_done, struct strv)

#endif
