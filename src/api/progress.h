/* Progress messages (spec/api.md 1.13): one JSON object per line, CRLF behind each, sent at once.
 * The answer begins (200) with the first message; an error before it is an ordinary one. */
#ifndef BERTH_API_PROGRESS_H
#define BERTH_API_PROGRESS_H

#include "api/request.h"

/* Lengths in each are of text that need not end in NUL. Errors of sending are not told: a client
 * that is gone shows as cancellation. */
void progress_stream(struct request *req, const char *text, size_t size); /* {"stream":…} */
void progress_status(struct request *req, const char *status);            /* {"status":…} */
/* The same of one layer: {"status":…,"progressDetail":{},"id":…}. */
void progress_of(struct request *req, const char *id, const char *status);
/* With numbers, and a bar for clients that show text only. 'total' 0: not known. */
void progress_amount(struct request *req, const char *id, const char *status, int64_t current,
                     int64_t total);
/* {"status":…,"id":…} */
void progress_head(struct request *req, const char *id, const char *status);
void progress_aux_id(struct request *req, const char *id); /* {"aux":{"ID":…}} */
/* {"aux":{<name>:[…]}} */
void progress_aux_list(struct request *req, const char *name, const struct strv *list);
void progress_aux_push(struct request *req, const char *tag, const char *digest, int64_t size);
/* {"errorDetail":{"code":…,"message":…},"error":…}; code 0 is left out. */
void progress_error(struct request *req, int code, const char *message);

/* A whole message that the caller has written. */
void progress_raw(struct request *req, struct str *message);

/* Tells the client of what happens between the engine and a registry. */
struct registry_watcher;
struct registry_watcher registry_progress(struct request *req);

#endif
