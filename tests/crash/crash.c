/* Preloaded into a program under test: kills it, as by kill -9, at the CRASH_AT-th call that
 * changes something on disk; a write is torn in the middle. At a regular end the number of calls
 * that were made goes to the file CRASH_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_long calls;
static long crash_at;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("CRASH_AT");

    crash_at = at ? strtol(at, NULL, 10) : 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("CRASH_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;

    if (file) {
        fprintf(file, "%ld\n", (long)calls);
        fclose(file);
    }
}

static int is_due(void)
{
    return atomic_fetch_add(&calls, 1) + 1 == crash_at;
}

static void crash(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

#define BEFORE_CALL()                                                                              \
    do {                                                                                           \
        if (is_due())                                                                              \
            crash();                                                                               \
    } while (0)

int rename(const char *from, const char *to)
{
    BEFORE_CALL();
    return REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    BEFORE_CALL();
    return REAL(link)(from, to);
}

int unlink(const char *path)
{
    BEFORE_CALL();
    return REAL(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags)
{
    BEFORE_CALL();
    return REAL(unlinkat)(fd, path, flags);
}

int fsync(int fd)
{
    BEFORE_CALL();
    return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    BEFORE_CALL();
    return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size)
{
    BEFORE_CALL();
    return REAL(ftruncate64)(fd, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    if (is_due()) {
        REAL(pwrite64)(fd, data, size / 2, offset);
        crash();
    }
    return REAL(pwrite64)(fd, data, size, offset);
}
