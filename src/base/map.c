/* Entries lie in one array in order of insertion; a table of slots (open addressing, at most half
 * full) points into it. Removal closes the gap and rebuilds the slots: removals are rare here,
 * order matters. */
#include "base/map.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

enum { FIRST_SLOTS = 16 };

static uint32_t hash_text(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static void slot_insert(struct map *map, size_t index)
{
    size_t slot = map->entries[index].hash & (map->slot_count - 1);

    while (map->slots[slot])
        slot = (slot + 1) & (map->slot_count - 1);
    map->slots[slot] = (uint32_t)index + 1;
}

static void rebuild_slots(struct map *map, size_t slot_count)
{
    free(map->slots);
    map->slots = xcalloc(slot_count, sizeof(*map->slots));
    map->slot_count = slot_count;
    for (size_t i = 0; i < map->count; i++)
        slot_insert(map, i);
}

static size_t find(const struct map *map, const char *key)
{
    if (!map->slot_count)
        return (size_t)-1;
    uint32_t hash = hash_text(key);
    for (size_t slot = hash & (map->slot_count - 1); map->slots[slot];
         slot = (slot + 1) & (map->slot_count - 1)) {
        const struct map_entry *entry = &map->entries[map->slots[slot] - 1];

        if (entry->hash == hash && strcmp(entry->key, key) == 0)
            return map->slots[slot] - 1;
    }
    return (size_t)-1;
}

void map_init_empty(struct map *map, void (*free_value)(void *value))
{
    *map = (struct map){ .free_value = free_value, .capacity = 4 };
    map->entries = xcalloc(map->capacity, sizeof(*map->entries));
}

void *map_get(const struct map *map, const char *key)
{
    size_t index = find(map, key);

    return index == (size_t)-1 ? NULL : map->entries[index].value;
}

bool map_has(const struct map *map, const char *key)
{
    return find(map, key) != (size_t)-1;
}

void map_set(struct map *map, const char *key, void *value)
{
    size_t index = find(map, key);

    if (index != (size_t)-1) {
        if (map->free_value && map->entries[index].value != value)
            map->free_value(map->entries[index].value);
        map->entries[index].value = value;
        return;
    }
    if (map->count == map->capacity) {
        map->capacity = map->capacity ? map->capacity * 2 : 4;
        map->entries = xrealloc(map->entries, map->capacity, sizeof(*map->entries));
    }
    map->entries[map->count++] =
        (struct map_entry){ .key = xstrdup(key), .value = value, .hash = hash_text(key) };
    if (map->count * 2 > map->slot_count)
        rebuild_slots(map, map->slot_count ? map->slot_count * 2 : FIRST_SLOTS);
    else
        slot_insert(map, map->count - 1);
}

void *map_take(struct map *map, const char *key)
{
    size_t index = find(map, key);

    if (index == (size_t)-1)
        return NULL;
    void *value = map->entries[index].value;
    free(map->entries[index].key);
    memmove(map->entries + index, map->entries + index + 1,
            (map->count - index - 1) * sizeof(*map->entries));
    map->count--;
    rebuild_slots(map, map->slot_count);
    return value;
}

void map_remove(struct map *map, const char *key)
{
    bool was_there = map_has(map, key);
    void *value = map_take(map, key);

    if (was_there && map->free_value)
        map->free_value(value);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct map_entry *)a)->key, ((const struct map_entry *)b)->key);
}

void map_sort(struct map *map)
{
    if (map->count < 2)
        return;
    qsort(map->entries, map->count, sizeof(*map->entries), compare);
    rebuild_slots(map, map->slot_count);
}

void map_set_text(struct map *map, const char *key, const char *value)
{
    map->free_value = free;
    map_set(map, key, xstrdup(value));
}

void map_copy_texts(struct map *out, const struct map *map)
{
    *out = (struct map){ .free_value = free };
    if (map->entries)
        map_init_empty(out, free);
    MAP_EACH (map, entry)
        map_set_text(out, entry->key, entry->value);
}

void map_done(struct map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        free(map->entries[i].key);
        if (map->free_value)
            map->free_value(map->entries[i].value);
    }
    free(map->entries);
    free(map->slots);
    *map = (struct map){};
}
