/* The same thing done to many at once. */
#ifndef BERTH_CLI_PARALLEL_H
#define BERTH_CLI_PARALLEL_H

#include <stddef.h>

#define PARALLEL_LIMIT 128

/* Calls 'each' once for every item of an array, at most 'limit' at a time (0: PARALLEL_LIMIT), and
 * returns when all have returned. Where no thread can be had, one comes after the other. */
void parallel_each(void *items, size_t item_size, size_t count, size_t limit,
                   void (*each)(void *item));

#endif
