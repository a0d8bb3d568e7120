/* How the json_*.c files reach a field inside a struct. Private to them. */
#ifndef BERTH_CODEC_JSON_TABLE_H
#define BERTH_CODEC_JSON_TABLE_H

#include "codec/json.h"

#define AT(object, field, type) ((type *)(void *)((char *)(object) + (field)->offset))
#define AT_CONST(object, field, type)                                                              \
    ((const type *)(const void *)((const char *)(object) + (field)->offset))

/* Entries of a map sorted by key, as Go writes maps. The array is the caller's. */
const struct map_entry **json_sorted_entries(const struct map *map);

/* Frees the element of a MAP or MAP_OF_LISTS (NULL is fine). */
void json_element_free(const struct json_field *field, void *element);

#endif
