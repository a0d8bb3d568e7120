/* Threads take the next item from a common counter; the caller is one of them. */
#include "cli/parallel.h"

#include <stdatomic.h>

#include "base/macros.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

struct round {
    char *items;
    size_t item_size, count;
    atomic_size_t next;
    void (*each)(void *item);
};

static void *work(void *data)
{
    struct round *round = data;
    size_t index;

    while ((index = atomic_fetch_add(&round->next, 1)) < round->count)
        round->each(round->items + index * round->item_size);
    return NULL;
}

void parallel_each(void *items, size_t item_size, size_t count, size_t limit,
                   void (*each)(void *item))
{
    struct round round = { .items = items, .item_size = item_size, .count = count, .each = each };
    pthread_t threads[PARALLEL_LIMIT];
    size_t started = 0, most = MIN(count, limit ? MIN(limit, PARALLEL_LIMIT) : PARALLEL_LIMIT);
    struct error unheard;

    while (started + 1 < most &&
           thread_start("parallel", work, &round, &threads[started], &unheard) == 0)
        started++;
    work(&round);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
