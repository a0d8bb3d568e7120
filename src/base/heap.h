/* Memory that was freed stays with the process, in pieces between what is still used: after much
 * work it is many times what the process needs. */
#ifndef BERTH_BASE_HEAP_H
#define BERTH_BASE_HEAP_H

/* Sanitizers have an allocator of their own, and the C library's is not even set up. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEAP_IS_OURS 0
#else
#define HEAP_IS_OURS 1
#endif

/* Makes the C library keep no more at the ends of its heaps when large blocks were freed. Before
 * other threads begin. */
void heap_set_up(void);
/* Gives what is free back to the system, if that is more than 2 MiB (nothing with a sanitizer).
 * Takes a look at all free pieces: to be called when there is nothing else to do. By any thread. */
void heap_give_back(void);

#endif
