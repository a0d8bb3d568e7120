/* What the engine asks of registries for us, with the user's credentials; berth's own calls. */
#ifndef BERTH_CLI_DISTRIBUTION_H
#define BERTH_CLI_DISTRIBUTION_H

#include "cli/command.h"
#include "spec/reference.h"

/* "GET" or "PUT" of the "manifest" or the "blob" that 'reference' names. 'insecure': for this once
 * the registry may be one without TLS. 'body' is JSON text or NULL, 'out' is yours. */
int distribution_call(struct cli *cli, const char *method, const struct reference *reference,
                      const char *what, bool insecure, const char *body, struct json **out,
                      struct error *err);

#endif
