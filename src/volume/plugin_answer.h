/* What plugins say, read: Docker's plugin protocol, version 1. They are programs of others, so
 * every answer is taken for bytes from outside. */
#ifndef BERTH_VOLUME_PLUGIN_ANSWER_H
#define BERTH_VOLUME_PLUGIN_ANSWER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "codec/json.h"

/* The body of an answer to 'method'. INTERNAL with what it says in "Err", or if it is none;
 * NOT_FOUND if the plugin does not know the method. 'out' may be NULL. */
int plugin_answer_read(const char *method, int status, const struct str *text, struct json **out,
                       struct error *err);

/* Plugin.Activate: is it a driver of volumes? */
bool plugin_answer_has_volumes(const struct json *answer);
/* VolumeDriver.Capabilities */
bool plugin_answer_is_global(const struct json *answer);
/* VolumeDriver.Mount: an absolute path. INTERNAL. 'out' is yours. */
int plugin_answer_mountpoint(const struct json *answer, char **out, struct error *err);
/* VolumeDriver.Get: where it is ("" if it does not say), and what the plugin tells of it (JSON,
 * NULL if it tells nothing). Both are yours. */
void plugin_answer_volume(const struct json *answer, char **out_mountpoint, char **out_status);

#endif
