/* A build context as a tar stream. */
#ifndef BERTH_CLI_CONTEXT_H
#define BERTH_CLI_CONTEXT_H

#include "base/error.h"
#include "base/stream.h"

/* A readable stream of the directory's tar (owners zeroed), made by a thread of its own while it is
 * read. 'extra_path' (NULL: none) is a file from elsewhere that goes in under 'extra_name'. */
int context_stream(const char *directory, const char *extra_path, const char *extra_name,
                   struct stream **out, struct error *err);

#endif
