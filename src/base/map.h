/* Text → pointer, in the order of insertion, with constant-time look-up. A zeroed struct is "none"
 * (JSON null); map_init_empty makes "empty" (JSON {}). Keys are copied. Values belong to the map
 * when it has a 'free_value'. */
#ifndef BERTH_BASE_MAP_H
#define BERTH_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct map_entry {
    char *key;
    void *value;
    uint32_t hash;
};

struct map {
    struct map_entry *entries;
    size_t count;
    size_t capacity;
    uint32_t *slots; /* entry index + 1, open addressing */
    size_t slot_count;
    void (*free_value)(void *value);
};

void map_init_empty(struct map *map, void (*free_value)(void *value));
void *map_get(const struct map *map, const char *key); /* borrowed, NULL if absent */
bool map_has(const struct map *map, const char *key);
void map_set(struct map *map, const char *key,
             void *value); /* replaces (and frees) an old value in place */
void *map_take(struct map *map,
               const char *key); /* removes the entry, its value is yours; NULL if absent */
void map_remove(struct map *map, const char *key);
void map_sort(struct map *map); /* by key */
void map_done(struct map *map);
CLEANUP_VALUE(map_done, struct map)

/* Maps whose values are texts (labels, options). Both copy 'value'; a map made by either frees its
 * values. */
void map_set_text(struct map *map, const char *key, const char *value);
void map_copy_texts(struct map *out, const struct map *map); /* 'out' is uninitialised */

/* Walks the entries in order; do not add or remove meanwhile. */
#define MAP_EACH(map, entry)                                                                       \
    for (struct map_entry *entry = (map)->entries; entry && entry < (map)->entries + (map)->count; \
         entry++)

#endif
