/* The one table of an engine in nf_tables. Its chains and rules never change; networks and
 * published ports are elements of its sets and maps, so a change costs the same however many there
 * are. What the rules say is told in docs/decisions/0004-firewall.md.
 *
 * All functions may be called from any thread. */
#ifndef BERTH_NETWORK_FIREWALL_H
#define BERTH_NETWORK_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "linux/nftables.h"
#include "network/subnet.h"
#include "network/subnet6.h"

struct firewall;

/* Adds all elements that the record asks for to a batch. */
typedef int firewall_fill(void *data, struct nft_batch *batch, struct error *err);

struct firewall_options {
    const char *table;
    bool is_shared; /* others may change it; else it is owned where the kernel knows owners */
    /* Mode "strict" (see network/inlet.h): the ends of that pair. NULL: mode "docker". */
    const char *inlet_name, *inlet_outer_name;
    firewall_fill *fill; /* called under the firewall's lock */
    void *data;
};
/* Opens the table of that name; firewall_rebuild makes it. */
int firewall_open(const struct firewall_options *options, struct firewall **out, struct error *err);
void firewall_close(struct firewall *firewall); /* the table stays */
CLEANUP_POINTER(firewall_close, struct firewall)

/* The table of the host's administrator, "<table>_user": its chain "forward" sees what is forwarded
 * before ours does. It is made where it is missing, and what is in it is never touched. */
int firewall_assert_user_table(struct firewall *firewall, struct error *err);

/* Replaces the whole table by what it should be, in one transaction: packets never see less. */
int firewall_rebuild(struct firewall *firewall, struct error *err);
int firewall_remove(struct firewall *firewall, struct error *err);

/* Starts a batch of changes on this firewall's table. */
void firewall_begin(struct firewall *firewall, struct nft_batch *batch);
/* Commits it; if the kernel's table turns out to be different from what the record says, rebuilds
 * the table instead. The record has been changed before. */
int firewall_commit(struct firewall *firewall, struct nft_batch *batch, struct error *err);

struct firewall_bridge {
    const char *name;
    bool has_ipv4, has_ipv6;
    struct subnet subnet;
    struct subnet6 subnet6;
    bool is_internal;                     /* nothing in, nothing out */
    bool is_masqueraded, is_masqueraded6; /* what leaves takes the host's address */
    bool is_routed, is_routed6;           /* its containers are reached by their own addresses */
    bool is_open;                         /* its containers may talk to each other */
    bool is_unprotected, is_unprotected6; /* unpublished ports may be reached by who has a route */
    uint32_t source;           /* what leaves and is masqueraded has this address; 0: the host's */
    struct in6_addr source6;   /* the same */
    const char *trusted_links; /* "eth0:eth1": from there published ports are reached by their
                                  container's address, too; NULL or "": none */
};
void firewall_bridge_add(struct nft_batch *batch, const struct firewall_bridge *bridge);
void firewall_bridge_remove(struct nft_batch *batch, const struct firewall_bridge *bridge);

struct firewall_port {
    uint8_t protocol;         /* IPPROTO_TCP, … */
    bool is_ipv6;             /* addresses are four octets or sixteen */
    uint8_t host_address[16]; /* zero: all of this host's */
    uint8_t address[16];      /* of the container */
    uint16_t host_port, port; /* without a port of the host: reached by its own address */
    bool is_open;             /* reached by its own address, too, from links that are trusted */
};
void firewall_port_add(struct nft_batch *batch, const struct firewall_port *port);
void firewall_port_remove(struct nft_batch *batch, const struct firewall_port *port);

/* A line for each thing of the table that is missing or not in the record. */
int firewall_verify(struct firewall *firewall, struct strv *out, struct error *err);

/* Readable when somebody changes rules on this host; firewall_was_harmed then says whether
 * something of our table was taken away by others. Both for one thread. */
int firewall_watch_fd(const struct firewall *firewall);
bool firewall_was_harmed(struct firewall *firewall);

#endif
