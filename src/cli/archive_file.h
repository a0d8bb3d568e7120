/* An archive that comes from the engine goes to a file, or to stdout. */
#ifndef BERTH_CLI_ARCHIVE_FILE_H
#define BERTH_CLI_ARCHIVE_FILE_H

#include "base/error.h"
#include "client/client.h"

/* Asks with GET and writes the answer's body to 'output'; NULL or "": stdout. 'what' stands in
 * errors ("failed to save image: …"). INVALID, before anything is asked, if that would fill a
 * terminal with bytes, or cannot be a file. A file gets its name when it is whole; what is there
 * and no plain file (a device, a pipe) is written to as it is. */
int archive_file_receive(struct client *client, const struct client_path *path, const char *output,
                         const char *what, struct error *err);

#endif
