/* Docker's default profile: what is always allowed, and what a capability, an architecture or an
 * argument allows. Everything else fails with EPERM. Never allowed, whatever the capabilities:
 * io_uring, keyrings, userfaultfd, kexec, swapon, pivot_root, vm86. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/seccomp_profile.h"

#include "base/banned.h"

/* clang-format off */
static const char *const always[] = {
    "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat", "capget",
    "capset", "chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64",
    "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat", "dup",
    "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat",
    "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
    "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr",
    "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
    "ftruncate64", "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv",
    "futex_wake", "futimesat", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32",
    "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer",
    "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom",
    "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "get_robust_list",
    "getrusage", "getsid", "getsockname", "getsockopt", "get_thread_area", "gettid", "gettimeofday",
    "getuid", "getuid32", "getxattr", "getxattrat", "inotify_add_watch", "inotify_init",
    "inotify_init1", "inotify_rm_watch", "io_cancel", "ioctl", "io_destroy", "io_getevents",
    "io_pgetevents", "io_pgetevents_time64", "ioprio_get", "ioprio_set", "io_setup", "io_submit",
    "ipc", "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
    "lchown", "lchown32", "lgetxattr", "link", "linkat", "listen", "listmount", "listxattr",
    "listxattrat", "llistxattr", "_llseek", "lremovexattr", "lseek", "lsetxattr", "lstat",
    "lstat64", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret",
    "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap",
    "mmap2", "mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
    "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "mremap", "mseal",
    "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
    "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open", "openat", "openat2",
    "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2",
    "prlimit64", "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev",
    "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom",
    "recvmmsg", "recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr", "removexattrat",
    "rename", "renameat", "renameat2", "restart_syscall", "riscv_hwprobe", "rmdir", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
    "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
    "semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg",
    "sendto", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
    "setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid",
    "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit",
    "set_robust_list", "setsid", "setsockopt", "set_thread_area", "set_tid_address", "setuid",
    "setuid32", "setxattr", "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown",
    "sigaltstack", "signalfd", "signalfd4", "sigprocmask", "sigreturn", "socketcall", "socketpair",
    "splice", "stat", "stat64", "statfs", "statfs64", "statmount", "statx", "symlink", "symlinkat",
    "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create",
    "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask", "uname",
    "unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimensat_time64", "utimes", "vfork",
    "vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
    /* Since Linux 4.8 these cannot be used to get around the filter. */
    "process_vm_readv", "process_vm_writev", "ptrace",
    NULL
};

static const char *const admin[] = {
    "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie",
    "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount", "open_tree",
    "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2",
    "unshare", NULL
};

/* Names that one capability allows. */
static const struct {
    const char *capability;
    const char *const *list; /* or: */
    const char *names[8];
} by_capability[] = {
    { "CAP_BPF",             NULL,  { "bpf" } },
    { "CAP_DAC_READ_SEARCH", NULL,  { "open_by_handle_at" } },
    { "CAP_PERFMON",         NULL,  { "perf_event_open" } },
    { "CAP_SYSLOG",          NULL,  { "syslog" } },
    { "CAP_SYS_ADMIN",       admin, { NULL } },
    { "CAP_SYS_BOOT",        NULL,  { "reboot" } },
    { "CAP_SYS_CHROOT",      NULL,  { "chroot" } },
    { "CAP_SYS_MODULE",      NULL,  { "delete_module", "finit_module", "init_module" } },
    { "CAP_SYS_NICE",        NULL,  { "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node" } },
    { "CAP_SYS_PACCT",       NULL,  { "acct" } },
    { "CAP_SYS_PTRACE",      NULL,  { "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev",
                                      "ptrace" } },
    { "CAP_SYS_RAWIO",       NULL,  { "ioperm", "iopl" } },
    { "CAP_SYS_TIME",        NULL,  { "clock_settime", "clock_settime64", "settimeofday", "stime" } },
    { "CAP_SYS_TTY_CONFIG",  NULL,  { "vhangup" } },
};

/* What this architecture has that others have not, and which others it can run. */
#if defined(__x86_64__)
static const char *const of_architecture[] = { "arch_prctl", "modify_ldt", NULL };
static const char *const architectures[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", NULL };
#elif defined(__aarch64__)
static const char *const of_architecture[] = {
    "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2", NULL
};
static const char *const architectures[] = { "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", NULL };
#elif defined(__powerpc64__)
static const char *const of_architecture[] = { "swapcontext", "sync_file_range2", NULL };
static const char *const architectures[] = { "SCMP_ARCH_PPC64LE", NULL };
#elif defined(__s390x__)
static const char *const of_architecture[] = { "s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr", NULL };
static const char *const architectures[] = { "SCMP_ARCH_S390X", "SCMP_ARCH_S390", NULL };
#elif defined(__riscv)
static const char *const of_architecture[] = { "riscv_flush_icache", NULL };
static const char *const architectures[] = { "SCMP_ARCH_RISCV64", NULL };
#else
static const char *const of_architecture[] = { NULL };
static const char *const architectures[] = { NULL };
#endif
#if defined(__s390x__)
enum { CLONE_FLAGS_ARGUMENT = 1 };
#else
enum { CLONE_FLAGS_ARGUMENT = 0 };
#endif

/* Alternatives: a call is allowed if one of the rows about it holds. Protocol families 38 (AF_ALG)
 * and 40 (AF_VSOCK) are left out. */
static const struct {
    const char *name, *op;
    uint64_t value;
} by_argument[] = {
    { "personality", "SCMP_CMP_EQ", 0x0        },
    { "personality", "SCMP_CMP_EQ", 0x8        },
    { "personality", "SCMP_CMP_EQ", 0x20000    },
    { "personality", "SCMP_CMP_EQ", 0x20008    },
    { "personality", "SCMP_CMP_EQ", 0xffffffff },
    { "socket",      "SCMP_CMP_LT", 38         },
    { "socket",      "SCMP_CMP_EQ", 39         },
    { "socket",      "SCMP_CMP_GT", 40         },
};
/* clang-format on */

#define NEW_NAMESPACE_FLAGS UINT64_C(0x7E020000) /* CLONE_NEWNS … CLONE_NEWNET */

static struct runtime_seccomp_syscall *add(struct runtime_seccomp *out, const char *action)
{
    struct runtime_seccomp_syscall *rule = json_list_add(&out->syscalls, sizeof(*rule));

    rule->action = xstrdup(action);
    return rule;
}

static void allow(struct runtime_seccomp *out, const char *const *names)
{
    struct runtime_seccomp_syscall *rule = add(out, "SCMP_ACT_ALLOW");

    for (; *names; names++)
        strv_add(&rule->names, *names);
}

static void allow_if(struct runtime_seccomp *out, const char *name, int index, const char *op,
                     uint64_t value, uint64_t value_two)
{
    struct runtime_seccomp_syscall *rule = add(out, "SCMP_ACT_ALLOW");
    struct runtime_seccomp_argument *argument = json_list_add(&rule->args, sizeof(*argument));

    strv_add(&rule->names, name);
    *argument = (struct runtime_seccomp_argument){ index, value, value_two, xstrdup(op) };
}

void seccomp_profile_default(const struct strv *capabilities, struct runtime_seccomp *out)
{
    out->default_action = xstrdup("SCMP_ACT_ERRNO");
    out->default_errno_ret = (struct optional_int64){ true, EPERM };
    for (const char *const *name = architectures; *name; name++)
        strv_add(&out->architectures, *name);
    allow(out, always);
    if (of_architecture[0])
        allow(out, of_architecture);
    for (size_t i = 0; i < COUNT(by_argument); i++)
        allow_if(out, by_argument[i].name, 0, by_argument[i].op, by_argument[i].value, 0);
    for (size_t i = 0; i < COUNT(by_capability); i++)
        if (strv_contains(capabilities, by_capability[i].capability))
            allow(out, by_capability[i].list ? by_capability[i].list : by_capability[i].names);
    if (strv_contains(capabilities, "CAP_SYS_ADMIN"))
        return;
    /* New processes yes, new namespaces no. clone3 hides its flags behind a pointer: C libraries
     * take ENOSYS for a reason to use clone. */
    allow_if(out, "clone", CLONE_FLAGS_ARGUMENT, "SCMP_CMP_MASKED_EQ", NEW_NAMESPACE_FLAGS, 0);
    struct runtime_seccomp_syscall *clone3 = add(out, "SCMP_ACT_ERRNO");
    strv_add(&clone3->names, "clone3");
    clone3->errno_ret = (struct optional_int64){ true, ENOSYS };
}
