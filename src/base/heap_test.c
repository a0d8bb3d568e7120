#include "base/heap.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/memory.h"

enum { PIECES = 64 * 1024, PIECE_SIZE = 1024, KEPT_EVERY = 64, LARGE_SIZE = 30 << 20 };

static long resident_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");

    cr_assert(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

/* What is kept lies between what is freed, the last piece above all. */
Test(heap, gives_back_what_is_free_between_what_is_not)
{
    static char *pieces[PIECES];

    heap_give_back();
    long before = resident_kib();
    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = memset(xmalloc(PIECE_SIZE), 1, PIECE_SIZE);
    for (size_t i = 0; i < PIECES; i++)
        if (i % KEPT_EVERY != KEPT_EVERY - 1)
            free(TAKE(pieces[i]));
    cr_assert_gt(resident_kib() - before, 60 * 1024);
    heap_give_back();
    if (HEAP_IS_OURS)
        cr_expect_lt(resident_kib() - before, 12 * 1024);
    for (size_t i = 0; i < PIECES; i++)
        free(pieces[i]);
}

/* Much work in a thread whose process had large blocks before: the C library then keeps as much at
 * the end of each thread's heap. */
static void *work(void *data UNUSED)
{
    static char *pieces[PIECES];

    free(memset(xmalloc(LARGE_SIZE), 1, LARGE_SIZE));
    for (size_t i = 0; i < PIECES / 2; i++)
        pieces[i] = memset(xmalloc(PIECE_SIZE), 1, PIECE_SIZE);
    for (size_t i = 0; i < PIECES / 2; i++)
        free(pieces[i]);
    return NULL;
}

Test(heap, gives_back_what_threads_freed)
{
    pthread_t thread;

    heap_set_up();
    long before = resident_kib();
    cr_assert_eq(pthread_create(&thread, NULL, work, NULL), 0);
    pthread_join(thread, NULL);
    heap_give_back();
    if (HEAP_IS_OURS)
        cr_expect_lt(resident_kib() - before, 12 * 1024);
}
