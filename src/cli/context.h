/* A build context as a tar stream. */
#ifndef BERTH_CLI_CONTEXT_H
#define BERTH_CLI_CONTEXT_H

#include <sys/stat.h>

#include "base/error.h"
#include "base/str.h"
#include "base/stream.h"

/* A directory that goes into the archive under a name ("" is its top). */
struct context_part {
    const char *directory, *name;
};

/* A readable stream of the directories' tar (owners zeroed), made by a thread of its own while it
 * is read. 'extra_path' (NULL: none) is a file from elsewhere that goes in under 'extra_name'. */
int context_stream(const struct context_part *parts, size_t count, const char *extra_path,
                   const char *extra_name, struct stream **out, struct error *err);

/* The archive of a lone Dockerfile. */
int context_of_dockerfile(const char *text, size_t size, struct str *out, struct error *err);

/* Adds one file, directory (alone) or link, 'file' as seen from 'parent_fd', to an archive under
 * 'name', its owner zeroed. Sockets are passed over. */
struct tar_writer;
int context_add_file(struct tar_writer *writer, int parent_fd, const char *file, const char *name,
                     const struct stat *status, struct error *err);

#endif
