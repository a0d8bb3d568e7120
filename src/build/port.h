/* Ports as EXPOSE has them. */
#ifndef BERTH_BUILD_PORT_H
#define BERTH_BUILD_PORT_H

#include "base/error.h"
#include "base/strv.h"

/* "80", "443/tcp", "100-102/UDP", "8080:80": adds "80/tcp"… INVALID "Invalid containerPort: x". */
int port_read(const char *text, struct strv *out, struct error *err);

#endif
