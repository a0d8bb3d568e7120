#include "spec/runtime_config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}}"

static const char whole[] =
    "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":24,"
    "\"width\":80},\"user\":{\"uid\":1,\"gid\":2,\"umask\":18,\"additionalGids\":[3,4]},\"args\":["
    "\"a\",\"b\"],\"env\":[\"X=1\"],\"cwd\":\"/w\",\"capabilities\":{\"bounding\":[\"CAP_KILL\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":1024}],"
    "\"noNewPrivileges\":true,\"oomScoreAdj\":-5},\"root\":{\"path\":\"rootfs\",\"readonly\":true},"
    "\"hostname\":\"h\",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":"
    "\"proc\",\"options\":[\"nosuid\"]}],\"annotations\":{\"k\":\"v\"},\"linux\":{\"sysctl\":{"
    "\"net.a\":\"1\"},\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}],\"memory\":"
    "{\"limit\":5},\"pids\":{\"limit\":7},\"blockIO\":{\"throttleReadIOPSDevice\":[{\"major\":8,"
    "\"minor\":1,\"rate\":9}]}},\"cgroupsPath\":\"/g\",\"namespaces\":[{\"type\":\"mount\"},{"
    "\"type\":\"network\",\"path\":\"/n\"}],\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\","
    "\"syscalls\":[{\"names\":[\"dup\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,"
    "\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]},\"maskedPaths\":[\"/proc/kcore\"]}}";

static void expect_whole(const struct runtime_config *config)
{
    const struct runtime_rlimit *limit = config->process.rlimits.items;
    const struct runtime_throttle *throttle = config->linux_part.resources.block_io.read_iops.items;
    const struct runtime_seccomp_syscall *call = config->linux_part.seccomp->syscalls.items;

    cr_expect(config->process.terminal);
    cr_expect_eq(config->process.console_height, 24);
    cr_expect_eq(config->process.console_width, 80);
    cr_expect_str_eq(config->process.user.additional_gids, "[3,4]");
    cr_expect_eq(config->process.user.umask.value, 18);
    cr_expect_eq(limit->hard, UINT64_MAX);
    cr_expect_eq(config->process.oom_score_adj.value, -5);
    cr_expect(config->root.readonly);
    cr_expect_eq(config->mounts.count, 1);
    cr_expect_str_eq((char *)map_get(&config->linux_part.sysctl, "net.a"), "1");
    cr_expect_eq(config->linux_part.resources.memory.limit.value, 5);
    cr_expect_not(config->linux_part.resources.memory.swap.is_set);
    cr_expect_eq(config->linux_part.resources.pids->limit, 7);
    cr_expect_eq(throttle->rate, 9);
    cr_expect_str_eq(JSON_ITEMS(&config->linux_part.namespaces, struct runtime_namespace)[1].path,
                     "/n");
    cr_expect_eq(JSON_ITEMS(&call->args, struct runtime_seccomp_argument)[0].value, 2);
}

Test(runtime_config, survives_being_written_and_read)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {}, again = {};
    CLEANUP(str_done) struct str text = {}, twice = {};
    struct error err = {};

    cr_assert_eq(runtime_config_decode(whole, sizeof(whole) - 1, &config, &err), 0, "%s", err.text);
    expect_whole(&config);
    runtime_config_encode(&config, &text);
    cr_assert_eq(runtime_config_decode(text.data, text.length, &again, &err), 0, "%s", err.text);
    expect_whole(&again);
    runtime_config_encode(&again, &twice);
    cr_expect_str_eq(twice.data, text.data);
}

/* clang-format off */
static const struct {
    const char *rest; /* members behind a valid process */
    enum error_kind kind;
    const char *words;
} documents[] = {
    { "",                                                                    ERROR_NONE,        NULL },
    { ",\"vm\":null,\"windows\":{},\"future\":1",                            ERROR_NONE,        NULL },
    { ",\"linux\":{\"intelRdt\":null,\"timeOffsets\":{}}",                   ERROR_NONE,        NULL },
    { ",\"linux\":{\"cgroupsPath\":\"/a/b\"}",                               ERROR_NONE,        NULL },
    { ",\"vm\":{\"kernel\":{}}",                                             ERROR_UNSUPPORTED, "vm is not supported" },
    { ",\"windows\":{\"x\":1}",                                              ERROR_UNSUPPORTED, "windows" },
    { ",\"linux\":{\"intelRdt\":{\"closID\":\"x\"}}",                        ERROR_UNSUPPORTED, "linux.intelRdt" },
    { ",\"linux\":{\"personality\":{\"domain\":\"LINUX32\"}}",               ERROR_UNSUPPORTED, "linux.personality" },
    { ",\"linux\":{\"timeOffsets\":{\"boottime\":{\"secs\":1}}}",            ERROR_UNSUPPORTED, "linux.timeOffsets" },
    { ",\"linux\":{\"resources\":{\"rdma\":{\"x\":{}}}}",                    ERROR_UNSUPPORTED, "linux.resources.rdma" },
    { ",\"linux\":{\"namespaces\":[{\"type\":\"dream\"}]}",                  ERROR_UNSUPPORTED, "unknown namespace \"dream\"" },
    { ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}", ERROR_INVALID,     "duplicate namespace" },
    { ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}",     ERROR_INVALID,     "not absolute" },
    { ",\"linux\":{\"cgroupsPath\":\"system.slice:x:y\"}",                   ERROR_UNSUPPORTED, "cgroupsPath" },
    { ",\"linux\":{\"cgroupsPath\":\"/a/../b\"}",                            ERROR_UNSUPPORTED, "cgroupsPath" },
    { ",\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":0}]}", ERROR_INVALID, "id mapping" },
    { ",\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"q\"}]}",     ERROR_INVALID,     "bad device" },
    { ",\"linux\":{\"resources\":{\"devices\":[{\"type\":\"c\",\"access\":\"x\"}]}}", ERROR_INVALID, "bad device rule" },
    { ",\"mounts\":[{\"destination\":\"tmp\"}]",                             ERROR_INVALID,     "not absolute" },
    { ",\"mounts\":[{\"destination\":\"/a\",\"options\":[\"idmap\"]}]",      ERROR_UNSUPPORTED, "idmap" },
    { ",\"mounts\":[{\"destination\":\"/a\",\"uidMappings\":[{\"size\":1}]}]", ERROR_UNSUPPORTED, "uidMappings" },
    { ",\"mounts\":7",                                                       ERROR_INVALID,     NULL },
    { ",\"hostname\":[]",                                                    ERROR_INVALID,     "hostname" },
};
/* clang-format on */

Test(runtime_config, refuses_what_cannot_be_carried_out)
{
    for (size_t i = 0; i < COUNT(documents); i++) {
        CLEANUP(runtime_config_done) struct runtime_config config = {};
        CLEANUP(free)
        char *text = xasprintf("{\"ociVersion\":\"1.2.0\"," PROCESS "%s}", documents[i].rest);
        struct error err = {};
        int result = runtime_config_decode(text, strlen(text), &config, &err);

        cr_expect_eq(result, documents[i].kind == ERROR_NONE ? 0 : -1, "%s", text);
        cr_expect_eq(err.kind, documents[i].kind, "%s: %s", text, err.text);
        if (documents[i].words)
            cr_expect(strstr(err.text, documents[i].words), "%s: %s", text, err.text);
    }
}

static const char *const broken[] = {
    "",
    "[]",
    "{",
    "null",
    "{\"ociVersion\":\"1.0.0\"}",
    "{" PROCESS "}",
    "{\"ociVersion\":\"2.0.0\"," PROCESS "}",
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[],\"cwd\":\"/\"}}",
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"a\"],\"cwd\":\"here\"}}",
};

Test(runtime_config, refuses_broken_documents)
{
    for (size_t i = 0; i < COUNT(broken); i++) {
        CLEANUP(runtime_config_done) struct runtime_config config = {};
        struct error err = {};

        cr_expect_lt(runtime_config_decode(broken[i], strlen(broken[i]), &config, &err), 0, "%s",
                     broken[i]);
        cr_expect_neq(err.kind, ERROR_NONE);
    }
}
