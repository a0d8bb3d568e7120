/* One table of options. */
#include "cli/run_options.h"

#include <strings.h>

#include "cli/run_check.h"

#include "base/banned.h"

#define AT(member) offsetof(struct run_options, member)

#define WINDOWS_ONLY "it is for Windows"

/* clang-format off */
#define SHARED_ROWS                                                                                                                     \
    { 0,   "add-host",              OPTION_LIST,     AT(add_host),              "Add a line to /etc/hosts (name:ip)", .check = check_add_host },                     \
    { 0,   "annotation",            OPTION_LIST,     AT(annotation),            "Add an annotation for the runtime" },                      \
    { 'a', "attach",                OPTION_LIST,     AT(attach),                "Attach to stdin, stdout or stderr", .check = check_attach }, \
    { 0,   "blkio-weight",          OPTION_INTEGER,  AT(blkio_weight),          "Share of block I/O, 10 to 1000 (0: off)" },                \
    { 0,   "blkio-weight-device",   OPTION_LIST,     AT(blkio_weight_device),   "Share of block I/O of one device" },                       \
    { 0,   "cap-add",               OPTION_LIST,     AT(cap_add),               "Give a capability" },                                      \
    { 0,   "cap-drop",              OPTION_LIST,     AT(cap_drop),              "Take a capability away" },                                 \
    { 0,   "cgroup-parent",         OPTION_TEXT,     AT(cgroup_parent),         "Cgroup to make the container's in" },                      \
    { 0,   "cgroupns",              OPTION_TEXT,     AT(cgroupns),              "Cgroup namespace: host or private" },                      \
    { 0,   "cidfile",               OPTION_TEXT,     AT(cidfile),               "Write the container's id to this file" },                  \
    { 0,   "cpu-period",            OPTION_INTEGER,  AT(cpu_period),            "Period of the CPU quota, in microseconds" },               \
    { 0,   "cpu-quota",             OPTION_INTEGER,  AT(cpu_quota),             "CPU time per period, in microseconds" },                   \
    { 0,   "cpu-rt-period",         OPTION_INTEGER,  AT(cpu_rt_period),         "Period of real-time scheduling, in microseconds" },        \
    { 0,   "cpu-rt-runtime",        OPTION_INTEGER,  AT(cpu_rt_runtime),        "Real-time CPU per period, in microseconds" },              \
    { 'c', "cpu-shares",            OPTION_INTEGER,  AT(cpu_shares),            "CPU weight against others" },                              \
    { 0,   "cpus",                  OPTION_DECIMAL,  AT(cpus),                  "How many CPUs it may use" },                               \
    { 0,   "cpu-count",             OPTION_UNSUPPORTED, 0, WINDOWS_ONLY },                                                                   \
    { 0,   "cpu-percent",           OPTION_UNSUPPORTED, 0, WINDOWS_ONLY },                                                                   \
    { 0,   "cpuset-cpus",           OPTION_TEXT,     AT(cpuset_cpus),           "CPUs it may run on (0-3, 0,1)" },                          \
    { 0,   "cpuset-mems",           OPTION_TEXT,     AT(cpuset_mems),           "Memory nodes it may use (0-3, 0,1)" },                     \
    { 0,   "device",                OPTION_LIST,     AT(device),                "Give a device of the host" },                              \
    { 0,   "device-cgroup-rule",    OPTION_LIST,     AT(device_cgroup_rule),    "Add a rule for devices", .check = check_device_cgroup_rule },                                 \
    { 0,   "device-read-bps",       OPTION_LIST,     AT(device_read_bps),       "Limit reading from a device, bytes a second" },            \
    { 0,   "device-read-iops",      OPTION_LIST,     AT(device_read_iops),      "Limit reading from a device, operations a second" },       \
    { 0,   "device-write-bps",      OPTION_LIST,     AT(device_write_bps),      "Limit writing to a device, bytes a second" },              \
    { 0,   "device-write-iops",     OPTION_LIST,     AT(device_write_iops),     "Limit writing to a device, operations a second" },         \
    { 0,   "dns",                   OPTION_LIST,     AT(dns),                   "Ask this name server", .check = check_dns },                                   \
    { 0,   "dns-opt",               OPTION_LIST,     AT(dns_option),            0, .is_hidden = true },                                     \
    { 0,   "dns-option",            OPTION_LIST,     AT(dns_option),            "Option for resolv.conf" },                                 \
    { 0,   "dns-search",            OPTION_LIST,     AT(dns_search),            "Domain to complete names with" },                          \
    { 0,   "domainname",            OPTION_TEXT,     AT(domainname),            "NIS domain name" },                                        \
    { 0,   "entrypoint",            OPTION_TEXT,     AT(entrypoint),            "Replace the image's entrypoint" },                         \
    { 'e', "env",                   OPTION_LIST,     AT(env),                   "Set an environment variable", .check = check_env },                            \
    { 0,   "env-file",              OPTION_LIST,     AT(env_file),              "Read environment variables from a file" },                 \
    { 0,   "expose",                OPTION_LIST,     AT(expose),                "Expose a port or a range of ports" },                      \
    { 0,   "gpus",                  OPTION_TEXT,     AT(gpus),                  "GPUs to give (all, a number, device=…)" },                 \
    { 0,   "group-add",             OPTION_LIST,     AT(group_add),             "Join a further group" },                                   \
    { 0,   "health-cmd",            OPTION_TEXT,     AT(health_cmd),            "Command that checks the health" },                         \
    { 0,   "health-interval",       OPTION_DURATION, AT(health_interval),       "Time between two checks" },                                \
    { 0,   "health-on-failure",     OPTION_TEXT,     AT(health_on_failure),     "When unhealthy: none, restart, stop or kill" },            \
    { 0,   "health-retries",        OPTION_INTEGER,  AT(health_retries),        "Failures in a row that mean unhealthy" },                  \
    { 0,   "health-start-interval", OPTION_DURATION, AT(health_start_interval), "Time between checks while starting" },                     \
    { 0,   "health-start-period",   OPTION_DURATION, AT(health_start_period),   "Time in which failures do not count" },                    \
    { 0,   "health-timeout",        OPTION_DURATION, AT(health_timeout),        "Longest time of one check" },                              \
    { 'h', "hostname",              OPTION_TEXT,     AT(hostname),              "Host name inside" },                                       \
    { 0,   "init",                  OPTION_BOOL,     AT(init),                  "Run an init that reaps and forwards signals" },            \
    { 'i', "interactive",           OPTION_BOOL,     AT(interactive),           "Keep stdin open" },                                        \
    { 0,   "io-maxbandwidth",       OPTION_UNSUPPORTED, 0, WINDOWS_ONLY },                                                                   \
    { 0,   "io-maxiops",            OPTION_UNSUPPORTED, 0, WINDOWS_ONLY },                                                                   \
    { 0,   "ip",                    OPTION_TEXT,     AT(ip),                    "IPv4 address" },                                           \
    { 0,   "ip6",                   OPTION_TEXT,     AT(ip6),                   "IPv6 address" },                                           \
    { 0,   "ipc",                   OPTION_TEXT,     AT(ipc),                   "IPC namespace to use" },                                   \
    { 0,   "isolation",             OPTION_TEXT,     AT(isolation),             "Isolation technology" },                                   \
    { 0,   "kernel-memory",         OPTION_UNSUPPORTED, 0, "kernels have no such limit any more" },                                          \
    { 'l', "label",                 OPTION_LIST,     AT(label),                 "Set a label", .check = check_label },                                            \
    { 0,   "label-file",            OPTION_LIST,     AT(label_file),            "Read labels from a file" },                                \
    { 0,   "link",                  OPTION_LIST,     AT(link),                  "Link to another container" },                              \
    { 0,   "link-local-ip",         OPTION_LIST,     AT(link_local_ip),         "Link-local address" },                                     \
    { 0,   "log-driver",            OPTION_TEXT,     AT(log_driver),            "How the log is kept" },                                    \
    { 0,   "log-opt",               OPTION_LIST,     AT(log_opt),               "Option of the log driver" },                               \
    { 0,   "mac-address",           OPTION_TEXT,     AT(mac_address),           "MAC address" },                                            \
    { 'm', "memory",                OPTION_BYTES,    AT(memory),                "Memory limit" },                                           \
    { 0,   "memory-reservation",    OPTION_BYTES,    AT(memory_reservation),    "Memory soft limit" },                                      \
    { 0,   "memory-swap",           OPTION_BYTES,    AT(memory_swap),           "Limit of memory and swap together (-1: none)" },           \
    { 0,   "memory-swappiness",     OPTION_INTEGER,  AT(memory_swappiness),     "Inclination to swap, 0 to 100" },                          \
    { 0,   "mount",                 OPTION_LIST,     AT(mount),                 "Mount a file system", .check = check_mount },                                    \
    { 0,   "name",                  OPTION_TEXT,     AT(name),                  "Name of the container" },                                  \
    { 0,   "network",               OPTION_LIST,     AT(network),               "Network to connect to" },                                  \
    { 0,   "net",                   OPTION_LIST,     AT(network),               0, .is_hidden = true },                                     \
    { 0,   "network-alias",         OPTION_LIST,     AT(network_alias),         "Further name on the network" },                            \
    { 0,   "net-alias",             OPTION_LIST,     AT(network_alias),         0, .is_hidden = true },                                     \
    { 0,   "no-healthcheck",        OPTION_BOOL,     AT(no_healthcheck),        "Switch off the image's health check" },                    \
    { 0,   "oom-kill-disable",      OPTION_BOOL,     AT(oom_kill_disable),      "Do not kill when memory runs out" },                       \
    { 0,   "oom-score-adj",         OPTION_INTEGER,  AT(oom_score_adj),         "Inclination to be killed, -1000 to 1000" },                \
    { 0,   "pid",                   OPTION_TEXT,     AT(pid),                   "PID namespace to use" },                                   \
    { 0,   "pids-limit",            OPTION_INTEGER,  AT(pids_limit),            "Most processes (-1: no limit)" },                          \
    { 0,   "platform",              OPTION_TEXT,     AT(platform),              "Platform of the image" },                                  \
    { 0,   "privileged",            OPTION_BOOL,     AT(privileged),            "Give it all rights on the host" },                         \
    { 'p', "publish",               OPTION_LIST,     AT(publish),               "Publish a port on the host" },                             \
    { 'P', "publish-all",           OPTION_BOOL,     AT(publish_all),           "Publish all exposed ports" },                              \
    { 0,   "pull",                  OPTION_TEXT,     AT(pull),                  "When to pull the image: always, missing, never" },         \
    { 'q', "quiet",                 OPTION_BOOL,     AT(quiet),                 "Do not show a pull" },                                     \
    { 0,   "read-only",             OPTION_BOOL,     AT(read_only),             "Make the root file system read-only" },                    \
    { 0,   "restart",               OPTION_TEXT,     AT(restart),               "Policy when it ends" },                                    \
    { 0,   "rm",                    OPTION_BOOL,     AT(remove),                "Remove it when it ends" },                                 \
    { 0,   "runtime",               OPTION_TEXT,     AT(runtime),               "Runtime to use" },                                         \
    { 0,   "security-opt",          OPTION_LIST,     AT(security_opt),          "Security option" },                                        \
    { 0,   "shm-size",              OPTION_BYTES,    AT(shm_size),              "Size of /dev/shm" },                                       \
    { 0,   "stop-signal",           OPTION_TEXT,     AT(stop_signal),           "Signal that stops it" },                                   \
    { 0,   "stop-timeout",          OPTION_INTEGER,  AT(stop_timeout),          "Seconds before it is killed" },                            \
    { 0,   "storage-opt",           OPTION_LIST,     AT(storage_opt),           "Option of the storage driver" },                           \
    { 0,   "sysctl",                OPTION_LIST,     AT(sysctl),                "Kernel parameter of its namespaces", .check = check_sysctl },                     \
    { 0,   "tmpfs",                 OPTION_LIST,     AT(tmpfs),                 "Mount a tmpfs" },                                          \
    { 't', "tty",                   OPTION_BOOL,     AT(tty),                   "Give it a terminal" },                                     \
    { 0,   "ulimit",                OPTION_LIST,     AT(ulimit),                "Limit of a resource", .check = check_ulimit },                                    \
    { 0,   "use-api-socket",        OPTION_BOOL,     AT(use_api_socket),        "Let it speak to the engine, with your credentials for registries" },  \
    { 'u', "user",                  OPTION_TEXT,     AT(user),                  "User, and group, to run as" },                             \
    { 0,   "userns",                OPTION_TEXT,     AT(userns),                "User namespace to use" },                                  \
    { 0,   "uts",                   OPTION_TEXT,     AT(uts),                   "UTS namespace to use" },                                   \
    { 'v', "volume",                OPTION_LIST,     AT(volume),                "Mount a volume or a path of the host" },                   \
    { 0,   "volume-driver",         OPTION_TEXT,     AT(volume_driver),         "Driver of volumes" },                                      \
    { 0,   "volumes-from",          OPTION_LIST,     AT(volumes_from),          "Use the volumes of another container" },                   \
    { 'w', "workdir",               OPTION_TEXT,     AT(workdir),               "Working directory inside" },

const struct option_row create_rows[] = {
    SHARED_ROWS
    {},
};

const struct option_row run_rows[] = {
    { 'd', "detach",      OPTION_BOOL, AT(detach),      "Run in the background and print the id" },
    { 0,   "detach-keys", OPTION_TEXT, AT(detach_keys), "Keys that detach" },
    { 0,   "sig-proxy",   OPTION_BOOL, AT(sig_proxy),   "Hand signals on to the process", .initially_true = true },
    SHARED_ROWS
    {},
};
/* clang-format on */

void run_options_streams(const struct run_options *options, bool *out_stdin, bool *out_stdout,
                         bool *out_stderr)
{
    *out_stdin = *out_stdout = *out_stderr = false;
    if (options->detach)
        return;
    if (!options->attach.count) {
        *out_stdin = options->interactive;
        *out_stdout = *out_stderr = true;
        return;
    }
    for (size_t i = 0; i < options->attach.count; i++) {
        *out_stdin |= strcasecmp(options->attach.items[i], "stdin") == 0;
        *out_stdout |= strcasecmp(options->attach.items[i], "stdout") == 0;
        *out_stderr |= strcasecmp(options->attach.items[i], "stderr") == 0;
    }
}
