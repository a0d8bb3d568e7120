/* Thin words over pthreads. */
#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <time.h>
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include "base/clock.h"
#include "base/memory.h"

#include "base/banned.h"

#if defined(__clang__)
#define UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define UNCHECKED
#endif

void mutex_init(struct mutex *mutex)
{
    pthread_mutex_init(&mutex->handle, NULL);
}

void mutex_done(struct mutex *mutex)
{
    pthread_mutex_destroy(&mutex->handle);
}

UNCHECKED void mutex_lock(struct mutex *mutex)
{
    int result UNUSED = pthread_mutex_lock(&mutex->handle);

    assert(result == 0);
}

static struct timespec moment(uint64_t monotonic_ns)
{
    return (struct timespec){ .tv_sec = (time_t)(monotonic_ns / NS_PER_S),
                              .tv_nsec = (long)(monotonic_ns % NS_PER_S) };
}

/* ThreadSanitizer does not see this way of locking by itself. */
static void tell_sanitizer(struct mutex *mutex UNUSED)
{
#ifdef __SANITIZE_THREAD__
    __tsan_mutex_pre_lock(&mutex->handle, __tsan_mutex_try_lock);
    __tsan_mutex_post_lock(&mutex->handle, __tsan_mutex_try_lock, 0);
#endif
}

UNCHECKED bool mutex_lock_until(struct mutex *mutex, uint64_t deadline_ns)
{
    struct timespec deadline = moment(deadline_ns);

    if (pthread_mutex_clocklock(&mutex->handle, CLOCK_MONOTONIC, &deadline) != 0)
        return false;
    tell_sanitizer(mutex);
    return true;
}

UNCHECKED void mutex_unlock(struct mutex *mutex)
{
    int result UNUSED = pthread_mutex_unlock(&mutex->handle);

    assert(result == 0);
}

void condition_init(struct condition *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&condition->handle, &attributes);
    pthread_condattr_destroy(&attributes);
}

void condition_done(struct condition *condition)
{
    pthread_cond_destroy(&condition->handle);
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    pthread_cond_wait(&condition->handle, &mutex->handle);
}

bool condition_wait_until(struct condition *condition, struct mutex *mutex, uint64_t deadline_ns)
{
    struct timespec deadline = moment(deadline_ns);

    return pthread_cond_timedwait(&condition->handle, &mutex->handle, &deadline) != ETIMEDOUT;
}

void condition_signal(struct condition *condition)
{
    pthread_cond_signal(&condition->handle);
}

void condition_broadcast(struct condition *condition)
{
    pthread_cond_broadcast(&condition->handle);
}

struct start {
    char name[16];
    void *(*run)(void *data);
    void *data;
};

static void *run_started(void *data)
{
    struct start start = *(struct start *)data;

    free(data);
    pthread_setname_np(pthread_self(), start.name);
    return start.run(start.data);
}

static int start_thread(const char *name, void *(*run)(void *), void *data, pthread_t *out,
                        int detach_state, struct error *err)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    struct start *start = NEW(struct start);

    for (size_t i = 0; name[i] && i + 1 < sizeof(start->name); i++)
        start->name[i] = name[i];
    start->run = run;
    start->data = data;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, detach_state);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(out, &attributes, run_started, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (result != 0) {
        free(start);
        errno = result;
        return error_sys(err, "start thread %s", name);
    }
    return 0;
}

int thread_start(const char *name, void *(*run)(void *data), void *data, pthread_t *out,
                 struct error *err)
{
    return start_thread(name, run, data, out, PTHREAD_CREATE_JOINABLE, err);
}

int thread_start_detached(const char *name, void *(*run)(void *data), void *data, struct error *err)
{
    pthread_t ignored;

    return start_thread(name, run, data, &ignored, PTHREAD_CREATE_DETACHED, err);
}
