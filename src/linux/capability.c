/* capget, capset and prctl, with the kernel's names. */
#include "linux/capability.h"

#include <linux/capability.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/banned.h"

/* clang-format off */
static const char *const names[] = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
};
/* clang-format on */

int capability_last(void)
{
    static atomic_int last = -1;
    int number = atomic_load(&last);

    if (number >= 0)
        return number;
    number = 0;
    while (number + 1 < (int)COUNT(names) && prctl(PR_CAPBSET_READ, number + 1, 0, 0, 0) >= 0)
        number++;
    atomic_store(&last, number);
    return number;
}

const char *capability_name(int number)
{
    return number >= 0 && number < (int)COUNT(names) ? names[number] : NULL;
}

int capability_number(const char *name)
{
    int offset = strncasecmp(name, "CAP_", 4) == 0 ? 0 : 4;

    for (int i = 0; i <= capability_last(); i++)
        if (strcasecmp(names[i] + offset, name) == 0)
            return i;
    return -1;
}

uint64_t capability_mask(const struct strv *list)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < list->count; i++) {
        int number = capability_number(list->items[i]);

        if (number >= 0)
            mask |= UINT64_C(1) << number;
    }
    return mask;
}

void capability_get(struct capability_sets *out)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = {};

    *out = (struct capability_sets){};
    if (syscall(SYS_capget, &header, data) == 0) {
        out->effective = (uint64_t)data[1].effective << 32 | data[0].effective;
        out->permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
        out->inheritable = (uint64_t)data[1].inheritable << 32 | data[0].inheritable;
    }
    for (int i = 0; i <= capability_last(); i++) {
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            out->bounding |= UINT64_C(1) << i;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
            out->ambient |= UINT64_C(1) << i;
    }
}

int capability_drop_bounding(uint64_t keep, struct error *err)
{
    /* Beyond the last name we know there may be newer ones: the kernel says where they end. */
    for (int i = 0; i < 64; i++) {
        int is_set = prctl(PR_CAPBSET_READ, i, 0, 0, 0);

        if (is_set < 0)
            break;
        if (is_set && !(keep & UINT64_C(1) << i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return error_sys(err, "drop %s from the bounding set", capability_name(i) ?: "?");
    }
    return 0;
}

int capability_set(const struct capability_sets *sets, struct error *err)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];

    for (int i = 0; i < 2; i++)
        data[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(sets->effective >> 32 * i),
            .permitted = (uint32_t)(sets->permitted >> 32 * i),
            .inheritable = (uint32_t)(sets->inheritable >> 32 * i),
        };
    if (syscall(SYS_capset, &header, data) < 0)
        return error_sys(err, "unable to apply caps");
    return 0;
}

int capability_set_ambient(uint64_t mask, struct error *err)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return error_sys(err, "clear ambient capabilities");
    for (int i = 0; i <= capability_last(); i++)
        if (mask & UINT64_C(1) << i && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return error_sys(err, "raise ambient %s", capability_name(i));
    return 0;
}
