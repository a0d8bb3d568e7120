/* The options before the command: which engine, which configuration. */
#ifndef BERTH_CLI_GLOBAL_OPTIONS_H
#define BERTH_CLI_GLOBAL_OPTIONS_H

#include "base/error.h"
#include "base/strv.h"
#include "cli/option.h"

struct global_options {
    bool debug, tls, tls_verify, version;
    const char *config, *context, *log_level, *ca, *cert, *key;
    struct strv hosts;
};

extern const struct option_row global_rows[];

/* settings_load with what they say. */
int global_options_load(const struct global_options *options, struct error *err);

#endif
