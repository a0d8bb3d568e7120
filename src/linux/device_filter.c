/* The rules are first reduced to a default and exceptions from it, as the version 1 controller
 * keeps them; the program then compares one exception after the other. */
#include "linux/device_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/memory.h"

#include "base/banned.h"

struct exceptions {
    bool allow_default;
    struct device_rule *rules;
    size_t count;
};

static void remember(struct exceptions *state, const struct device_rule *rule)
{
    struct device_rule *same = NULL;

    if (rule->type == 'a') {
        state->allow_default = rule->allow;
        state->count = 0;
        return;
    }
    for (size_t i = 0; i < state->count; i++) {
        struct device_rule *other = &state->rules[i];

        if (other->type == rule->type && other->major == rule->major && other->minor == rule->minor)
            same = other;
    }
    if (rule->allow == state->allow_default) { /* takes an exception back */
        if (same)
            same->access &= ~rule->access;
    } else if (same) {
        same->access |= rule->access;
    } else {
        state->rules[state->count++] = *rule;
    }
}

static void emit(struct buf *out, uint8_t code, uint8_t to, uint8_t from, int16_t offset,
                 int32_t value)
{
    struct bpf_insn instruction = {
        .code = code, .dst_reg = to, .src_reg = from, .off = offset, .imm = value
    };

    buf_add(out, &instruction, sizeof(instruction));
}

static void load(struct buf *out, uint8_t reg, size_t offset)
{
    emit(out, BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_1, (int16_t)offset, 0);
}

static void answer(struct buf *out, bool allow)
{
    emit(out, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
    emit(out, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Registers: 2 type, 3 access, 4 major, 5 minor. A comparison that fails jumps behind the answer.
 */
static void emit_exception(struct buf *out, const struct device_rule *rule, bool allow_default)
{
    int after_type = (allow_default ? 2 : 3) + (rule->major >= 0) + (rule->minor >= 0) + 2;

    emit(out, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, (int16_t)after_type,
         rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (allow_default) { /* denied if any of what is asked for is denied */
        emit(out, BPF_JMP | BPF_JSET | BPF_K, BPF_REG_3, 0, 1, (int32_t)rule->access);
        emit(out, BPF_JMP | BPF_JA, 0, 0, (int16_t)(after_type - 2), 0);
    } else { /* allowed if all of what is asked for is allowed */
        emit(out, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        emit(out, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, (int32_t)rule->access);
        emit(out, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_3, (int16_t)(after_type - 3), 0);
    }
    int left = (rule->major >= 0) + (rule->minor >= 0) + 2;
    if (rule->major >= 0)
        emit(out, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, (int16_t)--left, (int32_t)rule->major);
    if (rule->minor >= 0)
        emit(out, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, (int16_t)--left, (int32_t)rule->minor);
    answer(out, !allow_default);
}

void device_filter_encode(const struct device_rule *rules, size_t count, struct buf *out)
{
    struct exceptions state = { .rules = xcalloc(count + 1, sizeof(*rules)) };

    for (size_t i = 0; i < count; i++)
        remember(&state, &rules[i]);
    load(out, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    emit(out, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
    emit(out, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
    emit(out, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xFFFF);
    load(out, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
    load(out, BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
    for (size_t i = 0; i < state.count; i++)
        if (state.rules[i].access)
            emit_exception(out, &state.rules[i], state.allow_default);
    answer(out, state.allow_default);
    free(state.rules);
}

int device_filter_attach(int cgroup_fd, const struct buf *program, struct error *err)
{
    static const char license[] = "Apache-2.0";
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof(attributes));
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)buf_bytes(program);
    attributes.insn_cnt = (uint32_t)(program->size / sizeof(struct bpf_insn));
    attributes.license = (uint64_t)(uintptr_t)license;
    CLEANUP(close)
    int program_fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
    if (program_fd < 0)
        return error_sys(err, "load device filter");
    memset(&attributes, 0, sizeof(attributes));
    attributes.target_fd = (uint32_t)cgroup_fd;
    attributes.attach_bpf_fd = (uint32_t)program_fd;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof(attributes)) < 0)
        return error_sys(err, "attach device filter");
    return 0;
}
