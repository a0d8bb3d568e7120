/* Small words used everywhere: ownership of locals, counting, intrusive containers. */
#ifndef BERTH_BASE_MACROS_H
#define BERTH_BASE_MACROS_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define UNUSED       __attribute__((unused))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

/* The struct of type 'type' whose member 'member' is at 'pointer'. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* CLEANUP(destructor) in front of a local runs the destructor when the local goes out of scope. A
 * header declares the destructor as usable with CLEANUP_POINTER(x_free, struct x) (locals are
 * 'struct x *') or with CLEANUP_VALUE(x_done, struct x) (locals are 'struct x'). */
#define CLEANUP(destructor) __attribute__((cleanup(destructor##_cleanup)))
#define CLEANUP_POINTER(destructor, type)                                                          \
    static inline void destructor##_cleanup(type **pointer)                                        \
    {                                                                                              \
        if (*pointer)                                                                              \
            destructor(*pointer);                                                                  \
    }
#define CLEANUP_VALUE(destructor, type)                                                            \
    static inline void destructor##_cleanup(type *value)                                           \
    {                                                                                              \
        destructor(value);                                                                         \
    }

/* Hands a pointer (or a descriptor) on: the local keeps NULL (or -1), so its CLEANUP does nothing.
 */
#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_fd_ = (fd);                                                                      \
        (fd) = -1;                                                                                 \
        taken_fd_;                                                                                 \
    })

/* CLEANUP(free) for heap memory, CLEANUP(close) for a descriptor (-1: none). */
static inline void free_cleanup(void *pointer)
{
    free(*(void **)pointer);
}

static inline void close_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#endif
