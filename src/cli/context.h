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
 * is read. 'extra' is a file that goes in last, under 'extra_name' (NULL: there is none). */
int context_stream(const struct context_part *parts, size_t count, const struct str *extra,
                   const char *extra_name, struct stream **out, struct error *err);

/* Why 'path' could not be opened as a context, by errno. */
int context_no_directory(const char *path, struct error *err);

/* The archive of a lone Dockerfile. */
int context_of_dockerfile(const struct str *text, struct str *out, struct error *err);

/* Adds one file, directory (alone) or link, 'file' as seen from 'parent_fd', to an archive under
 * 'name', its owner zeroed. Sockets are passed over. */
struct tar_writer;
int context_add_file(struct tar_writer *writer, int parent_fd, const char *file, const char *name,
                     const struct stat *status, struct error *err);

#endif
