/* Preloaded, it keeps a program's detached threads from ending, as on a machine that is too busy to
 * run them to their very end, and ends the program when it takes from under them what they are
 * about to clean up with: a key of thread-local data that has a destructor. Both would free it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY_LIMIT = 1024 };

static char has_destructor[KEY_LIMIT];
static atomic_int ending; /* threads */

struct start {
    void *(*function)(void *);
    void *data;
};

static void *run(void *data)
{
    struct start start = *(struct start *)data;

    free(data);
    start.function(start.data);
    ending++;
    for (;;)
        pause();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                   void *data)
{
    __typeof__(pthread_create) *create = (__typeof__(create))dlsym(RTLD_NEXT, "pthread_create");
    int state = PTHREAD_CREATE_JOINABLE;

    if (attributes)
        pthread_attr_getdetachstate(attributes, &state);
    if (state == PTHREAD_CREATE_JOINABLE)
        return create(thread, attributes, function, data);
    struct start *start = malloc(sizeof(*start));
    *start = (struct start){ function, data };
    return create(thread, attributes, run, start);
}

int pthread_key_create(pthread_key_t *out, void (*destructor)(void *))
{
    __typeof__(pthread_key_create) *create = (__typeof__(create))dlsym(RTLD_NEXT,
                                                                       "pthread_key_create");
    int result = create(out, destructor);

    if (result == 0 && *out < KEY_LIMIT)
        has_destructor[*out] = destructor != NULL;
    return result;
}

int pthread_key_delete(pthread_key_t key)
{
    static const char said[] = "late.c: threads that are ending would clean up with what is gone\n";
    __typeof__(pthread_key_delete) *delete = (__typeof__(delete))dlsym(RTLD_NEXT,
                                                                       "pthread_key_delete");

    if (key < KEY_LIMIT && has_destructor[key] && ending > 0) {
        (void)!write(STDERR_FILENO, said, sizeof(said) - 1);
        abort();
    }
    return delete (key);
}
