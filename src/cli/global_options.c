/* One table, shared by the parser, the help text and completion. */
#include "cli/global_options.h"

#include "cli/settings.h"

#include "base/banned.h"

/* clang-format off */
const struct option_row global_rows[] = {
    { 0,   "config",    OPTION_TEXT, offsetof(struct global_options, config),     "Directory of client configuration" },
    { 'c', "context",   OPTION_TEXT, offsetof(struct global_options, context),    "Name of the context to use" },
    { 'D', "debug",     OPTION_BOOL, offsetof(struct global_options, debug),      "Say more" },
    { 'H', "host",      OPTION_LIST, offsetof(struct global_options, hosts),      "Engine to talk to" },
    { 'l', "log-level", OPTION_TEXT, offsetof(struct global_options, log_level),  "Least severity that is told" },
    { 0,   "tls",       OPTION_BOOL, offsetof(struct global_options, tls),        "Use TLS" },
    { 0,   "tlscacert", OPTION_TEXT, offsetof(struct global_options, ca),         "Trust only certificates signed by this one" },
    { 0,   "tlscert",   OPTION_TEXT, offsetof(struct global_options, cert),       "Certificate to show" },
    { 0,   "tlskey",    OPTION_TEXT, offsetof(struct global_options, key),        "Key of that certificate" },
    { 0,   "tlsverify", OPTION_BOOL, offsetof(struct global_options, tls_verify), "Use TLS and check the engine's certificate" },
    { 'v', "version",   OPTION_BOOL, offsetof(struct global_options, version),    "Print the version and end" },
    {},
};
/* clang-format on */

int global_options_load(const struct global_options *options, struct error *err)
{
    struct settings_wish wish = { .config = options->config,
                                  .context = options->context,
                                  .host = options->hosts.count
                                              ? options->hosts.items[options->hosts.count - 1]
                                              : NULL,
                                  .tls = options->tls,
                                  .tls_verify = options->tls_verify,
                                  .ca = options->ca,
                                  .cert = options->cert,
                                  .key = options->key };
    return settings_load(&wish, err);
}
