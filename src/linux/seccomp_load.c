/* Loading a filter needs no library; this file is apart so that a program which only loads does not
 * carry the compiler along. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "linux/seccomp.h"

#include "base/banned.h"

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

int seccomp_filter_load(const void *instructions, size_t size_bytes, struct error *err)
{
    struct sock_fprog program = { .len = (unsigned short)(size_bytes / sizeof(struct sock_filter)),
                                  .filter = (struct sock_filter *)instructions };

    if (size_bytes % sizeof(struct sock_filter) || !size_bytes ||
        size_bytes / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return error_set(err, ERROR_INVALID, "seccomp filter has a bad size: %zu bytes",
                         size_bytes);
    /* Without the flag older kernels slow the whole process down against speculation, which no
     * container runtime asks for. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) ==
        0)
        return 0;
    if (errno == EINVAL && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
        return 0;
    return error_sys(err, "load seccomp filter");
}
