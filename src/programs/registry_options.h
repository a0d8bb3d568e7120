/* How berth-registry was told to be: flags, and a configuration file with the same settings under
 * their flags' names. A setting given in both places is the flag's. */
#ifndef BERTH_PROGRAMS_REGISTRY_OPTIONS_H
#define BERTH_PROGRAMS_REGISTRY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

enum registry_command { REGISTRY_SERVE, REGISTRY_GC, REGISTRY_VERIFY };

struct registry_settings {
    enum registry_command command;
    bool help, version;
    char *config_path, *root_path, *log_level;
    struct strv listen, debug_listen, quotas, event_urls, event_headers;
    char *htpasswd_path, *realm, *rules_path;
    char *token_realm, *token_service, *token_issuer, *token_keys_path;
    char *proxy_url, *proxy_credentials_path;
    char *tls_cert_path, *tls_key_path, *tls_client_ca_path;
    bool access_log, read_only, no_delete, gc_untagged, allow_sparse_index;
    int64_t gc_interval_ns, gc_grace_ns, upload_age_ns, proxy_fresh_ns, proxy_keep_ns;
    int64_t blob_size_limit, upload_writers, upload_count;
};

int registry_settings_read(int argc, char **argv, struct registry_settings *out, struct error *err);
void registry_settings_done(struct registry_settings *settings);
CLEANUP_VALUE(registry_settings_done, struct registry_settings)

void registry_settings_print_help(void);

#endif
