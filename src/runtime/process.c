/* The last steps of a process before it becomes the container's: first what can fail early, with
 * all rights still there, then the descent. Runs in a cloned child, or (process_adjust_oom) in its
 * parent. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "linux/path.h"
#include "linux/pty.h"
#include "linux/seccomp.h"
#include "runtime/internal.h"

#include "base/banned.h"

enum { EXIT_EXEC_FAILED = 255, DEFAULT_UMASK = 0022, PARKING_FD = 64 };

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* clang-format off */
static const struct {
    const char *name;
    int resource;
} limits[] = {
    { "RLIMIT_AS",         RLIMIT_AS         },
    { "RLIMIT_CORE",       RLIMIT_CORE       },
    { "RLIMIT_CPU",        RLIMIT_CPU        },
    { "RLIMIT_DATA",       RLIMIT_DATA       },
    { "RLIMIT_FSIZE",      RLIMIT_FSIZE      },
    { "RLIMIT_LOCKS",      RLIMIT_LOCKS      },
    { "RLIMIT_MEMLOCK",    RLIMIT_MEMLOCK    },
    { "RLIMIT_MSGQUEUE",   RLIMIT_MSGQUEUE   },
    { "RLIMIT_NICE",       RLIMIT_NICE       },
    { "RLIMIT_NOFILE",     RLIMIT_NOFILE     },
    { "RLIMIT_NPROC",      RLIMIT_NPROC      },
    { "RLIMIT_RSS",        RLIMIT_RSS        },
    { "RLIMIT_RTPRIO",     RLIMIT_RTPRIO     },
    { "RLIMIT_RTTIME",     RLIMIT_RTTIME     },
    { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
    { "RLIMIT_STACK",      RLIMIT_STACK      },
};
/* clang-format on */

static const char *kernel_words(int number)
{
    static char words[128];

    snprintf(words, sizeof(words), "%s", strerrordesc_np(number) ?: "unknown error");
    if (words[0] >= 'A' && words[0] <= 'Z' && !(words[1] >= 'A' && words[1] <= 'Z'))
        words[0] = (char)(words[0] - 'A' + 'a');
    return words;
}

/* ---- beginning ---- */

/* From the start to the exec no process of the container may look at this one. Said again after
 * each change of ids: the kernel then falls back to what fs.suid_dumpable says. */
static void hide_from_container(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void process_begin(void)
{
    sigset_t none;

    /* As the kernel has it: handler, flags, restorer and mask of 8 bytes each, all zero. */
    static const uint64_t kernel_default[4];

    hide_from_container();
    /* clone resets handlers, but what is ignored stays so. The C library's call would refuse its
     * own two signals, which posix_spawn leaves ignored. */
    for (int i = 1; i < NSIG; i++)
        syscall(SYS_rt_sigaction, i, kernel_default, NULL, sizeof(uint64_t));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(DEFAULT_UMASK);
}

int process_adjust_oom(pid_t pid, const struct runtime_process *process, struct error *err)
{
    char path[48], text[16];

    if (!process->oom_score_adj.is_set)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
    snprintf(text, sizeof(text), "%d", (int)process->oom_score_adj.value);
    CLEANUP(close) int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
        return 0;
    int number = errno;
    char now[16] = "";
    if (fd >= 0 && pread(fd, now, sizeof(now) - 1, 0) > 0 &&
        strtol(now, NULL, 10) == process->oom_score_adj.value)
        return 0; /* it has that already; only lowering is forbidden */
    errno = number;
    return error_sys(err, "failed to set oom_score_adj to %s", text);
}

/* ---- terminal and stdio ---- */

int process_open_terminal(int root_fd, const struct runtime_process *process, int *out_master,
                          int *out_slave, struct error *err)
{
    CLEANUP(close)
    int master_fd = path_open(root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, err);
    if (master_fd < 0)
        return error_context(err, "terminal");
    CLEANUP(close) int slave_fd = pty_open_slave(master_fd, err);
    if (slave_fd < 0)
        return -1;
    if (process->console_height > 0 && process->console_width > 0 &&
        pty_resize(slave_fd, (int)process->console_height, (int)process->console_width, err) < 0)
        return -1;
    *out_master = TAKE_FD(master_fd);
    *out_slave = TAKE_FD(slave_fd);
    return 0;
}

static int open_null(int root_fd)
{
    int fd = device_open_null(root_fd, O_RDWR | O_NOCTTY, NULL);

    return fd >= 0 ? fd : open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* Parks all sources above the standard descriptors first, so that none overwrites another. */
static int place_stdio(struct process_setup *setup, struct error *err)
{
    int parked[3];

    for (int i = 0; i < 3; i++) {
        int source_fd = setup->slave_fd >= 0 ? setup->slave_fd : setup->stdio[i];
        CLEANUP(close) int null_fd = source_fd < 0 ? open_null(setup->root_fd) : -1;

        parked[i] = fcntl(source_fd < 0 ? null_fd : source_fd, F_DUPFD_CLOEXEC, PARKING_FD);
        if (parked[i] < 0)
            return error_sys(err, "standard descriptor %d", i);
    }
    for (int i = 0; i < 3; i++)
        if (dup2(parked[i], i) < 0)
            return error_sys(err, "standard descriptor %d", i);
    for (int i = 0; i < 3; i++)
        close(parked[i]);
    return 0;
}

/* Lets a user other than root open /dev/stdout again. What is not ours to give stays as it is. */
static void own_stdio(const struct user_identity *user, bool is_terminal)
{
    struct stat status;

    for (int i = 0; i < 3; i++) {
        if (fstat(i, &status) < 0 || status.st_uid == user->uid ||
            (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)))
            continue;
        (void)!fchown(i, user->uid, is_terminal ? (gid_t)-1 : status.st_gid);
        if (is_terminal)
            break;
    }
}

void process_keep_fds(unsigned first, const int *fds, size_t count)
{
    int kept[KEPT_FD_LIMIT] = {};

    assert(count <= COUNT(kept));
    for (size_t i = 0; i < count; i++) {
        size_t at = i;

        for (; at > 0 && kept[at - 1] > fds[i]; at--)
            kept[at] = kept[at - 1];
        kept[at] = fds[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < (int)first)
            continue;
        if ((unsigned)kept[i] > first)
            syscall(SYS_close_range, first, (unsigned)kept[i] - 1, 0);
        first = (unsigned)kept[i] + 1;
    }
    syscall(SYS_close_range, first, ~0U, 0);
}

/* Everything from 3 on goes, except what the exec'd program is to inherit and what we still talk
 * through. Host directories must be gone before anything of the container's is looked up. */
static void close_others(const struct process_setup *setup)
{
    const int kept[] = { setup->channel_fd, setup->extra_fd };

    process_keep_fds(3 + (unsigned)setup->preserve_fd_count, kept, COUNT(kept));
    for (int i = 0; i < setup->preserve_fd_count; i++) {
        int flags = fcntl(3 + i, F_GETFD);

        if (flags >= 0)
            fcntl(3 + i, F_SETFD, flags & ~FD_CLOEXEC);
    }
}

/* ---- preparing ---- */

static int write_label(struct process_setup *setup, const char *file, const char *label,
                       const char *what, struct error *err)
{
    if (text_is_empty(label) || strcmp(label, "unconfined") == 0)
        return 0;
    if (setup->proc_fd < 0 || procfs_write(setup->proc_fd, file, label, err) < 0)
        return error_context(err, "%s: this host cannot apply \"%s\"", what, label);
    return 0;
}

static int apply_labels(struct process_setup *setup, struct error *err)
{
    const struct runtime_process *process = setup->process;
    CLEANUP(free) char *profile = xasprintf("exec %s", process->apparmor_profile ?: "");

    if (!text_is_empty(process->apparmor_profile) &&
        write_label(setup, "self/attr/apparmor/exec",
                    strcmp(process->apparmor_profile, "unconfined") == 0 ? "unconfined" : profile,
                    "apparmor", err) < 0)
        return -1;
    return write_label(setup, "self/attr/exec", process->selinux_label, "selinux", err);
}

static int enter_working_directory(struct process_setup *setup, struct error *err)
{
    const char *cwd = text_is_empty(setup->process->cwd) ? "/" : setup->process->cwd;
    struct error failure = {};
    CLEANUP(close) int fd = path_open(setup->root_fd, cwd, O_PATH, 0, &failure);

    if (fd >= 0 && fchdir(fd) == 0)
        return 0;
    int number = fd >= 0 ? errno : failure.sys;
    error_set(err,
              number == ENOENT                      ? ERROR_NOT_FOUND
              : number == EACCES || number == ELOOP ? ERROR_FORBIDDEN
                                                    : ERROR_INVALID,
              "chdir to cwd (\"%s\") set in config.json failed: %s", cwd, kernel_words(number));
    if (err)
        err->sys = number;
    return -1;
}

static int set_limits(const struct runtime_process *process, struct error *err)
{
    for (size_t i = 0; i < process->rlimits.count; i++) {
        const struct runtime_rlimit *wish = &JSON_ITEMS(&process->rlimits,
                                                        const struct runtime_rlimit)[i];
        struct rlimit value = { .rlim_cur = wish->soft, .rlim_max = wish->hard };
        size_t row = 0;

        while (row < COUNT(limits) && !text_equal(limits[row].name, wish->type))
            row++;
        if (row == COUNT(limits))
            return error_set(err, ERROR_INVALID, "wrong rlimit value: %s", wish->type ?: "");
        if (setrlimit(limits[row].resource, &value) < 0)
            return error_sys(err,
                             "error setting rlimits for ready process: error setting rlimit type "
                             "%d",
                             limits[row].resource);
    }
    return 0;
}

static void collect_environment(struct process_setup *setup)
{
    strv_copy(&setup->env, &setup->process->env);
    if (!strv_env_get(&setup->env, "HOME"))
        strv_env_set(&setup->env, "HOME", setup->user.home);
    if (!setup->env.items)
        strv_init_empty(&setup->env);
}

/* ---- the executable ---- */

static int fail_executable(struct error *err, const char *name, const char *path, int number,
                           bool at_stat)
{
    enum error_kind kind = number == ENOENT                       ? ERROR_NOT_FOUND
                           : number == EACCES || number == EISDIR ? ERROR_FORBIDDEN
                                                                  : ERROR_INVALID;

    if (number == EISDIR)
        error_set(err, kind, "exec: \"%s\": is a directory: permission denied", name);
    else if (at_stat)
        error_set(err, kind, "exec: \"%s\": stat %s: %s", name, path, kernel_words(number));
    else
        error_set(err, kind, "exec: \"%s\": %s", name, kernel_words(number));
    if (err)
        err->sys = number;
    return -1;
}

static int check_executable(const char *name, const char *path, struct error *err)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return fail_executable(err, name, path, errno, true);
    if (S_ISDIR(status.st_mode))
        return fail_executable(err, name, path, EISDIR, false);
    if (syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return fail_executable(err, name, path, errno == ENOENT ? EACCES : errno, false);
    return 0;
}

static int find_executable(struct process_setup *setup, struct error *err)
{
    const char *name = setup->process->args.items[0];
    const char *list = strv_env_get(&setup->env, "PATH");
    CLEANUP(strv_done) struct strv directories = {};

    if (strchr(name, '/')) {
        setup->executable = xstrdup(name);
        return check_executable(name, name, err);
    }
    strv_split(&directories, list ? list : "", ':');
    for (size_t i = 0; *name && i < directories.count; i++) {
        CLEANUP(free) char *path = path_join(directories.items[i], name);

        if (directories.items[i][0] != '/' || check_executable(name, path, NULL) < 0)
            continue;
        setup->executable = TAKE(path);
        return 0;
    }
    return error_set(err, ERROR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH",
                     name);
}

/* Looks with the eyes of the user that the process will be: file system ids and capabilities are
 * lowered for a moment. */
static int find_executable_as_user(struct process_setup *setup, struct error *err)
{
    const struct capability_sets own = setup->own;
    struct capability_sets lowered = own;

    lowered.effective &= setup->user.uid ? setup->wanted.ambient : setup->wanted.effective;
    setfsgid(setup->user.gid);
    setfsuid(setup->user.uid);
    if (capability_set(&lowered, err) < 0)
        return -1;
    int result = find_executable(setup, err);
    if (capability_set(&own, result < 0 ? NULL : err) < 0)
        return -1;
    setfsuid(geteuid());
    setfsgid(getegid());
    return capability_set(&own, result < 0 ? NULL : err) < 0 ? -1 : result;
}

static void want_capabilities(struct process_setup *setup)
{
    const struct runtime_capabilities *list = setup->process->capabilities;
    struct capability_sets own;

    /* What this host has not got nobody can be given ("all" means all of ours). */
    capability_get(&own);
    setup->own = own;
    setup->wanted = (struct capability_sets){};
    if (list)
        setup->wanted = (struct capability_sets){
            .bounding = capability_mask(&list->bounding) & own.bounding,
            .effective = capability_mask(&list->effective) & own.permitted,
            .permitted = capability_mask(&list->permitted) & own.permitted,
            .inheritable = capability_mask(&list->inheritable) & own.permitted,
            .ambient = capability_mask(&list->ambient) & own.permitted,
        };
    setup->wanted.effective &= setup->wanted.permitted;
    setup->wanted.ambient &= setup->wanted.permitted & setup->wanted.inheritable;
}

static int set_groups(const struct process_setup *setup, struct error *err)
{
    if (setgroups(setup->user.group_count, setup->user.groups) == 0)
        return 0;
    if (errno == EPERM && setup->in_user_namespace && setup->user.group_count <= 1)
        return 0;
    return error_sys(err, "setgroups");
}

int process_prepare(struct process_setup *setup, struct error *err)
{
    if (user_look_up(setup->root_fd, &setup->process->user, &setup->user, err) < 0)
        return -1;
    want_capabilities(setup);
    collect_environment(setup);
    if (apply_labels(setup, err) < 0 || enter_working_directory(setup, err) < 0 ||
        place_stdio(setup, err) < 0)
        return -1;
    own_stdio(&setup->user, setup->slave_fd >= 0);
    if (setup->slave_fd >= 0 && pty_make_controlling(0, err) < 0)
        return -1;
    close_others(setup);
    setup->root_fd = setup->proc_fd = setup->slave_fd = -1;
    if (set_limits(setup->process, err) < 0 || set_groups(setup, err) < 0 ||
        find_executable_as_user(setup, err) < 0)
        return -1;
    hide_from_container();
    return capability_drop_bounding(setup->wanted.bounding, err);
}

/* ---- the descent ---- */

static int become_user(const struct process_setup *setup, struct error *err)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_setresgid, setup->user.gid, setup->user.gid, setup->user.gid) < 0 ||
        syscall(SYS_setresuid, setup->user.uid, setup->user.uid, setup->user.uid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        return error_sys(err, "setup user");
    return capability_set(&setup->wanted, err) < 0 ||
                   capability_set_ambient(setup->wanted.ambient, err) < 0
               ? -1
               : 0;
}

static int load_seccomp(const struct process_setup *setup, struct error *err)
{
    return setup->seccomp
               ? seccomp_filter_load(setup->seccomp->instructions, setup->seccomp->size_bytes, err)
               : 0;
}

int process_execute(struct process_setup *setup, struct error *err)
{
    bool no_new_privileges = setup->process->no_new_privileges;
    const struct optional_int64 *mask = &setup->process->user.umask;

    if (mask->is_set)
        umask((mode_t)mask->value & 0777);
    if (no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_sys(err, "set no_new_privs");
    /* As late as possible: without no_new_privs loading takes rights that the user will not have.
     */
    if (!no_new_privileges && load_seccomp(setup, err) < 0)
        return -1;
    if (become_user(setup, err) < 0)
        return -1;
    hide_from_container();
    if (no_new_privileges && load_seccomp(setup, err) < 0)
        return -1;
    execve(setup->executable, setup->process->args.items, setup->env.items);

    /* The file was there and executable: it is the container's own failure, told to its reader. */
    char text[512];
    int length = snprintf(text, sizeof(text), "exec %.400s: %s\n", setup->executable,
                          kernel_words(errno));
    (void)!write(2, text, (size_t)length);
    _exit(EXIT_EXEC_FAILED);
}
