/* Shared libraries that are loaded when they are first used. Some of those that we need bring
 * dozens of others along, which cost every process start milliseconds and an idle engine megabytes.
 * A file that wraps one (codec/archive_library.c, http/curl_library.c) defines the library's
 * functions under their own names; callers include its header and know nothing of it. */
#ifndef BERTH_BASE_LIBRARY_H
#define BERTH_BASE_LIBRARY_H

#include <pthread.h>

struct library {
    const char *name; /* "libcurl.so.4", as the linker knows it */
    /* Called once, before any of its functions, with what dlsym takes. NULL: there is no need. */
    void (*prepare)(void *handle);
    pthread_once_t once;
    void *handle;
};
#define LIBRARY_PREPARED(file_name, prepare_function)                                              \
    {                                                                                              \
        .name = (file_name), .prepare = (prepare_function), .once = PTHREAD_ONCE_INIT              \
    }
#define LIBRARY(file_name) LIBRARY_PREPARED(file_name, NULL)

/* The address of a function; NULL if the library, or the function in it, is missing. */
void *library_find(struct library *library, const char *symbol);

/* Declares 'function', the one of that name in the library; NULL without it. Looked up once. */
#define LIBRARY_FUNCTION(library, symbol)                                                          \
    static __typeof__(symbol) *found_;                                                             \
    __typeof__(symbol) *function = __atomic_load_n(&found_, __ATOMIC_ACQUIRE);                     \
    if (!function) {                                                                               \
        function = (__typeof__(symbol) *)library_find((library), #symbol);                         \
        __atomic_store_n(&found_, function, __ATOMIC_RELEASE);                                     \
    }

/* A whole function that hands its arguments on; 'otherwise' is what it gives without the library.
 */
#define LIBRARY_FORWARD(library, type, symbol, parameters, arguments, otherwise)                   \
    type symbol parameters                                                                         \
    {                                                                                              \
        LIBRARY_FUNCTION(library, symbol)                                                          \
        return function ? function arguments : (otherwise);                                        \
    }

#endif
