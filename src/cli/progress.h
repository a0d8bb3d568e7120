/* Progress of pull, push and load: on a terminal each layer keeps its line, elsewhere each step is
 * a line of its own. */
#ifndef BERTH_CLI_PROGRESS_H
#define BERTH_CLI_PROGRESS_H

#include <stdio.h>

#include "client/client.h"

/* Prints what comes until it ends; an error among it becomes 'err'. 'out' NULL: nothing is printed.
 */
int progress_follow(struct client_messages *messages, FILE *out, struct error *err);

#endif
