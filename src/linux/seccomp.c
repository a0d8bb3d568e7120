/* libseccomp turns rules into BPF, as a binary tree over the system call numbers. In front of its
 * program we put a few instructions of our own: system calls newer than any that the rules know
 * answer ENOSYS instead of the default EPERM, so that C libraries fall back to older ones. */
#include "linux/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

enum { ARGUMENT_LIMIT = 6, PROGRAM_SIZE_LIMIT = BPF_MAXINSNS * sizeof(struct sock_filter) };

struct seccomp_builder {
    scmp_filter_ctx context;
    uint32_t default_action;
    int newest_syscall; /* highest number of the native architecture that a rule names */
};

/* clang-format off */
static const struct {
    const char *name;
    uint32_t action;
} actions[] = {
    { "SCMP_ACT_ALLOW",        SCMP_ACT_ALLOW        },
    { "SCMP_ACT_KILL",         SCMP_ACT_KILL         },
    { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
    { "SCMP_ACT_KILL_THREAD",  SCMP_ACT_KILL_THREAD  },
    { "SCMP_ACT_LOG",          SCMP_ACT_LOG          },
    { "SCMP_ACT_TRAP",         SCMP_ACT_TRAP         },
};
static const struct {
    const char *name;
    enum scmp_compare op;
} comparisons[] = {
    { "SCMP_CMP_EQ",        SCMP_CMP_EQ        },
    { "SCMP_CMP_GE",        SCMP_CMP_GE        },
    { "SCMP_CMP_GT",        SCMP_CMP_GT        },
    { "SCMP_CMP_LE",        SCMP_CMP_LE        },
    { "SCMP_CMP_LT",        SCMP_CMP_LT        },
    { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
    { "SCMP_CMP_NE",        SCMP_CMP_NE        },
};
static const struct {
    const char *name;
    uint32_t token;
} architectures[] = {
    { "SCMP_ARCH_AARCH64",     SCMP_ARCH_AARCH64     },
    { "SCMP_ARCH_ARM",         SCMP_ARCH_ARM         },
    { "SCMP_ARCH_MIPS",        SCMP_ARCH_MIPS        },
    { "SCMP_ARCH_MIPS64",      SCMP_ARCH_MIPS64      },
    { "SCMP_ARCH_MIPS64N32",   SCMP_ARCH_MIPS64N32   },
    { "SCMP_ARCH_MIPSEL",      SCMP_ARCH_MIPSEL      },
    { "SCMP_ARCH_MIPSEL64",    SCMP_ARCH_MIPSEL64    },
    { "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
    { "SCMP_ARCH_PARISC",      SCMP_ARCH_PARISC      },
    { "SCMP_ARCH_PARISC64",    SCMP_ARCH_PARISC64    },
    { "SCMP_ARCH_PPC",         SCMP_ARCH_PPC         },
    { "SCMP_ARCH_PPC64",       SCMP_ARCH_PPC64       },
    { "SCMP_ARCH_PPC64LE",     SCMP_ARCH_PPC64LE     },
    { "SCMP_ARCH_RISCV64",     SCMP_ARCH_RISCV64     },
    { "SCMP_ARCH_S390",        SCMP_ARCH_S390        },
    { "SCMP_ARCH_S390X",       SCMP_ARCH_S390X       },
    { "SCMP_ARCH_X32",         SCMP_ARCH_X32         },
    { "SCMP_ARCH_X86",         SCMP_ARCH_X86         },
    { "SCMP_ARCH_X86_64",      SCMP_ARCH_X86_64      },
};
/* clang-format on */

static int action_number(const char *name, unsigned errno_ret, uint32_t *out, struct error *err)
{
    if (strcmp(name, "SCMP_ACT_ERRNO") == 0) {
        *out = SCMP_ACT_ERRNO(errno_ret);
        return 0;
    }
    if (strcmp(name, "SCMP_ACT_TRACE") == 0) {
        *out = SCMP_ACT_TRACE(errno_ret);
        return 0;
    }
    for (size_t i = 0; i < COUNT(actions); i++)
        if (strcmp(actions[i].name, name) == 0) {
            *out = actions[i].action;
            return 0;
        }
    if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
        return error_set(err, ERROR_UNSUPPORTED, "seccomp: SCMP_ACT_NOTIFY is not supported");
    return error_set(err, ERROR_INVALID, "seccomp: unknown action \"%s\"", name);
}

static int fail(struct error *err, int result, const char *what)
{
    errno = -result;
    return error_sys(err, "seccomp: %s", what);
}

int seccomp_builder_new(const char *default_action, unsigned errno_ret,
                        struct seccomp_builder **out, struct error *err)
{
    CLEANUP(seccomp_builder_free) struct seccomp_builder *builder = NEW(struct seccomp_builder);

    if (action_number(default_action, errno_ret, &builder->default_action, err) < 0)
        return -1;
    builder->context = seccomp_init(builder->default_action);
    if (!builder->context)
        return error_set(err, ERROR_INTERNAL, "seccomp: cannot start a filter");
    int result = seccomp_attr_set(builder->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (result < 0)
        return fail(err, result, "optimise");
    *out = TAKE(builder);
    return 0;
}

int seccomp_builder_architecture(struct seccomp_builder *builder, const char *name,
                                 struct error *err)
{
    for (size_t i = 0; i < COUNT(architectures); i++) {
        if (strcmp(architectures[i].name, name) != 0)
            continue;
        int result = seccomp_arch_add(builder->context, architectures[i].token);
        return result < 0 && result != -EEXIST ? fail(err, result, name) : 0;
    }
    return error_set(err, ERROR_INVALID, "seccomp: unknown architecture \"%s\"", name);
}

static int convert_argument(const struct seccomp_argument *argument, struct scmp_arg_cmp *out,
                            struct error *err)
{
    for (size_t i = 0; i < COUNT(comparisons); i++) {
        if (strcmp(comparisons[i].name, argument->op) != 0)
            continue;
        if (argument->index >= ARGUMENT_LIMIT)
            return error_set(err, ERROR_INVALID, "seccomp: argument %u does not exist",
                             argument->index);
        *out = (struct scmp_arg_cmp){ .arg = argument->index,
                                      .op = comparisons[i].op,
                                      .datum_a = argument->value,
                                      .datum_b = argument->value_two };
        return 0;
    }
    return error_set(err, ERROR_INVALID, "seccomp: unknown comparison \"%s\"", argument->op);
}

static bool compares_one_twice(const struct scmp_arg_cmp *arguments, size_t count)
{
    unsigned seen = 0;

    for (size_t i = 0; i < count; i++) {
        if (seen & 1U << arguments[i].arg)
            return true;
        seen |= 1U << arguments[i].arg;
    }
    return false;
}

int seccomp_builder_rule(struct seccomp_builder *builder, const char *syscall, const char *action,
                         unsigned errno_ret, const struct seccomp_argument *arguments,
                         size_t argument_count, struct error *err)
{
    int number = seccomp_syscall_resolve_name(syscall);
    struct scmp_arg_cmp converted[ARGUMENT_LIMIT];
    uint32_t action_value;
    int result = 0;

    if (action_number(action, errno_ret, &action_value, err) < 0)
        return -1;
    if (argument_count > ARGUMENT_LIMIT)
        return error_set(err, ERROR_INVALID, "seccomp: %s: too many arguments", syscall);
    for (size_t i = 0; i < argument_count; i++)
        if (convert_argument(&arguments[i], &converted[i], err) < 0)
            return -1;
    if (number == __NR_SCMP_ERROR)
        return 0;
    builder->newest_syscall = MAX(builder->newest_syscall, number);
    if (action_value == builder->default_action)
        return 0; /* the library refuses to say the same twice */
    /* Comparisons of one argument are alternatives; the library knows only rules that hold all. */
    if (compares_one_twice(converted, argument_count))
        for (size_t i = 0; i < argument_count && result == 0; i++)
            result = seccomp_rule_add_array(builder->context, action_value, number, 1,
                                            &converted[i]);
    else
        result = seccomp_rule_add_array(builder->context, action_value, number,
                                        (unsigned)argument_count, converted);
    return result < 0 && result != -EEXIST ? fail(err, result, syscall) : 0;
}

/* if this is the native architecture and its number is beyond the newest that is known: ENOSYS */
static void add_unknown_answer(const struct seccomp_builder *builder, struct buf *out)
{
    enum { X32_BIT = 0x40000000, SKIP = 4 };
    const struct sock_filter prologue[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, SKIP),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, SKIP - 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (unsigned)builder->newest_syscall, 0, SKIP - 3),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };

    if (builder->default_action == SCMP_ACT_ERRNO(EPERM) && builder->newest_syscall > 0)
        buf_add(out, prologue, sizeof(prologue));
}

int seccomp_builder_compile(struct seccomp_builder *builder, struct buf *out, struct error *err)
{
    CLEANUP(close) int fd = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat status;

    if (fd < 0)
        return error_sys(err, "seccomp: memfd");
    int result = seccomp_export_bpf(builder->context, fd);
    if (result < 0)
        return fail(err, result, "compile");
    if (fstat(fd, &status) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "seccomp: memfd");
    if (status.st_size <= 0 || status.st_size > (off_t)PROGRAM_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "seccomp: the filter is too large");
    add_unknown_answer(builder, out);
    if (fd_read_full(fd, buf_room(out, (size_t)status.st_size), (size_t)status.st_size, err) !=
        status.st_size)
        return error_context(err, "seccomp: memfd");
    buf_grow(out, (size_t)status.st_size);
    return 0;
}

void seccomp_builder_free(struct seccomp_builder *builder)
{
    if (!builder)
        return;
    if (builder->context)
        seccomp_release(builder->context);
    free(builder);
}
