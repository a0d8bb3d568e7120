/* Which files of its context a Dockerfile can ask for, as far as that can be told without building.
 */
#ifndef BERTH_BUILD_CONTEXT_NEEDS_H
#define BERTH_BUILD_CONTEXT_NEEDS_H

#include "base/strv.h"
#include "build/parse.h"
#include "spec/context_manifest.h"

/* Lists paths ("" is the whole context): what is neither one of them nor below one is not needed,
 * whatever the arguments of the build. Where something cannot be told (a base image may have
 * triggers, links lead elsewhere), the whole context is.
 *
 * 'has_triggers' is asked for each base image: may it have ONBUILD instructions? */
void context_needs(const struct dockerfile *file, const struct context_manifest *manifest,
                   bool (*has_triggers)(void *data, const char *image), void *data,
                   struct strv *out);

#endif
