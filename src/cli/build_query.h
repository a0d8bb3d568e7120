/* What the engine is told of a build, as parameters of its request. */
#ifndef BERTH_CLI_BUILD_QUERY_H
#define BERTH_CLI_BUILD_QUERY_H

#include "cli/build_input.h"

/* 'context' is the argument of the command. */
void build_query_add(const struct cli *cli, struct client_path *path,
                     const struct build_options *options, const struct build_input *input,
                     const char *context);

#endif
