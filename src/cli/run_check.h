/* Values of options of run and create that are judged as they are read, in Docker's words. Each
 * gives 0 or INVALID. */
#ifndef BERTH_CLI_RUN_CHECK_H
#define BERTH_CLI_RUN_CHECK_H

#include "base/error.h"
#include "cli/run_options.h"

int check_add_host(const char *value, struct error *err);
char *host_entry(const char *value); /* what the API calls it: name=ip is written name:ip */
int check_device_cgroup_rule(const char *value, struct error *err);
int check_dns(const char *value, struct error *err);
int check_env(const char *value, struct error *err);
int check_attach(const char *value, struct error *err);
int check_label(const char *value, struct error *err);
int check_mount(const char *value, struct error *err);
int check_sysctl(const char *value, struct error *err);
int check_ulimit(const char *value, struct error *err);

/* What contradicts itself, or has one of a few values. */
int run_options_check(const struct run_options *options, struct error *err);

#endif
