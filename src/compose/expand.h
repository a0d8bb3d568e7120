/* Short forms of values, turned into the long ones in place; the functions that the tables
 * (schema.c) name. Each gets a value that is not null, and leaves a long form as it is. */
#ifndef BERTH_COMPOSE_EXPAND_H
#define BERTH_COMPOSE_EXPAND_H

#include "compose/spot.h"

#define EXPANSION(name)                                                                            \
    int expand_##name(struct yaml *node, const struct spot *spot, struct error *err)

EXPANSION(build);   /* path → {context} */
EXPANSION(ssh);     /* {id: path} → ["id=path"] */
EXPANSION(extends); /* name → {service} */
EXPANSION(include); /* paths → [{path: […]}] */
EXPANSION(
    depends_on); /* [service] → {service: {condition, required}}; completes the long form too */
EXPANSION(env_file);         /* path or list → [{path, required}] */
EXPANSION(networks);         /* [name] → {name: null} */
EXPANSION(references);       /* configs and secrets: [name] → [{source}] */
EXPANSION(devices);          /* "src:dst:rwm" → {source, target, permissions} */
EXPANSION(device_count);     /* "all" → -1 */
EXPANSION(gpus);             /* "all" → [{count: -1}] */
EXPANSION(health_test);      /* text → [CMD-SHELL, text] */
EXPANSION(extra_hosts);      /* any form → ["host=address"], sorted by host */
EXPANSION(ulimits);          /* checks {name: n | {soft, hard}} */
EXPANSION(external);         /* {name: x} → true */
EXPANSION(resources);        /* {key: {external: {name: x}}} → {key: {name: x, external: true}} */
EXPANSION(services);         /* checks the names */
EXPANSION(contexts);         /* checks ["name=where"] */
EXPANSION(mapping);          /* refuses lists */
EXPANSION(provider_options); /* {key: value} → {key: [value]} */
EXPANSION(ports);   /* port_form.c: "[ip:][published:]target[/protocol]" → {mode, host_ip, target,
                       published, protocol} */
EXPANSION(volumes); /* mount_form.c: "[source:]target[:options]" → {type, source, target, …} */

/* identities: what two elements of a list have in common when the later takes the place of the
 * earlier */
char *identity_port(const struct yaml *item);
char *identity_target(const struct yaml *item); /* volumes, devices */
char *identity_config(const struct yaml *item);
char *identity_secret(const struct yaml *item);
char *identity_path(const struct yaml *item);

#endif
