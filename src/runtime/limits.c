/* Limits are written in an order in which each write is valid given the ones before. Kernel files
 * that are missing are an error only where the value would make a difference to safety; the engine
 * has told its users before what this host cannot do. */
#include "runtime/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/device_filter.h"

#include "base/banned.h"

enum {
    SHARES_MIN = 2,
    SHARES_MAX = 262144,
    DEFAULT_PERIOD_US = 100000,
    WEIGHT_MIN = 10,
    WEIGHT_MAX = 1000,
};

static bool is_v2(void)
{
    return cgroup_version() == CGROUP_V2;
}

static int write_number(const char *path, const char *controller, const char *file, int64_t value,
                        struct error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    return cgroup_write(path, controller, file, text, err);
}

static int write_optional(const char *path, const char *controller, const char *file,
                          const struct optional_int64 *value, struct error *err)
{
    return value->is_set ? write_number(path, controller, file, value->value, err) : 0;
}

/* "max" for what is not limited. */
static int write_or_max(const char *path, const char *controller, const char *file, int64_t value,
                        struct error *err)
{
    return value < 0 ? cgroup_write(path, controller, file, "max", err)
                     : write_number(path, controller, file, value, err);
}

/* ---- memory ---- */

/* A kernel that counts no swap has no such file. */
static int write_swap_v1(const char *path, const struct runtime_memory *memory, struct error *err)
{
    struct error failure = {};

    if (!memory->swap.is_set || write_number(path, "memory", "memory.memsw.limit_in_bytes",
                                             memory->swap.value, &failure) == 0)
        return 0;
    if (failure.kind == ERROR_NOT_FOUND)
        return 0;
    if (err)
        *err = failure;
    return -1;
}

static int memory_v1(const char *path, const struct runtime_memory *memory, struct error *err)
{
    /* The kernel keeps memory <= memory + swap at all times: what grows is written outermost
     * first. */
    int64_t total = cgroup_read_int64(path, "memory", "memory.memsw.limit_in_bytes", -1);
    bool swap_first = memory->swap.is_set && (memory->swap.value < 0 || memory->swap.value > total);

    if (swap_first && write_swap_v1(path, memory, err) < 0)
        return -1;
    if (write_optional(path, "memory", "memory.limit_in_bytes", &memory->limit, err) < 0)
        return -1;
    if (!swap_first && write_swap_v1(path, memory, err) < 0)
        return -1;
    if (write_optional(path, "memory", "memory.soft_limit_in_bytes", &memory->reservation, err) <
            0 ||
        write_optional(path, "memory", "memory.swappiness", &memory->swappiness, err) < 0)
        return -1;
    return memory->disable_oom_killer.value
               ? cgroup_write(path, "memory", "memory.oom_control", "1", err)
               : 0;
}

static int memory_v2(const char *path, const struct runtime_memory *memory, struct error *err)
{
    struct error failure = {};

    if (memory->swap.is_set) { /* the total on v1 and in the configuration; here swap alone */
        int64_t swap = memory->swap.value;

        if (swap > 0 && memory->limit.is_set && memory->limit.value >= 0)
            swap = swap < memory->limit.value ? 0 : swap - memory->limit.value;
        if (write_or_max(path, "memory", "memory.swap.max", swap, &failure) < 0 &&
            failure.kind != ERROR_NOT_FOUND) {
            if (err)
                *err = failure;
            return -1;
        }
    }
    if (memory->limit.is_set &&
        write_or_max(path, "memory", "memory.max", memory->limit.value, err) < 0)
        return -1;
    return memory->reservation.is_set
               ? write_or_max(path, "memory", "memory.low", memory->reservation.value, err)
               : 0;
}

/* ---- cpu ---- */

/* Docker's shares (2..262144, 1024 in the middle) to weights (1..10000, 100): a curve through
 * (2, 1), (1024, 100), (262144, 10000). */
static int64_t weight_of_shares(int64_t shares)
{
    double l = log2((double)shares);

    return (int64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int cpu_shares(const char *path, int64_t shares, struct error *err)
{
    if (shares == 0)
        return 0;
    if (shares < SHARES_MIN)
        return error_set(err, ERROR_INVALID, "the minimum allowed cpu-shares is %d", SHARES_MIN);
    if (shares > SHARES_MAX)
        return error_set(err, ERROR_INVALID, "the maximum allowed cpu-shares is %d", SHARES_MAX);
    return is_v2() ? write_number(path, "cpu", "cpu.weight", weight_of_shares(shares), err)
                   : write_number(path, "cpu", "cpu.shares", shares, err);
}

static int quota_v1(const char *path, const struct runtime_cpu *cpu, struct error *err)
{
    struct error failure = {};
    int result = write_optional(path, "cpu", "cpu.cfs_period_us", &cpu->period, &failure);

    /* A shorter period may not fit the old quota: then the quota goes first. */
    if (result < 0 && !cpu->quota.is_set) {
        if (err)
            *err = failure;
        return -1;
    }
    if (write_optional(path, "cpu", "cpu.cfs_quota_us", &cpu->quota, err) < 0)
        return -1;
    return result < 0 ? write_optional(path, "cpu", "cpu.cfs_period_us", &cpu->period, err) : 0;
}

static int quota_v2(const char *path, const struct runtime_cpu *cpu, struct error *err)
{
    CLEANUP(free) char *old = NULL;
    char text[48], quota[24] = "max";

    if (!cpu->quota.is_set && !cpu->period.is_set)
        return 0;
    if (cpu->quota.is_set && cpu->quota.value > 0) {
        snprintf(quota, sizeof(quota), "%lld", (long long)cpu->quota.value);
    } else if (!cpu->quota.is_set && (old = cgroup_read(path, "cpu", "cpu.max"))) {
        snprintf(quota, sizeof(quota), "%.*s", (int)strcspn(old, " "), old);
    }
    snprintf(text, sizeof(text), "%s %lld", quota,
             (long long)(cpu->period.is_set && cpu->period.value ? cpu->period.value
                                                                 : DEFAULT_PERIOD_US));
    return cgroup_write(path, "cpu", "cpu.max", text, err);
}

static int cpu(const char *path, const struct runtime_cpu *cpu, struct error *err)
{
    if (is_v2() && (cpu->realtime_runtime.value || cpu->realtime_period.value))
        return error_set(err, ERROR_UNSUPPORTED, "cgroup v2 has no realtime limits");
    if ((cpu->shares.is_set && cpu_shares(path, cpu->shares.value, err) < 0) ||
        (is_v2() ? quota_v2(path, cpu, err) : quota_v1(path, cpu, err)) < 0)
        return -1;
    if (!is_v2() &&
        (write_optional(path, "cpu", "cpu.rt_period_us", &cpu->realtime_period, err) < 0 ||
         write_optional(path, "cpu", "cpu.rt_runtime_us", &cpu->realtime_runtime, err) < 0))
        return -1;
    if (!text_is_empty(cpu->cpus) &&
        cgroup_write(path, "cpuset", "cpuset.cpus", cpu->cpus, err) < 0)
        return -1;
    return text_is_empty(cpu->mems) ? 0
                                    : cgroup_write(path, "cpuset", "cpuset.mems", cpu->mems, err);
}

/* ---- block devices ---- */

static int64_t io_weight(int64_t weight)
{
    return 1 + (weight - WEIGHT_MIN) * 9999 / (WEIGHT_MAX - WEIGHT_MIN);
}

/* The weight of the BFQ scheduler's file where there is one, else the plain file's. */
static int block_weight(const char *path, const char *prefix, int64_t weight, struct error *err)
{
    const char *bfq = is_v2() ? "io.bfq.weight" : "blkio.bfq.weight";
    struct error failure = {};
    char text[64];

    snprintf(text, sizeof(text), "%s%lld", prefix, (long long)weight);
    if (!is_v2() && !*prefix && cgroup_write(path, "blkio", "blkio.weight", text, &failure) == 0)
        return 0;
    if (!is_v2() && *prefix &&
        cgroup_write(path, "blkio", "blkio.weight_device", text, &failure) == 0)
        return 0;
    if (failure.kind != ERROR_NONE && failure.kind != ERROR_NOT_FOUND) {
        if (err)
            *err = failure;
        return -1;
    }
    failure = (struct error){};
    if (cgroup_write(path, "blkio", bfq, text, &failure) == 0 || !is_v2() ||
        failure.kind != ERROR_NOT_FOUND) {
        if (failure.kind != ERROR_NONE && err)
            *err = failure;
        return failure.kind == ERROR_NONE ? 0 : -1;
    }
    snprintf(text, sizeof(text), "%s%lld", *prefix ? prefix : "default ",
             (long long)io_weight(weight));
    return cgroup_write(path, "io", "io.weight", text, err);
}

static int throttle(const char *path, const struct json_list *list, const char *file,
                    const char *key, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct runtime_throttle *one = &JSON_ITEMS(list, const struct runtime_throttle)[i];
        char text[96];

        snprintf(text, sizeof(text), "%lld:%lld %s%llu", (long long)one->major,
                 (long long)one->minor, is_v2() ? key : "", (unsigned long long)one->rate);
        if (cgroup_write(path, is_v2() ? "io" : "blkio", is_v2() ? "io.max" : file, text, err) < 0)
            return -1;
    }
    return 0;
}

static int block_io(const char *path, const struct runtime_block_io *io, struct error *err)
{
    if (io->weight.is_set && io->weight.value && block_weight(path, "", io->weight.value, err) < 0)
        return -1;
    for (size_t i = 0; i < io->weight_device.count; i++) {
        const struct runtime_weight_device *one =
            &JSON_ITEMS(&io->weight_device, const struct runtime_weight_device)[i];
        char prefix[48];

        snprintf(prefix, sizeof(prefix), "%lld:%lld ", (long long)one->major,
                 (long long)one->minor);
        if (one->weight && block_weight(path, prefix, one->weight, err) < 0)
            return -1;
    }
    if (throttle(path, &io->read_bps, "blkio.throttle.read_bps_device", "rbps=", err) < 0 ||
        throttle(path, &io->write_bps, "blkio.throttle.write_bps_device", "wbps=", err) < 0 ||
        throttle(path, &io->read_iops, "blkio.throttle.read_iops_device", "riops=", err) < 0 ||
        throttle(path, &io->write_iops, "blkio.throttle.write_iops_device", "wiops=", err) < 0)
        return -1;
    return 0;
}

/* ---- devices ---- */

static struct device_rule convert_rule(const struct runtime_device_rule *rule)
{
    const char *access = text_is_empty(rule->access) ? "rwm" : rule->access;
    struct device_rule result = {
        .allow = rule->allow,
        .type = text_is_empty(rule->type) ? 'a' : rule->type[0],
        .major = rule->major.is_set ? rule->major.value : -1,
        .minor = rule->minor.is_set ? rule->minor.value : -1,
    };

    result.access = (strchr(access, 'r') ? DEVICE_READ : 0U) |
                    (strchr(access, 'w') ? DEVICE_WRITE : 0U) |
                    (strchr(access, 'm') ? DEVICE_MKNOD : 0U);
    return result;
}

/* What every container may do whatever its configuration says: make nodes, use the devices that the
 * runtime puts into /dev, and its terminals. */
static const struct device_rule default_rules[] = {
    { true, 'c', -1, -1, DEVICE_MKNOD },
    { true, 'b', -1, -1, DEVICE_MKNOD },
    { true, 'c', 1, 3, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 1, 5, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 1, 7, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 1, 8, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 1, 9, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 5, 0, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 5, 2, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
    { true, 'c', 136, -1, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },
};

static bool same_rule(const struct device_rule *a, const struct device_rule *b)
{
    return a->allow == b->allow && a->type == b->type && a->major == b->major &&
           a->minor == b->minor && a->access == b->access;
}

/* The configuration's rules and those of the defaults that it does not name; yours. */
static struct device_rule *collect_rules(const struct json_list *list, size_t *out_count)
{
    struct device_rule *rules = xcalloc(list->count + COUNT(default_rules), sizeof(*rules));
    size_t count = 0;
    bool allows_all = false;

    for (size_t i = 0; i < list->count; i++) {
        rules[count] = convert_rule(&JSON_ITEMS(list, const struct runtime_device_rule)[i]);
        if (rules[count].type == 'a')
            allows_all = rules[count].allow;
        count++;
    }
    for (size_t d = 0; !allows_all && d < COUNT(default_rules); d++) {
        bool is_there = false;

        for (size_t i = 0; i < list->count; i++)
            is_there |= same_rule(&rules[i], &default_rules[d]);
        if (!is_there)
            rules[count++] = default_rules[d];
    }
    *out_count = count;
    return rules;
}

static void format_number(char *out, size_t size, int64_t number)
{
    if (number < 0)
        snprintf(out, size, "*");
    else
        snprintf(out, size, "%lld", (long long)number);
}

static int write_rule(const char *path, const struct device_rule *rule, struct error *err)
{
    char major[24], minor[24], text[64];

    format_number(major, sizeof(major), rule->major);
    format_number(minor, sizeof(minor), rule->minor);
    if (rule->type == 'a')
        snprintf(text, sizeof(text), "a");
    else
        snprintf(text, sizeof(text), "%c %s:%s %s%s%s", rule->type, major, minor,
                 rule->access & DEVICE_READ ? "r" : "", rule->access & DEVICE_WRITE ? "w" : "",
                 rule->access & DEVICE_MKNOD ? "m" : "");
    return cgroup_write(path, "devices", rule->allow ? "devices.allow" : "devices.deny", text, err);
}

static int devices(const char *path, const struct json_list *list, struct error *err)
{
    size_t count;
    int result = 0;

    if (!list->count)
        return 0;
    CLEANUP(free) struct device_rule *rules = collect_rules(list, &count);
    if (!is_v2()) {
        if (!cgroup_has_controller("devices"))
            return error_set(err, ERROR_UNSUPPORTED, "this kernel has no device cgroup");
        for (size_t i = 0; i < count && result == 0; i++)
            result = write_rule(path, &rules[i], err);
        return result;
    }
    CLEANUP(buf_done) struct buf program = {};
    CLEANUP(close) int group_fd = cgroup_open_unified(path, err);
    if (group_fd < 0)
        return -1;
    device_filter_encode(rules, count, &program);
    return device_filter_attach(group_fd, &program, err);
}

/* ---- huge pages ---- */

/* "64KB", "2MB", "1GB": a part of a file's name. */
static bool is_page_size(const char *text)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;

    return digits && (strcmp(text + digits, "KB") == 0 || strcmp(text + digits, "MB") == 0 ||
                      strcmp(text + digits, "GB") == 0);
}

static int huge_pages(const char *path, const struct json_list *list, struct error *err)
{
    if (list->count && cgroup_hand_down(path, "hugetlb", err) < 0)
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        const struct runtime_huge_pages *pages = &JSON_ITEMS(list, struct runtime_huge_pages)[i];
        char text[24];

        if (!is_page_size(pages->page_size))
            return error_set(err, ERROR_INVALID, "hugepageLimits: bad page size \"%s\"",
                             pages->page_size ?: "");
        CLEANUP(free)
        char *file = xasprintf("hugetlb.%s.%s", pages->page_size,
                               cgroup_is_unified("hugetlb") ? "max" : "limit_in_bytes");
        snprintf(text, sizeof(text), "%llu", (unsigned long long)pages->limit);
        if (cgroup_write(path, "hugetlb", file, text, err) < 0)
            return error_context(err, "limit of huge pages");
    }
    return 0;
}

/* ---- the whole ---- */

static int unified(const char *path, const struct map *files, struct error *err)
{
    if (files->count && !is_v2())
        return error_set(err, ERROR_UNSUPPORTED, "resources.unified needs cgroup v2");
    MAP_EACH (files, entry) {
        if (strchr(entry->key, '/'))
            return error_set(err, ERROR_INVALID, "resources.unified: bad file name \"%s\"",
                             entry->key);
        if (cgroup_write(path, "", entry->key, entry->value, err) < 0)
            return -1;
    }
    return 0;
}

int limits_update(const char *cgroup_path, const struct runtime_resources *resources,
                  struct error *err)
{
    const struct runtime_memory *memory = &resources->memory;

    if ((is_v2() ? memory_v2(cgroup_path, memory, err) : memory_v1(cgroup_path, memory, err)) < 0 ||
        cpu(cgroup_path, &resources->cpu, err) < 0 ||
        block_io(cgroup_path, &resources->block_io, err) < 0 ||
        huge_pages(cgroup_path, &resources->huge_pages, err) < 0)
        return -1;
    if (resources->pids) {
        int64_t limit = resources->pids->limit > 0 ? resources->pids->limit : -1;

        if (write_or_max(cgroup_path, "pids", "pids.max", limit, err) < 0)
            return -1;
    }
    return unified(cgroup_path, &resources->unified, err);
}

int limits_apply(const char *cgroup_path, const struct runtime_resources *resources,
                 struct error *err)
{
    return devices(cgroup_path, &resources->devices, err) < 0
               ? -1
               : limits_update(cgroup_path, resources, err);
}
