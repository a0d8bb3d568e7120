/* Drivers of volumes that are programs of their own and speak Docker's plugin protocol (version 1):
 * JSON by HTTP over a socket. Found by name in directories: <name>.sock, <name>.spec (a file with
 * an address) or <name>.json, there or in a directory <name>. Docker Engine API, "Docker Plugin
 * API".
 *
 * A plugin that does not answer keeps nobody waiting but who asked it, and that for seconds. */
#ifndef BERTH_VOLUME_PLUGIN_H
#define BERTH_VOLUME_PLUGIN_H

#include "base/error.h"
#include "base/strv.h"
#include "codec/json.h"

/* Whether there is one of that name. */
bool plugin_exists(const struct strv *directories, const char *name);
/* All names, sorted. */
void plugin_list(const struct strv *directories, struct strv *out);

/* Asks it: 'method' is "VolumeDriver.Create", 'body' JSON. What it says in "Err" becomes INTERNAL
 * "VolumeDriver.Create: …". NOT_FOUND if there is no such plugin, UNAVAILABLE if it does not
 * answer. 'out' may be NULL. */
int plugin_call(const struct strv *directories, const char *name, const char *method,
                const char *body, struct json **out, struct error *err);
/* The first thing to ask: whether it is a driver of volumes. INVALID if not. */
int plugin_activate(const struct strv *directories, const char *name, struct error *err);

#endif
