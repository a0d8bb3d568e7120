/* The three files that a container gets for its network: hosts, hostname, resolv.conf
 * (spec/runtime.md section 10). Pure text: decide here, written by the engine into
 * containers/<id>/. */
#ifndef BERTH_NETWORK_FILES_H
#define BERTH_NETWORK_FILES_H

#include <stdbool.h>

#include "base/str.h"
#include "base/strv.h"

struct network_files_options {
    const char *hostname, *domainname;
    const struct strv *extra_hosts; /* "name:ip"; "host-gateway" as ip is replaced */
    const char *gateway;            /* address for host-gateway */
    const struct strv *addresses;   /* the container's own, in order; none with --net none */
    bool ipv6;                      /* write the ::1 lines */
    bool is_host_network;           /* hosts: the host's own file plus extra hosts */
    bool is_user_network;           /* resolv.conf: 127.0.0.11 (when berth answers names there) */
    const struct strv *dns, *dns_search, *dns_options;
};

void network_hosts_text(const struct network_files_options *options, struct str *out);
void network_hostname_text(const struct network_files_options *options, struct str *out);
/* 'host_text' is the host's resolv.conf (systemd-resolved's own file if the usual one only names
 * 127.0.0.53). */
void network_resolv_text(const struct network_files_options *options, const char *host_text,
                         struct str *out);
/* Reads the host's, following the rule above. */
void network_host_resolv(struct str *out);

#endif
