/* The options that `run` and `create` share, and how they become the body of a create call. */
#ifndef BERTH_CLI_RUN_OPTIONS_H
#define BERTH_CLI_RUN_OPTIONS_H

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/option.h"
#include "client/client.h"

struct run_options {
    /* run only */
    bool detach, sig_proxy;
    const char *detach_keys;
    /* both */
    bool interactive, tty, remove, privileged, read_only, init, publish_all, no_healthcheck,
        oom_kill_disable, quiet, use_api_socket;
    const char *gpus;
    struct strv attach, add_host, annotation, cap_add, cap_drop, device, device_cgroup_rule,
        device_read_bps, device_write_bps, device_read_iops, device_write_iops, dns, dns_option,
        dns_search, env, env_file, expose, group_add, label, label_file, link, link_local_ip,
        log_opt, mount, network, network_alias, publish, security_opt, storage_opt, sysctl, tmpfs,
        ulimit, volume, volumes_from, blkio_weight_device;
    const char *cgroup_parent, *cgroupns, *cidfile, *cpuset_cpus, *cpuset_mems, *domainname,
        *entrypoint, *health_cmd, *health_on_failure, *hostname, *ip, *ip6, *ipc, *isolation,
        *log_driver, *mac_address, *name, *pid, *platform, *pull, *restart, *runtime, *stop_signal,
        *user, *userns, *uts, *volume_driver, *workdir;
    struct optional_int64 cpu_rt_period, cpu_rt_runtime, blkio_weight, cpu_period, cpu_quota,
        cpu_shares, cpus, health_interval, health_retries, health_start_period,
        health_start_interval, health_timeout, memory, memory_reservation, memory_swap,
        memory_swappiness, oom_score_adj, pids_limit, shm_size, stop_timeout;
};

extern const struct option_row run_rows[];    /* run */
extern const struct option_row create_rows[]; /* create: the same without those of run only */

/* Writes the JSON body. 'arguments': image, then command; 'client': whose proxies and socket are to
 * be used. 'out_credentials': what api_socket_put is to put into the container, "" for nothing.
 * INVALID for what cannot be understood here (ports, mounts, files). */
int run_options_encode(const struct run_options *options, const struct strv *arguments,
                       const struct client *client, struct str *out, struct str *out_credentials,
                       struct error *err);

/* Which streams the client attaches: by -a, or stdout and stderr (and stdin with -i); none with -d.
 */
void run_options_streams(const struct run_options *options, bool *out_stdin, bool *out_stdout,
                         bool *out_stderr);

#endif
