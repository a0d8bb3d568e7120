/* What the command line of `build` says. */
#ifndef BERTH_CLI_BUILD_OPTIONS_H
#define BERTH_CLI_BUILD_OPTIONS_H

#include "cli/command.h"

struct build_options {
    bool no_cache, quiet, remove, force_remove, pull, push, check, verify, load;
    struct strv add_host, build_arg, cache_from, cache_to, label, tag, allow, build_context,
        no_cache_filter, output, secret, ssh, attest;
    const char *file, *iidfile, *metadata_file, *network, *platform, *target, *cgroup_parent,
        *cpuset_cpus, *cpuset_mems, *progress, *provenance, *sbom;
    struct optional_int64 memory, memory_swap, shm_size, cpu_shares, cpu_period, cpu_quota;
};

extern const struct option_row build_option_rows[];

/* For several platforms? Their images have names where they go to, not here. */
bool build_options_is_several(const struct build_options *options);

/* What is asked for and cannot be had is said before anything is built. */
int build_options_check(const struct build_options *options, struct error *err);

/* What is to be attested: "type=settings" each. */
int build_options_attestations(const struct build_options *options, struct strv *out,
                               struct error *err);

#endif
