/* "--ulimit name=soft[:hard]". */
#ifndef BERTH_CLI_ULIMIT_SPEC_H
#define BERTH_CLI_ULIMIT_SPEC_H

#include "base/error.h"
#include "spec/container.h"

/* INVALID with Docker's words: an unknown name, no number, a soft limit above the hard one. */
int ulimit_spec_parse(const char *text, struct ulimit *out, struct error *err);

#endif
