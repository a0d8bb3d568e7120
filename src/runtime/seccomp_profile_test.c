#include "runtime/seccomp_profile.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "linux/seccomp.h"

#include "base/banned.h"

static const char *const docker_capabilities[] = {
    "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",      "CAP_FOWNER",           "CAP_MKNOD",
    "CAP_SETGID", "CAP_NET_RAW",      "CAP_SETUID",      "CAP_SETFCAP",          "CAP_SETPCAP",
    "CAP_KILL",   "CAP_SYS_CHROOT",   "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE",
};

static void compile(const struct runtime_seccomp *profile, struct buf *out)
{
    struct error err = {};

    cr_assert_eq(seccomp_profile_compile(profile, out, &err), 0, "%s", err.text);
    cr_assert_eq(out->size % sizeof(struct sock_filter), 0);
}

static void compile_default(bool with_admin, struct buf *out)
{
    CLEANUP(strv_done) struct strv capabilities = {};
    struct runtime_seccomp profile = {};

    for (size_t i = 0; i < COUNT(docker_capabilities); i++)
        strv_add(&capabilities, docker_capabilities[i]);
    if (with_admin)
        strv_add(&capabilities, "CAP_SYS_ADMIN");
    seccomp_profile_default(&capabilities, &profile);
    compile(&profile, out);
    json_fields_done(runtime_seccomp_fields, &profile);
}

struct attempt {
    const char *what;
    long number, arguments[6];
    int expected; /* errno, 0: success */
};

/* errno of one system call under a filter, made by a process of its own. */
static int errno_under(const struct buf *filter, const struct attempt *attempt)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        const long *a = attempt->arguments;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (seccomp_filter_load(buf_bytes(filter), filter->size, NULL) < 0)
            _exit(255);
        long result = syscall(attempt->number, a[0], a[1], a[2], a[3], a[4], a[5]);
        _exit(result < 0 ? errno : 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "%s: killed", attempt->what);
    return WEXITSTATUS(status);
}

static void expect_all(const struct buf *filter, const struct attempt *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int found = errno_under(filter, &attempts[i]);

        cr_expect_eq(found, attempts[i].expected, "%s: %s", attempts[i].what, strerror(found));
    }
}

/* clang-format off */
static const struct attempt plain[] = {
    { "getpid",             SYS_getpid,      { 0 },                                     0      },
    { "a unix socket",      SYS_socket,      { AF_UNIX, SOCK_STREAM, 0 },               0      },
    { "AF_ALG",             SYS_socket,      { 38, SOCK_SEQPACKET, 0 },                 EPERM  },
    { "AF_VSOCK",           SYS_socket,      { 40, SOCK_STREAM, 0 },                    EPERM  },
    { "personality asked",  SYS_personality, { 0xffffffff },                            0      },
    { "personality set",    SYS_personality, { 0x1 },                                   EPERM  },
    { "a user namespace",   SYS_unshare,     { CLONE_NEWUSER },                         EPERM  },
    { "clone into one",     SYS_clone,       { CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0 },   EPERM  },
    { "clone3",             SYS_clone3,      { 0, 0 },                                  ENOSYS },
    { "mount",              SYS_mount,       { 0, 0, 0, 0, 0 },                         EPERM  },
    { "keyctl",             SYS_keyctl,      { 0, -3, 0 },                              EPERM  },
    { "io_uring",           SYS_io_uring_setup, { 1, 0 },                               EPERM  },
    { "userfaultfd",        SYS_userfaultfd, { 0 },                                     EPERM  },
    { "bpf",                SYS_bpf,         { 0, 0, 0 },                               EPERM  },
    { "reboot",             SYS_reboot,      { 0, 0, 0, 0 },                            EPERM  },
    { "not yet invented",   1000,            { 0 },                                     ENOSYS },
};
static const struct attempt with_admin[] = {
    { "getpid",             SYS_getpid,      { 0 },                                     0      },
    { "mount",              SYS_mount,       { 0, 0, 0, 0, 0 },                         EFAULT },
    { "clone3",             SYS_clone3,      { 0, 0 },                                  EINVAL },
    { "keyctl",             SYS_keyctl,      { 0, -3, 0 },                              EPERM  },
    { "reboot",             SYS_reboot,      { 0, 0, 0, 0 },                            EPERM  },
};
/* clang-format on */

Test(seccomp_profile, default_allows_what_docker_allows)
{
    CLEANUP(buf_done) struct buf filter = {};

    compile_default(false, &filter);
    expect_all(&filter, plain, COUNT(plain));
}

Test(seccomp_profile, default_follows_capabilities)
{
    CLEANUP(buf_done) struct buf filter = {};

    compile_default(true, &filter);
    expect_all(&filter, with_admin, COUNT(with_admin));
}

static const char custom[] =
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\","
    "\"subArchitectures\":[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_AARCH64\"}],"
    "\"syscalls\":["
    "{\"name\":\"getppid\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":42},"
    "{\"names\":[\"getuid\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":43,"
    "\"includes\":{\"caps\":[\"CAP_CHOWN\"]}},"
    "{\"names\":[\"getgid\"],\"action\":\"SCMP_ACT_ERRNO\",\"excludes\":{\"caps\":[\"CAP_CHOWN\"]}}"
    ","
    "{\"names\":[\"getegid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"99.0\"}},"
    "{\"names\":[\"geteuid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"4.8\"}},"
    "{\"names\":[\"getsid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"arches\":[\"vax\"]}},"
    "{\"names\":[\"dup\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":44,\"args\":[{\"index\":0,"
    "\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}";

static const struct attempt customized[] = {
    { "by name", SYS_getppid, { 0 }, 42 },
    { "with the capability", SYS_getuid, { 0 }, 43 },
    { "without it only", SYS_getgid, { 0 }, 0 },
    { "newer kernels only", SYS_getegid, { 0 }, 0 },
    { "kernels like ours", SYS_geteuid, { 0 }, EPERM },
    { "other machines", SYS_getsid, { 0 }, 0 },
    { "no argument", SYS_dup, { 0 }, 0 },
    { "the first alternative", SYS_dup, { 1 }, 44 },
    { "the second alternative", SYS_dup, { 2 }, 44 },
};

Test(seccomp_profile, reduces_a_users_profile)
{
    CLEANUP(strv_done) struct strv capabilities = {};
    CLEANUP(buf_done) struct buf filter = {};
    struct runtime_seccomp profile = {};
    struct error err = {};

    strv_add(&capabilities, "CAP_CHOWN");
    cr_assert_eq(seccomp_profile_decode(custom, sizeof(custom) - 1, &capabilities, &profile, &err),
                 0, "%s", err.text);
    compile(&profile, &filter);
    expect_all(&filter, customized, COUNT(customized));
    json_fields_done(runtime_seccomp_fields, &profile);
}

static const char *const refused[] = {
    "",
    "{}",
    "[]",
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],"
    "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"}]}",
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"a\",\"names\":[\"b\"]}]}",
    "{\"defaultAction\":\"SCMP_ACT_NO_SUCH\"}",
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"dup\"]}]}",
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"dup\"],\"action\":"
    "\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"dup\"],\"action\":"
    "\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"op\":\"LIKE\"}]}]}",
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}",
};

Test(seccomp_profile, refuses_nonsense)
{
    static const struct strv none;

    for (size_t i = 0; i < COUNT(refused); i++) {
        struct runtime_seccomp profile = {};
        CLEANUP(buf_done) struct buf filter = {};
        struct error err = {};

        int result = seccomp_profile_decode(refused[i], strlen(refused[i]), &none, &profile, &err);
        if (result == 0)
            result = seccomp_profile_compile(&profile, &filter, &err);
        cr_expect_lt(result, 0, "%s", refused[i]);
        cr_expect_eq(err.kind, ERROR_INVALID, "%s: %s", refused[i], err.text);
        json_fields_done(runtime_seccomp_fields, &profile);
    }
}
