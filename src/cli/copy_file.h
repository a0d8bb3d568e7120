/* Copies of one large file whose descriptor goes over the engine's unix socket, in place of an
 * archive of it (spec/passed_file.h): reading and writing happens in one process then, by two
 * threads. What comes of it is what the archive would have made. */
#ifndef BERTH_CLI_COPY_FILE_H
#define BERTH_CLI_COPY_FILE_H

#include <stdint.h>

#include "cli/command.h"
#include "cli/copy_local.h"

/* Hands the source to the engine by the request 'path', which gets the file's name added. 1: it was
 * copied and *out_bytes is the size that its archive would have had; 0: nothing was done, an
 * archive has to be sent: it is no large, regular file, or the engine does not know how, or is
 * elsewhere. */
int copy_file_in(struct cli *cli, struct client_path *path, const struct local_end *source,
                 const struct copy_plan *plan, int64_t *out_bytes, struct error *err);

/* Headers by which a request for an archive asks for the file itself instead, if that can be; none
 * for an engine that is elsewhere. Texts. */
void copy_file_ask(struct cli *cli, struct map *out);

/* Whether the answer is the file, or the archive. */
bool copy_file_is_answer(const struct http_response *response);

/* Copies it as planned, under the name that the archive would have given it. The same results as
 * copy_file_in has; 0: the descriptor was lost on its way. */
int copy_file_out(struct http_response *response, const char *name, const struct copy_plan *plan,
                  int64_t *out_bytes, struct error *err);

#endif
