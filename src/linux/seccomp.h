/* Seccomp filters: built with libseccomp (optimised as a binary tree), exported as BPF, loaded into
 * the kernel. Building takes tens of milliseconds: the engine does it once and keeps the program;
 * loading is a fraction of one. */
#ifndef BERTH_LINUX_SECCOMP_H
#define BERTH_LINUX_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct seccomp_argument {
    unsigned index;
    const char *op; /* SCMP_CMP_EQ… */
    uint64_t value, value_two;
};

/* Actions are the runtime spec's names: "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"… */
struct seccomp_builder;
int seccomp_builder_new(const char *default_action, unsigned errno_ret,
                        struct seccomp_builder **out, struct error *err);
int seccomp_builder_architecture(struct seccomp_builder *builder, const char *name,
                                 struct error *err); /* SCMP_ARCH_X86_64… */
/* A system call that this machine does not know is skipped. */
int seccomp_builder_rule(struct seccomp_builder *builder, const char *syscall, const char *action,
                         unsigned errno_ret, const struct seccomp_argument *arguments,
                         size_t argument_count, struct error *err);
/* The finished program: an array of struct sock_filter. */
int seccomp_builder_compile(struct seccomp_builder *builder, struct buf *out, struct error *err);
void seccomp_builder_free(struct seccomp_builder *builder);
CLEANUP_POINTER(seccomp_builder_free, struct seccomp_builder)

/* Installs the filter in the calling thread. Needs no_new_privs or CAP_SYS_ADMIN. */
int seccomp_filter_load(const void *instructions, size_t size_bytes, struct error *err);

#endif
