/* Which hosts to ask for a repository, in which order, and what may be spoken to them. */
#ifndef BERTH_REGISTRY_ENDPOINT_H
#define BERTH_REGISTRY_ENDPOINT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strv.h"

struct endpoint {
    char *base;       /* "https://registry-1.docker.io", no slash at its end */
    bool is_mirror;   /* others than the one asked for: gets no credentials */
    bool is_insecure; /* its certificate need not be valid */
};
struct endpoints {
    struct endpoint *items;
    size_t count;
};
/* 'with_mirrors': for pulls. INVALID for a mirror that is no URL. */
int endpoints_find(const char *domain, const struct strv *insecure, const struct strv *mirrors,
                   bool with_mirrors, struct endpoints *out, struct error *err);
void endpoints_done(struct endpoints *endpoints);
CLEANUP_VALUE(endpoints_done, struct endpoints)

/* True if a rule names the host ("host", "host:port", "[::1]:port") as it is written: names are not
 * looked up, for whoever answers for a name could make any of it insecure. "localhost" is loopback
 * by definition. */
bool host_is_insecure(const char *host_port, const struct strv *insecure);
bool host_is_loopback(const char *host_port);

/* A URL taken apart. INVALID unless it is http or https with a host and without a user. */
struct url {
    bool is_tls;
    char *host;      /* lower case, without port; IPv6 without brackets */
    char *host_port; /* as in a Host header: the port is left out if it is the scheme's */
    int port;
};
int url_split(const char *text, struct url *out, struct error *err);
void url_done(struct url *url);
CLEANUP_VALUE(url_done, struct url)
bool url_same_origin(const struct url *a, const struct url *b);
/* 'location' as seen from 'base'; yours. */
int url_resolve(const char *base, const char *location, char **out, struct error *err);

#endif
