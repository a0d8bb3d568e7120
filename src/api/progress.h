/* Progress messages (spec/api.md 1.13): one JSON object per line, CRLF behind each, sent at once.
 * The answer begins (200) with the first message; an error before it is an ordinary one. */
#ifndef BERTH_API_PROGRESS_H
#define BERTH_API_PROGRESS_H

#include "api/request.h"

/* Lengths in each are of text that need not end in NUL. Errors of sending are not told: a client
 * that is gone shows as cancellation. */
void progress_stream(struct request *req, const char *text, size_t size); /* {"stream":…} */
void progress_status(struct request *req, const char *status);            /* {"status":…} */
void progress_aux_id(struct request *req, const char *id);                /* {"aux":{"ID":…}} */
/* {"errorDetail":{"code":…,"message":…},"error":…}; code 0 is left out. */
void progress_error(struct request *req, int code, const char *message);

#endif
