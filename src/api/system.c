/* Who is there: ping, version, info; and logging in to registries, which waits for them. */
#include <string.h>
#include <sys/vfs.h>

#include "api/api.h"
#include "api/host.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/log_config.h"
#include "spec/image.h"

#include "engine/volume.h"

#include "base/banned.h"

/* What "docker version" shows as build time: there is none that would be the same twice. */
#define BUILD_TIME ""

int api_ping(struct request *req, struct error *err)
{
    http_set_header(req->exchange, "Builder-Version", "2");
    http_set_header(req->exchange, "Swarm", "inactive");
    http_set_header(req->exchange, "Cache-Control", "no-cache, no-store, must-revalidate");
    http_set_header(req->exchange, "Pragma", "no-cache");
    return http_reply(req->exchange, 200, "text/plain; charset=utf-8", "OK",
                      req->method[0] == 'H' ? 0 : 2, err);
}

static void write_engine_component(struct json_writer *w, const struct host *host)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Name", "Engine");
    json_add_text(w, "Version", BERTH_VERSION);
    json_begin_dict(w, "Details");
    json_add_text(w, "ApiVersion", API_VERSION_TEXT);
    json_add_text(w, "Arch", image_native_architecture());
    json_add_text(w, "BuildTime", BUILD_TIME);
    json_add_text(w, "Experimental", "false");
    json_add_text(w, "GitCommit", "");
    json_add_text(w, "GoVersion", "");
    json_add_text(w, "KernelVersion", host->kernel);
    json_add_text(w, "MinAPIVersion", API_MINIMUM_VERSION_TEXT);
    json_add_text(w, "Os", "linux");
    json_end_dict(w);
    json_end_dict(w);
}

int api_version(struct request *req, struct error *err)
{
    CLEANUP(host_done) struct host host;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    host_read(&host);
    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "Platform");
    json_add_text(&w, "Name", "berth");
    json_end_dict(&w);
    json_begin_list(&w, "Components");
    write_engine_component(&w, &host);
    json_end_list(&w);
    json_add_text(&w, "Version", BERTH_VERSION);
    json_add_text(&w, "ApiVersion", API_VERSION_TEXT);
    json_add_text(&w, "MinAPIVersion", API_MINIMUM_VERSION_TEXT);
    json_add_text(&w, "GitCommit", "");
    json_add_text(&w, "GoVersion", "");
    json_add_text(&w, "Os", "linux");
    json_add_text(&w, "Arch", image_native_architecture());
    json_add_text(&w, "KernelVersion", host.kernel);
    json_add_text(&w, "BuildTime", BUILD_TIME);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}

/* ---- info, member after member in Docker's order ---- */

static void write_texts(struct json_writer *w, const char *key, const char *const *texts)
{
    json_begin_list(w, key);
    for (; *texts; texts++)
        json_add_text(w, NULL, *texts);
    json_end_list(w);
}

/* Docker's words for the file systems that data roots are on. */
static const char *file_system_name(const char *path)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = { { 0x9123683E, "btrfs" }, { 0xEF53, "extfs" },         { 0xF2F52010, "f2fs" },
                  { 0x6969, "nfs" },       { 0x794C7630, "overlayfs" }, { 0x01021994, "tmpfs" },
                  { 0x58465342, "xfs" },   { 0x2FC12FC1, "zfs" } };
    struct statfs status;

    if (statfs(path, &status) < 0)
        return "<unknown>";
    for (size_t i = 0; i < COUNT(known); i++)
        if ((unsigned long)status.f_type == known[i].magic)
            return known[i].name;
    return "<unknown>";
}

/* How overlays are used here: changes are whole files, read where they lie. */
static void write_driver_status(struct json_writer *w, const struct engine_info *info)
{
    const char *const rows[][2] = { { "Backing Filesystem", file_system_name(info->data_path) },
                                    { "Supports d_type", "true" },
                                    { "Using metacopy", "false" },
                                    { "Native Overlay Diff", "true" },
                                    { "userxattr", "false" } };

    json_begin_list(w, "DriverStatus");
    for (size_t i = 0; text_equal(info->driver, "overlay2") && i < COUNT(rows); i++) {
        json_begin_list(w, NULL);
        json_add_text(w, NULL, rows[i][0]);
        json_add_text(w, NULL, rows[i][1]);
        json_end_list(w);
    }
    json_end_list(w);
}

static void write_counts(struct json_writer *w, const struct engine_info *info)
{
    json_add_text(w, "ID", info->id);
    json_add_int64(w, "Containers", info->containers);
    json_add_int64(w, "ContainersRunning", info->running);
    json_add_int64(w, "ContainersPaused", info->paused);
    json_add_int64(w, "ContainersStopped", info->stopped);
    json_add_int64(w, "Images", info->images);
    json_add_text(w, "Driver", info->driver);
    write_driver_status(w, info);
}

static void write_plugins(struct json_writer *w, struct engine *engine)
{
    CLEANUP(strv_done) struct strv drivers = {};

    engine_volume_drivers(engine, &drivers);
    json_begin_dict(w, "Plugins");
    json_add_strv(w, "Volume", &drivers);
    write_texts(w, "Network", (const char *const[]){ "bridge", "host", "null", NULL });
    json_add_null(w, "Authorization");
    write_texts(w, "Log", log_driver_names);
    json_end_dict(w);
}

/* Older versions have members that nothing stands behind any more. */
static void write_controls(struct json_writer *w, const struct host *host,
                           const struct engine_info *info, int version)
{
    json_add_bool(w, "MemoryLimit", host->memory_limit);
    json_add_bool(w, "SwapLimit", host->swap_limit);
    if (host->kernel_memory_tcp)
        json_add_bool(w, "KernelMemoryTCP", true);
    if (version < API_VERSION(42))
        json_add_bool(w, "KernelMemory", false);
    json_add_bool(w, "CpuCfsPeriod", host->cpu_cfs);
    json_add_bool(w, "CpuCfsQuota", host->cpu_cfs);
    json_add_bool(w, "CPUShares", host->cpu_shares);
    json_add_bool(w, "CPUSet", host->cpuset);
    json_add_bool(w, "PidsLimit", host->pids_limit);
    json_add_bool(w, "IPv4Forwarding", host->ipv4_forwarding);
    if (version < API_VERSION(50)) {
        json_add_bool(w, "BridgeNfIptables", false);
        json_add_bool(w, "BridgeNfIp6tables", false);
    }
    json_add_bool(w, "Debug", info->options->debug);
    json_add_int64(w, "NFd", host->open_file_count);
    json_add_bool(w, "OomKillDisable", host->oom_kill_disable);
    json_add_int64(w, "NGoroutines", host->thread_count);
    json_add_time(w, "SystemTime", clock_wall_ns());
    json_add_text(w, "LoggingDriver", info->log_driver);
    json_add_text(w, "CgroupDriver", "cgroupfs");
    json_add_text(w, "CgroupVersion", host->cgroup_v2 ? "2" : "1");
    json_add_int64(w, "NEventsListener", info->event_listeners);
}

static void write_machine(struct json_writer *w, const struct host *host)
{
    json_add_text(w, "KernelVersion", host->kernel);
    json_add_text(w, "OperatingSystem", host->operating_system);
    json_add_text(w, "OSVersion", host->os_version);
    json_add_text(w, "OSType", "linux");
    json_add_text(w, "Architecture", host->machine);
    json_add_text(w, "IndexServerAddress", "https://index.docker.io/v1/");
}

static void write_strv_or_empty(struct json_writer *w, const char *key, const struct strv *list)
{
    json_begin_list(w, key);
    for (size_t i = 0; list && i < list->count; i++)
        json_add_text(w, NULL, list->items[i]);
    json_end_list(w);
}

static void write_index(struct json_writer *w, const char *name, const struct strv *mirrors,
                        bool official, bool secure)
{
    json_begin_dict(w, name);
    write_strv_or_empty(w, "Mirrors", mirrors);
    json_add_text(w, "Name", name);
    json_add_bool(w, "Official", official);
    json_add_bool(w, "Secure", secure);
    json_end_dict(w);
}

static void write_registries(struct json_writer *w, const struct engine_options *options,
                             int version)
{
    const struct strv *insecure = options->insecure_registries;

    json_begin_dict(w, "RegistryConfig");
    if (version < API_VERSION(47)) {
        write_strv_or_empty(w, "AllowNondistributableArtifactsCIDRs", NULL);
        write_strv_or_empty(w, "AllowNondistributableArtifactsHostnames", NULL);
    }
    json_begin_dict(w, "IndexConfigs");
    write_index(w, "docker.io", options->registry_mirrors, true, true);
    for (size_t i = 0; insecure && i < insecure->count; i++)
        write_index(w, insecure->items[i], NULL, false, false);
    json_end_dict(w);
    write_texts(w, "InsecureRegistryCIDRs",
                (const char *const[]){ "::1/128", "127.0.0.0/8", NULL });
    json_add_strv(w, "Mirrors", options->registry_mirrors ?: &(struct strv){});
    json_end_dict(w);
}

static void write_runtimes(struct json_writer *w, const struct engine_options *options)
{
    json_begin_dict(w, "Runtimes");
    json_begin_dict(w, "berth");
    json_add_text(w, "path", "berth-runtime");
    json_end_dict(w);
    for (size_t i = 0; options->runtimes && i < options->runtimes->count; i++) {
        const struct engine_runtime *runtime = &JSON_ITEMS(options->runtimes,
                                                           struct engine_runtime)[i];

        json_begin_dict(w, runtime->name);
        json_add_text(w, "path", runtime->path);
        if (runtime->arguments.count)
            json_add_strv(w, "runtimeArgs", &runtime->arguments);
        json_end_dict(w);
    }
    json_end_dict(w);
    json_add_text(w, "DefaultRuntime", options->default_runtime ?: "berth");
}

static void write_swarm(struct json_writer *w)
{
    json_begin_dict(w, "Swarm");
    json_add_text(w, "NodeID", "");
    json_add_text(w, "NodeAddr", "");
    json_add_text(w, "LocalNodeState", "inactive");
    json_add_bool(w, "ControlAvailable", false);
    json_add_text(w, "Error", "");
    json_add_null(w, "RemoteManagers");
    json_end_dict(w);
}

static void write_commit(struct json_writer *w, const char *key)
{
    json_begin_dict(w, key);
    json_add_text(w, "ID", "");
    json_end_dict(w);
}

static void write_security(struct json_writer *w, const struct host *host,
                           const struct engine_options *options)
{
    json_begin_list(w, "SecurityOptions");
    json_add_text_format(w, NULL, "name=seccomp,profile=%s", options->seccomp_path ?: "builtin");
    if (host->cgroup_v2 && host->cgroup_namespaces)
        json_add_text(w, NULL, "name=cgroupns");
    if (options->no_new_privileges)
        json_add_text(w, NULL, "name=no-new-privileges");
    json_end_list(w);
}

static void write_warnings(struct json_writer *w, const struct host *host)
{
    static const char text[] = "WARNING: No %s support";
    const struct {
        bool is_there;
        const char *name;
    } wanted[] = { { host->memory_limit, "memory limit" },
                   { host->swap_limit, "swap limit" },
                   { host->cpu_cfs, "cpu cfs quota" },
                   { host->cpu_shares, "cpu shares" },
                   { host->cpuset, "cpuset" },
                   { host->pids_limit, "pids limit" } };
    bool any = !host->ipv4_forwarding;

    for (size_t i = 0; i < COUNT(wanted); i++)
        any = any || !wanted[i].is_there;
    if (!any) {
        json_add_null(w, "Warnings");
        return;
    }
    json_begin_list(w, "Warnings");
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (!wanted[i].is_there)
            json_add_text_format(w, NULL, text, wanted[i].name);
    if (!host->ipv4_forwarding)
        json_add_text(w, NULL, "WARNING: IPv4 forwarding is disabled");
    json_end_list(w);
}

/* Who may use the proxy is nobody's business. */
static void add_proxy(struct json_writer *w, const char *key, const char *url)
{
    const char *scheme_end = url ? strstr(url, "://") : NULL;
    const char *authority = scheme_end ? scheme_end + 3 : url ?: "";
    size_t length = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', length);

    if (at)
        json_add_text_format(w, key, "%.*sxxxxx:xxxxx%s", (int)(authority - url), url, at);
    else
        json_add_text(w, key, url ?: "");
}

int api_info(struct request *req, struct error *err)
{
    CLEANUP(host_done) struct host host;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct engine_info info = {};

    engine_info(req->engine, &info);
    host_read(&host);
    json_begin_dict(&w, NULL);
    write_counts(&w, &info);
    write_plugins(&w, req->engine);
    write_controls(&w, &host, &info, req->version);
    write_machine(&w, &host);
    write_registries(&w, info.options, req->version);
    json_add_int64(&w, "NCPU", host.cpu_count);
    json_add_int64(&w, "MemTotal", host.memory_bytes);
    json_add_null(&w, "GenericResources");
    json_add_text(&w, "DockerRootDir", info.data_path);
    add_proxy(&w, "HttpProxy", info.options->http_proxy);
    add_proxy(&w, "HttpsProxy", info.options->https_proxy);
    json_add_text(&w, "NoProxy", info.options->no_proxy ?: "");
    json_add_text(&w, "Name", host.name);
    write_strv_or_empty(&w, "Labels", info.options->labels);
    json_add_bool(&w, "ExperimentalBuild", false);
    json_add_text(&w, "ServerVersion", BERTH_VERSION);
    write_runtimes(&w, info.options);
    write_swarm(&w);
    json_add_bool(&w, "LiveRestoreEnabled", true);
    json_add_text(&w, "Isolation", "");
    json_add_text(&w, "InitBinary", info.options->init_path ?: "");
    write_commit(&w, "ContainerdCommit");
    write_commit(&w, "RuncCommit");
    write_commit(&w, "InitCommit");
    write_security(&w, &host, info.options);
    if (req->version >= API_VERSION(49)) {
        json_begin_dict(&w, "FirewallBackend");
        json_add_text(&w, "Driver", "nftables");
        json_end_dict(&w);
    }
    write_strv_or_empty(&w, "CDISpecDirs", info.options->cdi_paths);
    write_warnings(&w, &host);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
