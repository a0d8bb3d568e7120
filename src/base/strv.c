/* A NULL-terminated vector of owned strings. */
#include "base/strv.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

static void reserve(struct strv *strv, size_t count)
{
    if (count + 1 <= strv->capacity)
        return;
    strv->capacity = MAX(count + 1, strv->capacity ? strv->capacity * 2 : 8);
    strv->items = xrealloc(strv->items, strv->capacity, sizeof(char *));
}

void strv_init_empty(struct strv *strv)
{
    *strv = (struct strv){};
    reserve(strv, 0);
    strv->items[0] = NULL;
}

void strv_add_take(struct strv *strv, char *text)
{
    reserve(strv, strv->count + 1);
    strv->items[strv->count++] = text;
    strv->items[strv->count] = NULL;
}

void strv_add(struct strv *strv, const char *text)
{
    strv_add_take(strv, xstrdup(text));
}

void strv_add_format(struct strv *strv, const char *format, ...)
{
    struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    strv_add_take(strv, str_take(&text));
}

void strv_add_all(struct strv *strv, const struct strv *other)
{
    for (size_t i = 0; i < other->count; i++)
        strv_add(strv, other->items[i]);
}

void strv_insert(struct strv *strv, size_t index, const char *text)
{
    reserve(strv, strv->count + 1);
    memmove(strv->items + index + 1, strv->items + index, (strv->count - index) * sizeof(char *));
    strv->items[index] = xstrdup(text);
    strv->items[++strv->count] = NULL;
}

void strv_remove(struct strv *strv, size_t index)
{
    free(strv->items[index]);
    memmove(strv->items + index, strv->items + index + 1, (strv->count - index) * sizeof(char *));
    strv->count--;
}

void strv_copy(struct strv *out, const struct strv *strv)
{
    *out = (struct strv){};
    if (strv->items)
        strv_init_empty(out);
    strv_add_all(out, strv);
}

bool strv_contains(const struct strv *strv, const char *text)
{
    for (size_t i = 0; i < strv->count; i++)
        if (strcmp(strv->items[i], text) == 0)
            return true;
    return false;
}

bool strv_equal(const struct strv *a, const struct strv *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *strv)
{
    if (strv->count > 1)
        qsort(strv->items, strv->count, sizeof(char *), compare);
}

char *strv_join(const struct strv *strv, const char *separator)
{
    struct str text = {};

    for (size_t i = 0; i < strv->count; i++) {
        if (i)
            str_add(&text, separator);
        str_add(&text, strv->items[i]);
    }
    return str_take(&text);
}

void strv_split(struct strv *out, const char *text, char separator)
{
    *out = (struct strv){};
    if (!*text)
        return;
    for (;;) {
        const char *end = strchrnul(text, separator);

        strv_add_take(out, xstrndup(text, (size_t)(end - text)));
        if (!*end)
            return;
        text = end + 1;
    }
}

static bool env_is_of(const char *entry, const char *key)
{
    size_t length = strlen(key);

    return entry && strncmp(entry, key, length) == 0 && entry[length] == '=';
}

static size_t env_find(const struct strv *env, const char *key)
{
    for (size_t i = env->count; i-- > 0;)
        if (env_is_of(env->items[i], key))
            return i;
    return (size_t)-1;
}

const char *strv_env_get(const struct strv *env, const char *key)
{
    size_t index = env_find(env, key);

    return index == (size_t)-1 ? NULL : env->items[index] + strlen(key) + 1;
}

void strv_env_set(struct strv *env, const char *key, const char *value)
{
    size_t index = env_find(env, key);
    char *entry = xasprintf("%s=%s", key, value);

    if (index == (size_t)-1) {
        strv_add_take(env, entry);
        return;
    }
    free(env->items[index]);
    env->items[index] = entry;
}

void strv_env_unset(struct strv *env, const char *key)
{
    size_t index;

    while ((index = env_find(env, key)) != (size_t)-1)
        strv_remove(env, index);
}

/* Entries with this key become NULL; 'count' is how many to look at. */
static void env_drop(struct strv *env, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (env_is_of(env->items[i], key))
            free(TAKE(env->items[i]));
}

static void env_close_gaps(struct strv *env)
{
    size_t kept = 0;

    for (size_t i = 0; i < env->count; i++)
        if (env->items[i])
            env->items[kept++] = env->items[i];
    env->count = kept;
    if (env->items)
        env->items[kept] = NULL;
}

/* 'places' has each key's last entry, as its index + 1. */
static void env_change(struct strv *env, struct map *places, const char *change)
{
    const char *split = strchr(change, '=');
    CLEANUP(free) char *key = xstrndup(change, strcspn(change, "="));
    size_t place = (size_t)(uintptr_t)map_get(places, key);

    if (split && place > 0) {
        free(env->items[place - 1]);
        env->items[place - 1] = xstrdup(change);
    } else if (split) {
        strv_add(env, change);
        map_set(places, key, (void *)(uintptr_t)env->count);
    } else if (place > 0) {
        env_drop(env, place, key);
        map_set(places, key, NULL);
    }
}

void strv_env_change(struct strv *env, const struct strv *changes)
{
    CLEANUP(map_done) struct map places = {};

    for (size_t i = 0; i < env->count; i++) {
        const char *split = strchr(env->items[i], '=');
        CLEANUP(free)
        char *key = split ? xstrndup(env->items[i], (size_t)(split - env->items[i])) : NULL;

        if (key)
            map_set(&places, key, (void *)(uintptr_t)(i + 1));
    }
    for (size_t i = 0; i < changes->count; i++)
        env_change(env, &places, changes->items[i]);
    env_close_gaps(env);
}

void strv_done(struct strv *strv)
{
    for (size_t i = 0; i < strv->count; i++)
        free(strv->items[i]);
    free(strv->items);
    *strv = (struct strv){};
}
