#include "runtime/limits.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "linux/cgroup.h"

#include "base/banned.h"

static char group[64];

static void make_group(void)
{
    struct error err = {};

    snprintf(group, sizeof(group), "/berth-test-%d", (int)getpid());
    cr_assert_eq(cgroup_create(group, &err), 0, "%s", err.text);
}

static void remove_group(void)
{
    cgroup_remove(group, NULL);
}

static void decode(const char *text, struct runtime_resources *out)
{
    struct error err = {};

    cr_assert_eq(json_decode(runtime_resources_fields, text, strlen(text), out, &err), 0, "%s",
                 err.text);
}

static int apply(const char *text, bool update, struct error *err)
{
    struct runtime_resources resources = {};
    int result;

    decode(text, &resources);
    result = update ? limits_update(group, &resources, err) : limits_apply(group, &resources, err);
    json_fields_done(runtime_resources_fields, &resources);
    return result;
}

static void expect_file(const char *controller, const char *file, const char *expected)
{
    CLEANUP(free) char *found = cgroup_read(group, controller, file);

    cr_expect(found && strcmp(found, expected) == 0, "%s is %s, not %s", file,
              found ? found : "absent", expected);
}

/* clang-format off */
static const struct {
    const char *resources, *controller, *file, *expected;
} legacy[] = {
    { "{\"memory\":{\"limit\":67108864}}",                      "memory", "memory.limit_in_bytes",       "67108864"  },
    { "{\"memory\":{\"limit\":67108864,\"swap\":134217728}}",   "memory", "memory.memsw.limit_in_bytes", "134217728" },
    { "{\"memory\":{\"reservation\":33554432}}",                "memory", "memory.soft_limit_in_bytes",  "33554432"  },
    { "{\"memory\":{\"swappiness\":10}}",                       "memory", "memory.swappiness",           "10"        },
    { "{\"cpu\":{\"shares\":512}}",                             "cpu",    "cpu.shares",                  "512"       },
    { "{\"cpu\":{\"quota\":50000,\"period\":100000}}",          "cpu",    "cpu.cfs_quota_us",            "50000"     },
    { "{\"cpu\":{\"quota\":25000,\"period\":50000}}",           "cpu",    "cpu.cfs_period_us",           "50000"     },
    { "{\"cpu\":{\"cpus\":\"0\",\"mems\":\"0\"}}",              "cpuset", "cpuset.cpus",                 "0"         },
    { "{\"pids\":{\"limit\":10}}",                              "pids",   "pids.max",                    "10"        },
    { "{\"pids\":{\"limit\":0}}",                               "pids",   "pids.max",                    "max"       },
    { "{\"pids\":{\"limit\":-1}}",                              "pids",   "pids.max",                    "max"       },
    { "{\"blockIO\":{\"weight\":300}}",                         "blkio",  "blkio.bfq.weight",            "300"       },
    { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}", "hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304" },
}, unified[] = {
    { "{\"memory\":{\"limit\":67108864}}",                      "memory", "memory.max",      "67108864"     },
    { "{\"memory\":{\"limit\":67108864,\"swap\":134217728}}",   "memory", "memory.swap.max", "67108864"     },
    { "{\"memory\":{\"limit\":67108864,\"swap\":-1}}",          "memory", "memory.swap.max", "max"          },
    { "{\"memory\":{\"reservation\":33554432}}",                "memory", "memory.low",      "33554432"     },
    { "{\"cpu\":{\"shares\":1024}}",                            "cpu",    "cpu.weight",      "100"          },
    { "{\"cpu\":{\"shares\":2}}",                               "cpu",    "cpu.weight",      "1"            },
    { "{\"cpu\":{\"shares\":262144}}",                          "cpu",    "cpu.weight",      "10000"        },
    { "{\"cpu\":{\"quota\":50000}}",                            "cpu",    "cpu.max",         "50000 100000" },
    { "{\"pids\":{\"limit\":10}}",                              "pids",   "pids.max",        "10"           },
    { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}", "hugetlb", "hugetlb.2MB.max", "4194304" },
    { "{\"unified\":{\"memory.high\":\"33554432\"}}",           "memory", "memory.high",     "33554432"     },
};
/* clang-format on */

Test(limits, reach_the_kernel, .init = make_group, .fini = remove_group)
{
    bool is_legacy = cgroup_version() == CGROUP_V1;
    size_t count = is_legacy ? COUNT(legacy) : COUNT(unified);

    for (size_t i = 0; i < count; i++) {
        const char *resources = is_legacy ? legacy[i].resources : unified[i].resources;
        const char *controller = is_legacy ? legacy[i].controller : unified[i].controller;
        const char *file = is_legacy ? legacy[i].file : unified[i].file;
        CLEANUP(free) char *before = cgroup_read(group, controller, file);
        struct error err = {};

        if (!before)
            continue; /* this kernel has no such limit */
        cr_expect_eq(apply(resources, false, &err), 0, "%s: %s", resources, err.text);
        expect_file(controller, file, is_legacy ? legacy[i].expected : unified[i].expected);
    }
}

Test(limits, say_why_not, .init = make_group, .fini = remove_group)
{
    struct error err = {};

    cr_expect_lt(apply("{\"hugepageLimits\":[{\"pageSize\":\"../2MB\",\"limit\":0}]}", false, &err),
                 0);
    cr_expect_str_eq(err.text, "hugepageLimits: bad page size \"../2MB\"");
    cr_expect_lt(apply("{\"hugepageLimits\":[{\"pageSize\":\"3MB\",\"limit\":0}]}", false, &err),
                 0);
    cr_expect(strstr(err.text, "limit of huge pages"), "%s", err.text);
    cr_expect_lt(apply("{\"cpu\":{\"shares\":1}}", false, &err), 0);
    cr_expect_str_eq(err.text, "the minimum allowed cpu-shares is 2");
    cr_expect_lt(apply("{\"cpu\":{\"shares\":262145}}", false, &err), 0);
    cr_expect_str_eq(err.text, "the maximum allowed cpu-shares is 262144");
    cr_expect_lt(apply("{\"cpu\":{\"quota\":100,\"period\":100000}}", false, &err), 0);
    cr_expect(strstr(err.text, "failed to write \"100"), "%s", err.text);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect_lt(apply("{\"unified\":{\"../x\":\"1\"}}", false, &err), 0);
}

/* Both ways: each single write must keep memory <= memory and swap. */
Test(limits, move_memory_and_swap_up_and_down, .init = make_group, .fini = remove_group)
{
    struct error err = {};

    if (cgroup_version() != CGROUP_V1)
        cr_skip_test("version 2 counts swap apart");
    CLEANUP(free) char *swap = cgroup_read(group, "memory", "memory.memsw.limit_in_bytes");
    if (!swap)
        cr_skip_test("this kernel does not count swap");
    cr_expect_eq(apply("{\"memory\":{\"limit\":67108864,\"swap\":67108864}}", true, &err), 0, "%s",
                 err.text);
    cr_expect_eq(apply("{\"memory\":{\"limit\":134217728,\"swap\":134217728}}", true, &err), 0,
                 "%s", err.text);
    cr_expect_eq(apply("{\"memory\":{\"limit\":33554432,\"swap\":33554432}}", true, &err), 0, "%s",
                 err.text);
    expect_file("memory", "memory.memsw.limit_in_bytes", "33554432");
    cr_expect_eq(apply("{\"memory\":{\"swap\":-1}}", true, &err), 0, "%s", err.text);
    expect_file("memory", "memory.limit_in_bytes", "33554432");
}

Test(limits, list_devices_as_docker_does, .init = make_group, .fini = remove_group)
{
    struct error err = {};

    if (cgroup_version() != CGROUP_V1)
        cr_skip_test("version 2 has no list");
    cr_expect_eq(apply("{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
                       "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":229,\"access\":"
                       "\"rwm\"}]}",
                       false, &err),
                 0, "%s", err.text);
    CLEANUP(free) char *list = cgroup_read(group, "devices", "devices.list");
    cr_expect(list && strstr(list, "c 10:229 rwm") && strstr(list, "c 1:3 rwm") &&
                  strstr(list, "c *:* m") && strstr(list, "b *:* m") &&
                  strstr(list, "c 136:* rwm") && !strstr(list, "a *:* rwm"),
              "%s", list);
    cr_expect_eq(
        apply("{\"devices\":[{\"allow\":true,\"type\":\"a\",\"access\":\"rwm\"}]}", false, &err), 0,
        "%s", err.text);
    expect_file("devices", "devices.list", "a *:* rwm");
}
