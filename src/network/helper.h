/* One thread that does what need not be waited for: keeps a few fresh namespaces ready, removes
 * links whose namespaces do not go away, and puts bridges and the firewall's table back when
 * another program took them away. */
#ifndef BERTH_NETWORK_HELPER_H
#define BERTH_NETWORK_HELPER_H

#include "base/error.h"
#include "network/firewall.h"

struct helper;

struct helper_duties {
    int home_fd; /* borrowed, as all of this */
    struct firewall *firewall;
    /* Links that must be there, and what is done when one was lost. */
    bool (*is_ours)(void *data, const char *name);
    int (*repair_links)(void *data, struct error *err);
    void *data;
};
int helper_start(const struct helper_duties *duties, struct helper **out, struct error *err);
void helper_stop(struct helper *helper); /* NULL is fine; ready namespaces are given up */
CLEANUP_POINTER(helper_stop, struct helper)

/* A ready namespace; makes one if none is left. */
int helper_namespace(struct helper *helper, int *out_fd, struct error *err);

/* Removes the link if it is still there after a while. */
void helper_remove_link(struct helper *helper, const char *name);
/* Is that still to come? */
bool helper_will_remove_link(struct helper *helper, const char *name);

#endif
