/* Preloaded into a program under test: kills it, as by kill -9, at a chosen one of the calls that
 * change something outside of it: on disk, in the kernel, or in another process that it speaks to.
 * A write to a file is torn in the middle. Or it holds the program at that call, while the test
 * does something else.
 *
 * CRASH_CONTROL names a file with a struct control, which tests read and write while the program
 * runs. Without it, and in programs other than CRASH_PROGRAM, calls are neither counted nor cut.
 * How the program got to the call goes to its stderr. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    atomic_long calls;    /* so far */
    atomic_long crash_at; /* the number of the call that is the last one; 0: none */
    char where[104];      /* the call that was the last one */
    atomic_long hold;     /* 0: dies there; 1: stays there until this is 0 again */
    atomic_long is_held;
};

enum { FRAMES = 24, HOLD_STEP_US = 200 };

static struct control *control;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CRASH_CONTROL"), *program = getenv("CRASH_PROGRAM");
    int fd;

    if (!path || (program && strcmp(program, program_invocation_short_name) != 0))
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        abort();
    REAL(close)(fd);
}

static int is_due(const char *call, const char *what)
{
    if (!control || atomic_fetch_add(&control->calls, 1) + 1 != control->crash_at)
        return 0;
    snprintf(control->where, sizeof(control->where), "%s %.90s", call, what ? what : "");
    return 1;
}

static void crash(void)
{
    void *frames[FRAMES];

    if (control->hold) {
        control->is_held = 1;
        while (control->hold)
            usleep(HOLD_STEP_US);
        control->is_held = 0;
        return;
    }
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

#define BEFORE_CALL(what)                                                                          \
    do {                                                                                           \
        if (is_due(__func__, what))                                                                \
            crash();                                                                               \
    } while (0)

/* What goes to log and event counters changes nothing. */
static int is_telling(int fd)
{
    struct stat status;

    return control && fd > STDERR_FILENO && fstat(fd, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode));
}

static int is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* ---- names ---- */

int rename(const char *from, const char *to)
{
    BEFORE_CALL(to);
    return REAL(rename)(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    BEFORE_CALL(to);
    return REAL(renameat)(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    BEFORE_CALL(to);
    return REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

int link(const char *from, const char *to)
{
    BEFORE_CALL(to);
    return REAL(link)(from, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    BEFORE_CALL(to);
    return REAL(linkat)(from_fd, from, to_fd, to, flags);
}

int symlink(const char *target, const char *path)
{
    BEFORE_CALL(path);
    return REAL(symlink)(target, path);
}

int symlinkat(const char *target, int fd, const char *path)
{
    BEFORE_CALL(path);
    return REAL(symlinkat)(target, fd, path);
}

int unlink(const char *path)
{
    BEFORE_CALL(path);
    return REAL(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags)
{
    BEFORE_CALL(path);
    return REAL(unlinkat)(fd, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    BEFORE_CALL(path);
    return REAL(mkdir)(path, mode);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
    BEFORE_CALL(path);
    return REAL(mkdirat)(fd, path, mode);
}

int rmdir(const char *path)
{
    BEFORE_CALL(path);
    return REAL(rmdir)(path);
}

/* ---- content ---- */

int fsync(int fd)
{
    BEFORE_CALL(NULL);
    return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    BEFORE_CALL(NULL);
    return REAL(fdatasync)(fd);
}

int syncfs(int fd)
{
    BEFORE_CALL(NULL);
    return REAL(syncfs)(fd);
}

int ftruncate(int fd, off_t size)
{
    BEFORE_CALL(NULL);
    return REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    BEFORE_CALL(NULL);
    return REAL(ftruncate64)(fd, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (is_due(__func__, NULL)) {
        if (!control->hold)
            REAL(pwrite)(fd, data, size / 2, offset);
        crash();
    }
    return REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    if (is_due(__func__, NULL)) {
        if (!control->hold)
            REAL(pwrite64)(fd, data, size / 2, offset);
        crash();
    }
    return REAL(pwrite64)(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (is_telling(fd) && is_due(__func__, NULL)) {
        if (is_file(fd) && !control->hold)
            REAL(write)(fd, data, size / 2);
        crash();
    }
    return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (is_telling(fd) && is_due(__func__, NULL)) {
        if (is_file(fd) && count > 0 && !control->hold)
            REAL(write)(fd, parts[0].iov_base, parts[0].iov_len);
        crash();
    }
    return REAL(writev)(fd, parts, count);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size,
                        unsigned flags)
{
    if (is_due(__func__, NULL)) {
        if (!control->hold)
            REAL(copy_file_range)(from, from_at, to, to_at, size / 2, flags);
        crash();
    }
    return REAL(copy_file_range)(from, from_at, to, to_at, size, flags);
}

/* ---- netlink, supervisors, clients ---- */

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    BEFORE_CALL(NULL);
    return REAL(send)(fd, data, size, flags);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
               socklen_t length)
{
    BEFORE_CALL(NULL);
    return REAL(sendto)(fd, data, size, flags, address, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    BEFORE_CALL(NULL);
    return REAL(sendmsg)(fd, message, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size)
{
    BEFORE_CALL(NULL);
    return REAL(sendfile)(to, from, offset, size);
}

/* ---- mounts and processes: most of them have no function of their own ---- */

int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data)
{
    BEFORE_CALL(target);
    return REAL(mount)(source, target, type, flags, data);
}

int umount2(const char *target, int flags)
{
    BEFORE_CALL(target);
    return REAL(umount2)(target, flags);
}

int kill(pid_t pid, int number)
{
    if (pid != getpid())
        BEFORE_CALL(NULL);
    return (int)syscall(SYS_kill, pid, number);
}

static const struct {
    long number;
    const char *name;
} changing[] = {
    { SYS_move_mount, "move_mount" },
    { SYS_fsmount, "fsmount" },
    { SYS_fsconfig, "fsconfig" },
    { SYS_open_tree, "open_tree" },
    { SYS_setns, "setns" },
    { SYS_mount_setattr, "mount_setattr" },
    { SYS_bpf, "bpf" },
    { SYS_unshare, "unshare" },
    { SYS_pidfd_send_signal, "pidfd_send_signal" },
    { SYS_quotactl, "quotactl" },
    { SYS_renameat2, "renameat2" },
};

long syscall(long number, ...)
{
    long argument[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(list, long);
    va_end(list);
    for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++)
        if (changing[i].number == number && is_due(changing[i].name, NULL))
            crash();
    return REAL(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                         argument[5]);
}
