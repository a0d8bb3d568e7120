/* Detach keys as users write them: "ctrl-p,ctrl-q" → two bytes. */
#ifndef BERTH_API_DETACH_KEYS_H
#define BERTH_API_DETACH_KEYS_H

#include <stddef.h>

#include "base/error.h"

#define DETACH_KEYS_LIMIT 32

/* NULL or "" is the default, ctrl-p ctrl-q. INVALID for what is no sequence of single characters
 * and "ctrl-<a…z @ [ \ ] ^ _>", separated by commas; the caller words the error. */
int detach_keys_parse(const char *text, char out[DETACH_KEYS_LIMIT], size_t *out_size,
                      struct error *err);

#endif
