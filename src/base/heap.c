/* What is resident and not in use is free. The allocator's own sum of free bytes does not tell:
 * bytes that were given back are in it too. */
#include "base/heap.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#include "base/banned.h"

#define WORTH_SIZE  ((size_t)2 << 20)
#define BLOCK_SIZE  (1 << 20) /* larger blocks are given back at once */
#define STATM_LIMIT 256

/* Bytes that are not of a file; 0 if that cannot be known. */
static size_t resident_size(void)
{
    CLEANUP(str_done) struct str text = {};
    size_t resident, shared;

    if (file_read("/proc/self/statm", STATM_LIMIT, &text, NULL) < 0 ||
        sscanf(str_text(&text), "%*u %zu %zu", &resident, &shared) != 2)
        return 0;
    return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Left alone, the C library takes a freed block of up to 32 MiB as a sign that twice as much shall
 * be kept at the end of each heap. Of threads' heaps malloc_trim does not give that back. */
void heap_set_up(void)
{
    if (!HEAP_IS_OURS)
        return;
    mallopt(M_MMAP_THRESHOLD, BLOCK_SIZE);
    mallopt(M_TRIM_THRESHOLD, BLOCK_SIZE);
}

void heap_give_back(void)
{
    if (!HEAP_IS_OURS)
        return;
    struct mallinfo2 info = mallinfo2();

    if (resident_size() > info.uordblks + info.hblkhd + WORTH_SIZE)
        malloc_trim(0);
}
