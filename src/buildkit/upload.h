/* The builds' end of buildkit_upload. */
#ifndef BERTH_BUILDKIT_UPLOAD_H
#define BERTH_BUILDKIT_UPLOAD_H

#include "buildkit/buildkit.h"

/* Waits for the context of the build named 'ref' (UPLOAD_WAIT_MS at most). The stream is the
 * uploader's until upload_end. NOT_FOUND, CONFLICT, CANCELLED. */
int upload_take(struct buildkit *buildkit, const char *ref, int cancel_fd, struct stream **out,
                struct error *err);
/* Lets the uploader go. */
void upload_end(struct buildkit *buildkit, const char *ref);

#endif
