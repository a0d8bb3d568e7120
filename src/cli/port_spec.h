/* "-p [ip:][hostPort[-range]]:containerPort[-range][/protocol]" and "--expose". */
#ifndef BERTH_CLI_PORT_SPEC_H
#define BERTH_CLI_PORT_SPEC_H

#include "base/error.h"
#include "spec/container.h"

/* Adds what the text says to the exposed ports (set of "80/tcp") and to the bindings ("80/tcp" →
 * list of port_binding). */
int port_publish_parse(const char *text, struct strv *exposed, struct map *bindings,
                       struct error *err);
int port_expose_parse(const char *text, struct strv *exposed, struct error *err);

#endif
