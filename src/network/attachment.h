/* An attachment under way, as the files about endpoints share it. */
#ifndef BERTH_NETWORK_ATTACHMENT_H
#define BERTH_NETWORK_ATTACHMENT_H

#include "network/internal.h"

struct attachment {
    struct networks *networks;
    const struct endpoint_wish *wish;
    struct network *network;
    struct endpoint_row row;
    int *port_fds; /* as many as the row has ports */
    bool was_recorded;
    bool is_default, is_default6; /* the container's default route goes here */
    bool must_rebuild;            /* the firewall knows of ports that nobody has any more */
};

/* ---- endpoint_ports.c ---- */
/* Binds what the wish asks for; the row has what came of it. */
int attachment_bind_ports(struct attachment *attachment, struct error *err);
/* We hold the ports now, so whoever is recorded to have them is gone. */
int attachment_forget_old_ports(struct attachment *attachment, struct error *err);
int attachment_publish(struct attachment *attachment, struct error *err);
int endpoints_unpublish(struct networks *networks, const struct endpoint_rows *rows,
                        struct error *err);

/* ---- endpoint_address.c ---- */
/* Addresses of both families and a hardware address, wished ones or free ones, into the row. */
int attachment_choose_address(struct attachment *attachment, struct error *err);

#endif
