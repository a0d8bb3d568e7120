/* Threads and locks of the daemon, with clang's thread-safety words. */
#ifndef BERTH_BASE_THREAD_H
#define BERTH_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#if defined(__clang__)
#define THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define THREAD_ATTRIBUTE(x)
#endif
/* Says which lock guards a member. A word for readers: in C, clang 14 cannot look a sibling member
 * up. */
#define GUARDED_BY(lock)
#define REQUIRES(lock) THREAD_ATTRIBUTE(requires_capability(lock))

struct THREAD_ATTRIBUTE(capability("mutex")) mutex {
    pthread_mutex_t handle;
};
#define MUTEX_INITIALIZER                                                                          \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    }

void mutex_init(struct mutex *mutex);
void mutex_done(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) THREAD_ATTRIBUTE(acquire_capability(*mutex));
/* False if 'deadline_ns' (monotonic) passed first. */
bool mutex_lock_until(struct mutex *mutex, uint64_t deadline_ns)
    THREAD_ATTRIBUTE(try_acquire_capability(true, *mutex));
void mutex_unlock(struct mutex *mutex) THREAD_ATTRIBUTE(release_capability(*mutex));

/* Waits are measured on the monotonic clock. */
struct condition {
    pthread_cond_t handle;
};
void condition_init(struct condition *condition);
void condition_done(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex) REQUIRES(*mutex);
/* False if 'deadline_ns' (monotonic) passed first. */
bool condition_wait_until(struct condition *condition, struct mutex *mutex, uint64_t deadline_ns)
    REQUIRES(*mutex);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* Starts a thread with a small stack (THREAD_STACK_SIZE). All signals are blocked in it. 'name' (at
 * most 15 characters) is what debuggers show. A detached one cleans up after itself; of a joinable
 * one the caller gets the handle. */
#define THREAD_STACK_SIZE ((size_t)256 * 1024)
int thread_start(const char *name, void *(*run)(void *data), void *data, pthread_t *out,
                 struct error *err);
int thread_start_detached(const char *name, void *(*run)(void *data), void *data,
                          struct error *err);

#endif
