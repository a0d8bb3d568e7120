/* Profiles in Docker's JSON form are reduced to the runtime spec's form, and that is compiled. */
#include "runtime/seccomp_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/memory.h"
#include "base/text.h"
#include "linux/seccomp.h"

#include "base/banned.h"

#if defined(__x86_64__)
#define NATIVE_NAME         "amd64"
#define NATIVE_ARCHITECTURE "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define NATIVE_NAME         "arm64"
#define NATIVE_ARCHITECTURE "SCMP_ARCH_AARCH64"
#elif defined(__powerpc64__)
#define NATIVE_NAME         "ppc64le"
#define NATIVE_ARCHITECTURE "SCMP_ARCH_PPC64LE"
#elif defined(__s390x__)
#define NATIVE_NAME         "s390x"
#define NATIVE_ARCHITECTURE "SCMP_ARCH_S390X"
#else
#define NATIVE_NAME         "riscv64"
#define NATIVE_ARCHITECTURE "SCMP_ARCH_RISCV64"
#endif

/* ---- Docker's form ---- */

struct filter {
    struct strv arches, caps;
    char *min_kernel;
};

struct profile_rule {
    char *name;
    struct strv names;
    char *action;
    struct optional_int64 errno_ret;
    struct json_list args; /* struct runtime_seccomp_argument */
    struct filter includes, excludes;
};

struct architecture_row {
    char *architecture;
    struct strv sub_architectures;
};

struct profile {
    char *default_action, *listener_path;
    struct optional_int64 default_errno_ret;
    struct strv architectures, flags;
    struct json_list arch_map; /* struct architecture_row */
    struct json_list syscalls; /* struct profile_rule */
};

/* clang-format off */
static const struct json_field filter_fields[] = {
    JSON_STRV  (struct filter, arches,     "arches"),
    JSON_STRV  (struct filter, caps,       "caps"),
    JSON_STRING(struct filter, min_kernel, "minKernel"),
    JSON_END,
};
static const struct json_field argument_fields[] = {
    JSON_INT64 (struct runtime_seccomp_argument, index,     "index"),
    JSON_UINT64(struct runtime_seccomp_argument, value,     "value"),
    JSON_UINT64(struct runtime_seccomp_argument, value_two, "valueTwo"),
    JSON_STRING(struct runtime_seccomp_argument, op,        "op"),
    JSON_END,
};
static const struct json_field rule_fields[] = {
    JSON_STRING        (struct profile_rule, name,      "name"),
    JSON_STRV          (struct profile_rule, names,     "names"),
    JSON_STRING        (struct profile_rule, action,    "action"),
    JSON_OPTIONAL_INT64(struct profile_rule, errno_ret, "errnoRet"),
    JSON_OBJECTS       (struct profile_rule, args,      "args", struct runtime_seccomp_argument, argument_fields),
    JSON_OBJECT        (struct profile_rule, includes,  "includes", struct filter, filter_fields),
    JSON_OBJECT        (struct profile_rule, excludes,  "excludes", struct filter, filter_fields),
    JSON_END,
};
static const struct json_field architecture_row_fields[] = {
    JSON_STRING(struct architecture_row, architecture,      "architecture"),
    JSON_STRV  (struct architecture_row, sub_architectures, "subArchitectures"),
    JSON_END,
};
static const struct json_field profile_fields[] = {
    JSON_STRING        (struct profile, default_action,    "defaultAction"),
    JSON_STRING        (struct profile, listener_path,     "listenerPath"),
    JSON_OPTIONAL_INT64(struct profile, default_errno_ret, "defaultErrnoRet"),
    JSON_STRV          (struct profile, architectures,     "architectures"),
    JSON_STRV          (struct profile, flags,             "flags"),
    JSON_OBJECTS       (struct profile, arch_map,          "archMap", struct architecture_row, architecture_row_fields),
    JSON_OBJECTS       (struct profile, syscalls,          "syscalls", struct profile_rule, rule_fields),
    JSON_END,
};
/* clang-format on */

static void profile_done(struct profile *profile)
{
    json_fields_done(profile_fields, profile);
}
CLEANUP_VALUE(profile_done, struct profile)

static void runtime_seccomp_done(struct runtime_seccomp *seccomp)
{
    json_fields_done(runtime_seccomp_fields, seccomp);
}
CLEANUP_VALUE(runtime_seccomp_done, struct runtime_seccomp)

static bool kernel_is_at_least(const char *version)
{
    struct utsname names;
    unsigned wanted[2] = {}, have[2] = {};

    if (uname(&names) < 0 || sscanf(version, "%u.%u", &wanted[0], &wanted[1]) != 2 ||
        sscanf(names.release, "%u.%u", &have[0], &have[1]) != 2)
        return false;
    return have[0] > wanted[0] || (have[0] == wanted[0] && have[1] >= wanted[1]);
}

static bool applies(const struct profile_rule *rule, const struct strv *capabilities)
{
    const struct filter *in = &rule->includes, *out = &rule->excludes;

    for (size_t i = 0; i < out->caps.count; i++)
        if (strv_contains(capabilities, out->caps.items[i]))
            return false;
    for (size_t i = 0; i < in->caps.count; i++)
        if (!strv_contains(capabilities, in->caps.items[i]))
            return false;
    if (strv_contains(&out->arches, NATIVE_NAME) ||
        (in->arches.count && !strv_contains(&in->arches, NATIVE_NAME)))
        return false;
    if (!text_is_empty(out->min_kernel) && kernel_is_at_least(out->min_kernel))
        return false;
    return text_is_empty(in->min_kernel) || kernel_is_at_least(in->min_kernel);
}

static int reduce_rule(struct profile_rule *rule, struct runtime_seccomp *out, struct error *err)
{
    struct runtime_seccomp_syscall *made;

    if (!text_is_empty(rule->name) && rule->names.count)
        return error_set(err, ERROR_INVALID,
                         "both 'name' and 'names' are specified in the seccomp profile, use either "
                         "'name' or 'names'");
    made = json_list_add(&out->syscalls, sizeof(*made));
    if (!text_is_empty(rule->name))
        strv_add(&made->names, rule->name);
    strv_add_all(&made->names, &rule->names);
    made->action = TAKE(rule->action);
    made->errno_ret = rule->errno_ret;
    made->args = rule->args; /* same element type */
    rule->args = (struct json_list){};
    return 0;
}

static int reduce_architectures(const struct profile *profile, struct runtime_seccomp *out,
                                struct error *err)
{
    if (profile->architectures.count && profile->arch_map.count)
        return error_set(err, ERROR_INVALID,
                         "both 'architectures' and 'archMap' are specified in the seccomp profile, "
                         "use either 'architectures' or 'archMap'");
    strv_add_all(&out->architectures, &profile->architectures);
    for (size_t i = 0; i < profile->arch_map.count; i++) {
        const struct architecture_row *row = &JSON_ITEMS(&profile->arch_map,
                                                         const struct architecture_row)[i];

        if (!text_equal(row->architecture, NATIVE_ARCHITECTURE))
            continue;
        strv_add(&out->architectures, row->architecture);
        strv_add_all(&out->architectures, &row->sub_architectures);
        break;
    }
    return 0;
}

int seccomp_profile_decode(const char *text, size_t size, const struct strv *capabilities,
                           struct runtime_seccomp *out, struct error *err)
{
    CLEANUP(profile_done) struct profile profile = {};
    CLEANUP(runtime_seccomp_done) struct runtime_seccomp result = {};

    if (json_decode(profile_fields, text, size, &profile, err) < 0)
        return error_context(err, "Decoding seccomp profile failed");
    if (text_is_empty(profile.default_action))
        return error_set(err, ERROR_INVALID, "Decoding seccomp profile failed: no default action");
    if (!text_is_empty(profile.listener_path))
        return error_set(err, ERROR_UNSUPPORTED, "seccomp listenerPath is not supported");
    result.default_action = TAKE(profile.default_action);
    result.default_errno_ret = profile.default_errno_ret;
    if (reduce_architectures(&profile, &result, err) < 0)
        return -1;
    strv_add_all(&result.flags, &profile.flags);
    for (size_t i = 0; i < profile.syscalls.count; i++) {
        struct profile_rule *rule = &JSON_ITEMS(&profile.syscalls, struct profile_rule)[i];

        if (applies(rule, capabilities) && reduce_rule(rule, &result, err) < 0)
            return -1;
    }
    *out = result;
    result = (struct runtime_seccomp){};
    return 0;
}

/* ---- compiling ---- */

static unsigned errno_of(const struct optional_int64 *value)
{
    return value->is_set && value->value >= 0 && value->value < 4096 ? (unsigned)value->value
                                                                     : EPERM;
}

static int compile_rule(struct seccomp_builder *builder, const struct runtime_seccomp_syscall *rule,
                        struct error *err)
{
    enum { ARGUMENT_LIMIT = 6 };
    struct seccomp_argument arguments[ARGUMENT_LIMIT];

    if (text_is_empty(rule->action))
        return error_set(err, ERROR_INVALID, "seccomp: a rule has no action");
    if (rule->args.count > ARGUMENT_LIMIT)
        return error_set(err, ERROR_INVALID, "seccomp: a rule has too many arguments");
    for (size_t i = 0; i < rule->args.count; i++) {
        const struct runtime_seccomp_argument *from =
            &JSON_ITEMS(&rule->args, const struct runtime_seccomp_argument)[i];

        if (from->index < 0 || from->index >= ARGUMENT_LIMIT)
            return error_set(err, ERROR_INVALID, "seccomp: argument %lld does not exist",
                             (long long)from->index);
        arguments[i] = (struct seccomp_argument){ (unsigned)from->index, from->op ? from->op : "",
                                                  from->value, from->value_two };
    }
    for (size_t i = 0; i < rule->names.count; i++)
        if (seccomp_builder_rule(builder, rule->names.items[i], rule->action,
                                 errno_of(&rule->errno_ret), arguments, rule->args.count, err) < 0)
            return -1;
    return 0;
}

int seccomp_profile_compile(const struct runtime_seccomp *profile, struct buf *out,
                            struct error *err)
{
    CLEANUP(seccomp_builder_free) struct seccomp_builder *builder = NULL;

    if (text_is_empty(profile->default_action))
        return error_set(err, ERROR_INVALID, "seccomp: no default action");
    if (seccomp_builder_new(profile->default_action, errno_of(&profile->default_errno_ret),
                            &builder, err) < 0)
        return -1;
    for (size_t i = 0; i < profile->architectures.count; i++)
        if (seccomp_builder_architecture(builder, profile->architectures.items[i], err) < 0)
            return -1;
    for (size_t i = 0; i < profile->syscalls.count; i++)
        if (compile_rule(builder,
                         &JSON_ITEMS(&profile->syscalls, const struct runtime_seccomp_syscall)[i],
                         err) < 0)
            return -1;
    return seccomp_builder_compile(builder, out, err);
}
