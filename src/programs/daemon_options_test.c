#include "programs/daemon_options.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "spec/container.h"

#include "base/banned.h"

enum { ARGUMENT_LIMIT = 12 };

/* Reads flags, and 'config' (may be NULL) as daemon.json. */
static int read_options(const char *const *flags, const char *config, struct daemon_options *out,
                        struct error *err)
{
    char *arguments[ARGUMENT_LIMIT + 6] = { (char *)"berthd" };
    char path[] = "/tmp/berthd-options-XXXXXX";
    int count = 1;

    for (; *flags; flags++)
        arguments[count++] = (char *)*flags;
    arguments[count++] = (char *)"--shim-path=/bin/true";
    if (config) {
        int fd = mkstemp(path);

        cr_assert_eq(write(fd, config, strlen(config)), (ssize_t)strlen(config));
        close(fd);
        arguments[count++] = (char *)"--config-file";
        arguments[count++] = path;
    }
    int result = daemon_options_read(count, arguments, out, err);
    if (config)
        unlink(path);
    return result;
}

static const struct {
    const char *flags[ARGUMENT_LIMIT];
    const char *config;
    const char *failure; /* a part of it */
} faults[] = {
    { { "--foo" }, NULL, "unknown flag: --foo" },
    { { "-x" }, NULL, "unknown shorthand flag: 'x'" },
    { { "run" }, NULL, "takes no arguments: run" },
    { { "--debug=maybe" }, NULL, "--debug: must be true or false" },
    { { "--swarm-default-advertise-addr=default" },
      NULL,
      "--swarm-default-advertise-addr: berth has no such setting" },
    { { "--live-restore=false" }, NULL, "--live-restore: berth cannot do with false" },
    { { "--selinux-enabled" }, NULL, "--selinux-enabled: berth cannot do with true" },
    { { "--label", "k=v", "--mtu" }, NULL, "--mtu" },
    { { "--default-ulimit", "nofile" }, NULL, "invalid ulimit argument: nofile" },
    { { "--default-ulimit", "nofile=5:4" }, NULL, "soft limit must be less than" },
    { { "--engine-id", "xyz" }, NULL, "--engine-id" },
    { { "--engine-id", "123456789" }, NULL, "--engine-id" },
    { { "--tls" }, NULL, "TLS needs --tlscert" },
    { { "--tlsverify", "--tlscert=c", "--tlskey=k" }, NULL, "--tlsverify needs --tlscacert" },
    { { "--log-format=xml" }, NULL, "invalid log format: xml" },
    { { NULL }, "{\"foo\":1,\"bar\":2}", "don't match any configuration option: foo, bar" },
    { { "-D" }, "{\"debug\":true}", "both as a flag and in the configuration file: debug" },
    { { "-H", "unix:///a" }, "{\"hosts\":[\"unix:///b\"]}", "configuration file: hosts" },
    { { NULL }, "{\"hosts\":\"unix:///b\"}", "hosts: must be a list" },
    { { NULL }, "{\"proxies\":[]}", "proxies: must be an object" },
    { { NULL },
      "{\"proxies\":{\"ftp-proxy\":\"x\"}}",
      "proxies: there is no such setting: ftp-proxy" },
    { { NULL }, "{\"proxies\":{\"no-proxy\":true}}", "proxies: no-proxy: must be a text" },
    { { "--http-proxy=http://a" },
      "{\"proxies\":{\"http-proxy\":\"http://b\"}}",
      "both as a flag and in the configuration file: http-proxy" },
    { { NULL },
      "{\"swarm-default-advertise-addr\":\"default\"}",
      "swarm-default-advertise-addr: berth has no such setting" },
    { { NULL }, "{\"live-restore\":false}", "live-restore: berth cannot do with false" },
    { { "--gc-interval=soon" }, NULL, "--gc-interval" },
    { { "--gc-image-age=-1h" }, NULL, "--gc-image-age: must not be negative" },
    { { NULL }, "{\"gc-build-cache-size\":\"much\"}", "gc-build-cache-size" },
    { { NULL }, "{\"gc-image-size\":\"-1\"}", "gc-image-size" },
    { { NULL }, "{\"builder\":{\"gc\":{\"enabled\":false}}}", "builder: gc.enabled: must be true" },
    { { NULL },
      "{\"builder\":{\"gc\":{\"policy\":[]}}}",
      "builder: berth has no such setting: gc.policy" },
    { { NULL }, "{\"builder\":true}", "builder: must be an object" },
    { { NULL }, "{", "unexpected EOF" },
    { { NULL }, "[]", "must be one JSON object" },
    { { NULL }, "{\"default-address-pools\":[{\"base\":\"10.0.0.0/8\"}]}", "needs base and size" },
};

Test(daemon_options, refuse_clearly)
{
    for (size_t i = 0; i < COUNT(faults); i++) {
        CLEANUP(daemon_options_done) struct daemon_options options = {};
        struct error err = {};

        cr_assert_eq(read_options(faults[i].flags, faults[i].config, &options, &err), -1,
                     "case %zu", i);
        cr_expect(strstr(err.text, faults[i].failure), "case %zu: %s", i, err.text);
    }
}

Test(daemon_options, defaults)
{
    CLEANUP(daemon_options_done) struct daemon_options options = {};
    const char *const flags[] = { NULL };
    struct error err = {};

    cr_assert_eq(read_options(flags, "", &options, &err), 0, "%s", err.text);
    cr_expect_str_eq(options.data_root, DEFAULT_DATA_ROOT);
    cr_expect_str_eq(options.engine_id, "");
    cr_expect_str_eq(options.pid_path, DEFAULT_EXEC_ROOT "/berth.pid");
    cr_expect_eq(options.hosts.count, 1);
    cr_expect_str_eq(options.hosts.items[0], "unix://" DEFAULT_EXEC_ROOT "/berth.sock");
    cr_expect(options.icc && options.ip_forward && options.ip_masquerade);
    cr_expect(!options.init && !options.debug && !options.tls);
}

Test(daemon_options, collects_what_nothing_uses)
{
    CLEANUP(daemon_options_done) struct daemon_options options = {};
    CLEANUP(daemon_options_done) struct daemon_options defaults = {};
    const char *const flags[] = { "--gc-image-age=24h", NULL };
    const char *const none[] = { NULL };
    struct engine_options engine;
    struct error err = {};

    cr_assert_eq(read_options(flags,
                              "{\"gc-interval\":\"1m30s\",\"gc-image-size\":\"2g\","
                              "\"gc-build-cache-age\":\"48h\","
                              "\"builder\":{\"gc\":{\"enabled\":true,"
                              "\"defaultKeepStorage\":\"3MB\"}}}",
                              &options, &err),
                 0, "%s", err.text);
    daemon_options_engine(&options, &engine);
    cr_expect_eq(engine.collection.interval_ns, 90 * NS_PER_S);
    cr_expect_eq(engine.collection.image_age_ns, 24 * 3600 * NS_PER_S);
    cr_expect_eq(engine.collection.image_bytes, (int64_t)2 << 30);
    cr_expect_eq(engine.collection.cache_age_ns, 48 * 3600 * NS_PER_S);
    cr_expect_eq(engine.collection.cache_bytes, 3 << 20);
    cr_assert_eq(read_options(none, NULL, &defaults, &err), 0, "%s", err.text);
    daemon_options_engine(&defaults, &engine);
    cr_expect_eq(engine.collection.interval_ns, 3600 * NS_PER_S);
    cr_expect(!engine.collection.image_age_ns && !engine.collection.image_bytes);
}

/* The flag or the file, and where neither says it the environment. */
Test(daemon_options, finds_proxies)
{
    CLEANUP(daemon_options_done) struct daemon_options options = {};
    const char *const flags[] = { "--http-proxy=http://flag", NULL };
    struct engine_options engine;
    struct error err = {};

    setenv("HTTP_PROXY", "http://upper", 1);
    setenv("HTTPS_PROXY", "http://upper", 1);
    setenv("https_proxy", "http://lower", 1);
    setenv("no_proxy", "lower", 1);
    unsetenv("NO_PROXY");
    cr_assert_eq(
        read_options(flags, "{\"proxies\":{\"https-proxy\":\"http://file\"}}", &options, &err), 0,
        "%s", err.text);
    daemon_options_engine(&options, &engine);
    cr_expect_str_eq(engine.http_proxy, "http://flag");
    cr_expect_str_eq(engine.https_proxy, "http://file");
    cr_expect_str_eq(engine.no_proxy, "lower");
    free(TAKE(options.https_proxy));
    daemon_options_engine(&options, &engine);
    cr_expect_str_eq(engine.https_proxy, "http://upper");
    unsetenv("no_proxy");
    daemon_options_engine(&options, &engine);
    cr_expect_null(engine.no_proxy);
}

Test(daemon_options, flags_in_all_spellings)
{
    CLEANUP(daemon_options_done) struct daemon_options options = {};
    const char *const flags[] = {
        "-D", "-Hunix:///a", "-H=unix:///b",   "--host",         "tcp://:1", "--icc=false",
        "-l", "warn",        "--live-restore", "--data-root=/d", NULL
    };
    struct error err = {};

    cr_assert_eq(read_options(flags, NULL, &options, &err), 0, "%s", err.text);
    cr_expect(options.debug);
    cr_expect(!options.icc);
    cr_expect_str_eq(options.log_level, "warn");
    cr_expect_str_eq(options.data_root, "/d");
    CLEANUP(free) char *hosts = strv_join(&options.hosts, " ");
    cr_expect_str_eq(hosts, "unix:///a unix:///b tcp://:1");
    cr_expect_eq(strlen(options.engine_id), 8);
    cr_expect(text_is_hex(options.engine_id, 8));
}

Test(daemon_options, engine_id_follows_the_data_root)
{
    CLEANUP(daemon_options_done) struct daemon_options a = {};
    CLEANUP(daemon_options_done) struct daemon_options b = {};
    CLEANUP(daemon_options_done) struct daemon_options c = {};
    const char *const first[] = { "--data-root=/x", NULL };
    const char *const second[] = { "--data-root=/x/", NULL };
    const char *const third[] = { "--data-root=/y", NULL };
    struct error err = {};

    cr_assert_eq(read_options(first, NULL, &a, &err), 0, "%s", err.text);
    cr_assert_eq(read_options(second, NULL, &b, &err), 0, "%s", err.text);
    cr_assert_eq(read_options(third, NULL, &c, &err), 0, "%s", err.text);
    cr_expect_str_eq(a.engine_id, b.engine_id);
    cr_expect_str_neq(a.engine_id, c.engine_id);
}

Test(daemon_options, file_has_the_same_settings)
{
    static const char config[] =
        "{\"debug\":true,\"labels\":[\"a=1\",\"b=2\"],\"mtu\":1400,\"icc\":false,"
        "\"default-shm-size\":\"1m\",\"log-opts\":{\"max-size\":\"5m\",\"max-file\":3},"
        "\"default-ulimits\":{\"nofile\":{\"Name\":\"nofile\",\"Soft\":10,\"Hard\":20}},"
        "\"default-address-pools\":[{\"base\":\"10.9.0.0/16\",\"size\":24}],"
        "\"live-restore\":true,\"bip\":\"10.8.0.1/24\"}";
    CLEANUP(daemon_options_done) struct daemon_options options = {};
    const char *const flags[] = { "--init", NULL };
    struct engine_options engine;
    struct error err = {};

    cr_assert_eq(read_options(flags, config, &options, &err), 0, "%s", err.text);
    daemon_options_engine(&options, &engine);
    cr_expect(engine.debug && engine.init && !engine.icc);
    cr_expect_eq(engine.mtu, 1400);
    cr_expect_eq(engine.shm_size_bytes, 1 << 20);
    cr_expect_str_eq(engine.bridge_address, "10.8.0.1/24");
    cr_expect_eq(engine.labels->count, 2);
    cr_expect_str_eq(map_get(engine.log_options, "max-file"), "3");
    cr_expect_str_eq(engine.address_pools->items[0], "base=10.9.0.0/16,size=24");

    const struct ulimit *ulimit = JSON_ITEMS(engine.default_ulimits, struct ulimit);
    cr_assert_eq(engine.default_ulimits->count, 1);
    cr_expect_str_eq(ulimit->name, "nofile");
    cr_expect_eq(ulimit->soft, 10);
    cr_expect_eq(ulimit->hard, 20);
}
