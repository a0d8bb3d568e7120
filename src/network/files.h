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
    const struct strv *links;       /* whole lines about linked containers */
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
/* Are names without a dot kept from servers outside? (ndots above 0 was asked for) */
bool network_resolv_keeps_single_labels(const struct network_files_options *options,
                                        const char *host_text);

/* Changes to the hosts file of a container that runs: lines of that address go, lines of others
 * stay as they are, whoever wrote them. */
void network_hosts_remove(const char *text, const char *address, struct str *out);
/* The first line of that text (newline included) goes. */
void network_hosts_remove_line(const char *text, const char *line, struct str *out);
/* The line for "name:ip", with its newline; nothing if there is no address for it. */
void network_hosts_extra_line(const struct network_files_options *options, const char *entry,
                              struct str *out);
/* "10.0.0.2\tname short" with its newline. */
void network_hosts_own_line(const struct network_files_options *options, const char *address,
                            struct str *out);

/* Reads the host's, following the rule above. */
void network_host_resolv(struct str *out);

#endif
