/* See the header. */
#include "base/library.h"

#include <dlfcn.h>

#include "base/banned.h"

/* pthread_once hands nothing over. */
static __thread struct library *loading;

static void load(void)
{
    loading->handle = dlopen(loading->name, RTLD_NOW | RTLD_LOCAL);
    if (loading->handle && loading->prepare)
        loading->prepare(loading->handle);
}

void *library_find(struct library *library, const char *symbol)
{
    loading = library;
    pthread_once(&library->once, load);
    return library->handle ? dlsym(library->handle, symbol) : NULL;
}
