/* Small programs beside ours, which answer a question: credential helpers, plugins. */
#ifndef BERTH_CLI_PROGRAM_H
#define BERTH_CLI_PROGRAM_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

/* Runs the program at 'path' to its end with 'input' (NULL: nothing) as its stdin; what it prints
 * goes to 'out', at most 1 MiB of it, what it says on stderr to ours or, if 'is_silent', nowhere.
 */
int program_ask(const char *path, char *const *arguments, const char *input, bool is_silent,
                struct str *out, int *out_code, struct error *err);

#endif
