/* posix_spawn with a descriptor table. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/banned.h"

extern char **environ;

/* Descriptors are first copied above all that are listed, so that none overwrites another, and
 * above the one that the program may be named by. */
static int parking_of(const struct process_options *options, size_t count)
{
    int parking = (int)count, program_fd;

    if (sscanf(options->path, "/proc/self/fd/%d", &program_fd) == 1)
        parking = MAX(parking, program_fd + 1);
    for (size_t i = 0; i < options->fd_count; i++)
        parking = MAX(parking, options->fds[i] + 1);
    return parking;
}

static void add_descriptors(posix_spawn_file_actions_t *actions,
                            const struct process_options *options)
{
    size_t count = MAX(options->fd_count, 3);
    int parking = parking_of(options, count);

    for (size_t i = 0; i < count; i++)
        if (i < options->fd_count && options->fds[i] >= 0)
            posix_spawn_file_actions_adddup2(actions, options->fds[i], parking + (int)i);
        else
            posix_spawn_file_actions_addopen(actions, parking + (int)i, "/dev/null", O_RDWR, 0);
    for (size_t i = 0; i < count; i++) {
        posix_spawn_file_actions_adddup2(actions, parking + (int)i, (int)i);
        posix_spawn_file_actions_addclose(actions, parking + (int)i);
    }
}

/* What this process was started with; its children are to have the same. */
static struct rlimit inherited;
static bool is_raised;

int process_raise_descriptor_limit(unsigned least, struct error *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_sys(err, "read the limit of open files");
    if (limit.rlim_max < least)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the limit of open files is %llu: at least %u are needed",
                         (unsigned long long)limit.rlim_max, least);
    inherited = limit;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_sys(err, "raise the limit of open files");
    is_raised = true;
    return 0;
}

int process_spawn(const struct process_options *options, pid_t *out, struct error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    posix_spawn_file_actions_init(&actions);
    add_descriptors(&actions, options);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                  (options->new_session ? POSIX_SPAWN_SETSID : 0)));
    int result = posix_spawn(out, options->path, &actions, &attributes, options->arguments,
                             options->environment ? options->environment : environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (result == 0 && is_raised)
        prlimit(*out, RLIMIT_NOFILE, &inherited, NULL); /* It may have ended already. */
    if (result == 0)
        return 0;
    errno = result;
    error_sys(err, "start %s", options->path);
    if (err && result == ENOENT)
        err->kind = ERROR_NOT_FOUND;
    return -1;
}

int process_wait(pid_t pid, int *out_code, struct error *err)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_sys(err, "wait for process %d", (int)pid);
    *out_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}
