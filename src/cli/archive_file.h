/* An archive that comes from the engine goes to a file, or to stdout. */
#ifndef BERTH_CLI_ARCHIVE_FILE_H
#define BERTH_CLI_ARCHIVE_FILE_H

#include "base/error.h"
#include "http/client.h"

/* INVALID if that would fill a terminal with bytes, or cannot be a file. 'path' NULL or "": stdout.
 * 'what' stands in errors ("failed to save image: …"). */
int archive_file_check(const char *path, const char *what, struct error *err);

/* Writes the answer's body. A file gets its name when it is whole; what is there and no plain file
 * (a device, a pipe) is written to as it is. */
int archive_file_write(struct http_response *response, const char *path, const char *what,
                       struct error *err);

#endif
