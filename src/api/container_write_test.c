/* The shapes are those recorded from Docker Engine 28.5.2 (API 1.51): names and order of members.
 */
#include "api/container_write.h"

#include <criterion/criterion.h>
#include <string.h>

#include "api/version.h"
#include "base/memory.h"
#include "engine/network.h"

#include "base/banned.h"

static const char full_keys[] =
    "Id,Created,Path,Args,State,Image,ResolvConfPath,HostnamePath,HostsPath,LogPath,Name,"
    "RestartCount,Driver,Platform,MountLabel,ProcessLabel,AppArmorProfile,ExecIDs,HostConfig,"
    "GraphDriver,Mounts,Config,NetworkSettings";
static const char full_keys_with_size[] =
    "Id,Created,Path,Args,State,Image,ResolvConfPath,HostnamePath,HostsPath,LogPath,Name,"
    "RestartCount,Driver,Platform,MountLabel,ProcessLabel,AppArmorProfile,ExecIDs,HostConfig,"
    "GraphDriver,SizeRw,SizeRootFs,Mounts,Config,NetworkSettings";
static const char state_keys[] = "Status,Running,Paused,Restarting,OOMKilled,Dead,Pid,ExitCode,"
                                 "Error,StartedAt,FinishedAt";
static const char graph_keys[] = "ID,LowerDir,MergedDir,UpperDir,WorkDir";
static const char host_config_keys[] =
    "Binds,ContainerIDFile,LogConfig,NetworkMode,PortBindings,RestartPolicy,AutoRemove,"
    "VolumeDriver,VolumesFrom,ConsoleSize,CapAdd,CapDrop,CgroupnsMode,Dns,DnsOptions,DnsSearch,"
    "ExtraHosts,GroupAdd,IpcMode,Cgroup,Links,OomScoreAdj,PidMode,Privileged,PublishAllPorts,"
    "ReadonlyRootfs,SecurityOpt,UTSMode,UsernsMode,ShmSize,Runtime,Isolation,CpuShares,Memory,"
    "NanoCpus,CgroupParent,BlkioWeight,BlkioWeightDevice,BlkioDeviceReadBps,BlkioDeviceWriteBps,"
    "BlkioDeviceReadIOps,BlkioDeviceWriteIOps,CpuPeriod,CpuQuota,CpuRealtimePeriod,"
    "CpuRealtimeRuntime,CpusetCpus,CpusetMems,Devices,DeviceCgroupRules,DeviceRequests,"
    "MemoryReservation,MemorySwap,MemorySwappiness,OomKillDisable,PidsLimit,Ulimits,CpuCount,"
    "CpuPercent,IOMaximumIOps,IOMaximumBandwidth,MaskedPaths,ReadonlyPaths";
static const char config_keys[] =
    "Hostname,Domainname,User,AttachStdin,AttachStdout,AttachStderr,ExposedPorts,Tty,OpenStdin,"
    "StdinOnce,Env,Cmd,Image,Volumes,WorkingDir,Entrypoint,OnBuild,Labels";
static const char network_keys[] =
    "Bridge,SandboxID,SandboxKey,Ports,HairpinMode,LinkLocalIPv6Address,LinkLocalIPv6PrefixLen,"
    "SecondaryIPAddresses,SecondaryIPv6Addresses,EndpointID,Gateway,GlobalIPv6Address,"
    "GlobalIPv6PrefixLen,IPAddress,IPPrefixLen,IPv6Gateway,MacAddress,Networks";
static const char endpoint_keys[] =
    "IPAMConfig,Links,Aliases,MacAddress,DriverOpts,GwPriority,NetworkID,EndpointID,Gateway,"
    "IPAddress,IPPrefixLen,IPv6Gateway,GlobalIPv6Address,GlobalIPv6PrefixLen,DNSNames";
static const char item_keys[] = "Id,Names,Image,ImageID,Command,Created,Ports,Labels,State,Status,"
                                "HostConfig,NetworkSettings,Mounts";

static char id[] = "1111111111111111111111111111111111111111111111111111111111111111";
static char anonymous[] = "2222222222222222222222222222222222222222222222222222222222222222";

/* A running container with a published and an exposed port, a network and two volumes. */
struct sample {
    struct container_info info;
    struct port_mapping port;
    struct endpoint_settings endpoint;
    struct mount_point mounts[2];
};

static void sample_init(struct sample *sample)
{
    struct container_info *info = &sample->info;

    *sample = (struct sample){
        .info = { .name = (char *)"web",
                  .created_ns = INT64_C(1700000000123456789),
                  .image_id = (char *)"sha256:abc",
                  .image_name = (char *)"busybox",
                  .path = (char *)"sh",
                  .state = CONTAINER_RUNNING,
                  .pid = 4242,
                  .started_ns = INT64_C(1700000001000000000),
                  .upper_path = (char *)"/data/u" },
        .port = { .protocol = "tcp",
                  .host_ip = "127.0.0.1",
                  .host_port = 8080,
                  .container_port = 80 },
        .endpoint = { .ip_address = (char *)"172.17.0.2", .ip_prefix_len = 16 },
        .mounts = { { .type = (char *)"volume",
                      .name = (char *)"v",
                      .source = (char *)"/v/_data",
                      .destination = (char *)"/v" },
                    { .type = (char *)"volume",
                      .name = anonymous,
                      .source = (char *)"/a/_data",
                      .destination = (char *)"/a" } },
    };
    memcpy(info->id, id, sizeof(info->id));
    info->ports = (struct json_list){ .items = &sample->port, .count = 1 };
    info->mounts = (struct json_list){ .items = sample->mounts, .count = 2 };
    strv_add(&info->args, "-c");
    strv_add(&info->args, "echo hi");
    strv_add(&info->config.exposed_ports, "80/tcp");
    strv_add(&info->config.exposed_ports, "81/udp");
    strv_add(&sample->endpoint.aliases, "al");
    strv_add(&sample->endpoint.dns_names, "web");
    strv_add(&sample->endpoint.dns_names, "al");
    strv_add(&sample->endpoint.dns_names, "111111111111");
    map_init_empty(&info->endpoints, NULL);
    map_set(&info->endpoints, "bridge", &sample->endpoint);
}

static void sample_done(struct sample *sample)
{
    strv_done(&sample->info.args);
    strv_done(&sample->info.config.exposed_ports);
    strv_done(&sample->endpoint.aliases);
    strv_done(&sample->endpoint.dns_names);
    map_done(&sample->info.endpoints);
}
CLEANUP_VALUE(sample_done, struct sample)

typedef void write_function(struct json_writer *w, const struct container_info *info,
                            const struct container_view *view);

static struct json *written(write_function *write, const struct container_info *info,
                            const struct container_view *view)
{
    CLEANUP(str_done) struct str text = {};
    struct json *value = NULL;
    struct error err = {};

    write(&(struct json_writer){ .out = &text }, info, view);
    cr_assert_eq(json_parse(str_text(&text), text.length, &value, &err), 0, "%s in %s", err.text,
                 str_text(&text));
    return value;
}

/* The member at a path like "State/Pid". */
static const struct json *at(const struct json *value, const char *path)
{
    CLEANUP(strv_done) struct strv names = {};

    strv_split(&names, path, '/');
    for (size_t i = 0; i < names.count; i++)
        value = json_get(value, names.items[i]);
    return value;
}

static void expect_keys(const struct json *value, const char *path, const char *wanted)
{
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(free) char *joined = NULL;

    JSON_EACH (at(value, path), key)
        strv_add(&names, key);
    joined = strv_join(&names, ",");
    cr_expect_str_eq(joined, wanted, "members of %s", path);
}

static void expect_text(const struct json *value, const char *path, const char *wanted)
{
    CLEANUP(str_done) struct str text = {};

    json_write(at(value, path), &text);
    cr_expect_str_eq(str_text(&text), wanted, "%s", path);
}

Test(container_write, full_shape_is_dockers)
{
    CLEANUP(sample_done) struct sample sample;
    struct container_view view = { .version = API_VERSION(51), .driver = "overlay2" };

    sample_init(&sample);
    CLEANUP(json_free) struct json *value = written(container_write_full, &sample.info, &view);
    expect_keys(value, "", full_keys);
    expect_keys(value, "State", state_keys);
    expect_keys(value, "GraphDriver", "Data,Name");
    expect_keys(value, "GraphDriver/Data", graph_keys);
    expect_keys(value, "HostConfig", host_config_keys);
    expect_keys(value, "Config", config_keys);
    expect_keys(value, "NetworkSettings", network_keys);
    expect_keys(value, "NetworkSettings/Networks/bridge", endpoint_keys);

    view.with_size = true;
    CLEANUP(json_free) struct json *sized = written(container_write_full, &sample.info, &view);
    expect_keys(sized, "", full_keys_with_size);
}

Test(container_write, full_values_are_dockers)
{
    CLEANUP(sample_done) struct sample sample;
    struct container_view view = { .version = API_VERSION(51), .driver = "overlay2" };

    sample_init(&sample);
    CLEANUP(json_free) struct json *value = written(container_write_full, &sample.info, &view);
    expect_text(value, "Name", "\"/web\"");
    expect_text(value, "Created", "\"2023-11-14T22:13:20.123456789Z\"");
    expect_text(value, "State/Running", "true");
    expect_text(value, "State/FinishedAt", "\"0001-01-01T00:00:00Z\"");
    expect_text(value, "ExecIDs", "null");
    expect_text(value, "Config/Labels", "{}");
    expect_text(value, "NetworkSettings/Ports",
                "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}],\"81/udp\":null}");
    expect_text(value, "NetworkSettings/IPAddress", "\"172.17.0.2\"");
    expect_text(value, "NetworkSettings/Networks/bridge/Aliases", "[\"al\"]");

    view.version = API_VERSION(43);
    CLEANUP(json_free) struct json *old = written(container_write_full, &sample.info, &view);
    expect_text(old, "NetworkSettings/Networks/bridge/Aliases", "[\"al\",\"111111111111\"]");
}

Test(container_write, stopped_one_shows_no_ports)
{
    CLEANUP(sample_done) struct sample sample;
    struct container_view view = { .version = API_VERSION(51) };

    sample_init(&sample);
    sample.info.state = CONTAINER_EXITED;
    sample.info.finished_ns = sample.info.started_ns;
    CLEANUP(json_free) struct json *value = written(container_write_full, &sample.info, &view);
    expect_text(value, "NetworkSettings/Ports", "{}");
    expect_text(value, "NetworkSettings/SandboxID", "\"\"");
    expect_text(value, "State/Running", "false");
    expect_text(value, "State/Status", "\"exited\"");
}

Test(container_write, item_shape_is_dockers)
{
    CLEANUP(sample_done) struct sample sample;
    struct container_view view = { .version = API_VERSION(51), .image = "busybox" };

    sample_init(&sample);
    CLEANUP(json_free) struct json *value = written(container_write_item, &sample.info, &view);
    expect_keys(value, "", item_keys);
    expect_text(value, "Names", "[\"/web\"]");
    expect_text(value, "Command", "\"sh -c 'echo hi'\"");
    expect_text(value, "Created", "1700000000");
    expect_text(value, "Ports",
                "[{\"IP\":\"127.0.0.1\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
                "{\"PrivatePort\":81,\"Type\":\"udp\"}]");
    expect_text(value, "HostConfig", "{\"NetworkMode\":\"\"}");
    expect_text(value, "NetworkSettings/Networks/bridge/Aliases", "null");
    expect_text(value, "NetworkSettings/Networks/bridge/DNSNames", "null");
    cr_expect_str_eq(json_text(json_get(json_at(at(value, "Mounts"), 0), "Source")), "/v/_data");
    cr_expect_str_eq(json_text(json_get(json_at(at(value, "Mounts"), 1), "Source")), "");
}

Test(container_write, item_leaves_out_sizes_of_nothing)
{
    CLEANUP(sample_done) struct sample sample;
    struct container_view view = {
        .version = API_VERSION(51), .image = "busybox", .with_size = true, .size_root_fs = 1984172
    };

    sample_init(&sample);
    CLEANUP(json_free) struct json *value = written(container_write_item, &sample.info, &view);
    cr_expect_null(at(value, "SizeRw"));
    expect_text(value, "SizeRootFs", "1984172");
}
