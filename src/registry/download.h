/* Blobs that are being downloaded, for all pulls together: so many at a time, and each blob once,
 * however many pulls wait for it. A download goes on until nobody waits for it any more. */
#ifndef BERTH_REGISTRY_DOWNLOAD_H
#define BERTH_REGISTRY_DOWNLOAD_H

#include "registry/auth.h"

struct downloads;
struct downloads *downloads_new(struct store *store, int limit);
void downloads_free(struct downloads *downloads); /* cancels and waits */

enum download_state {
    DOWNLOAD_WAITING, /* for its turn */
    DOWNLOAD_RUNNING,
    DOWNLOAD_VERIFYING,
    DOWNLOAD_DONE,
    DOWNLOAD_FAILED,
};
struct download;
/* Begins it, or joins the one that is under way. The blob stays claimed while somebody holds the
 * download. */
int download_start(struct downloads *downloads, struct session *session,
                   const struct descriptor *descriptor, struct download **out, struct error *err);
/* How far it is; 'err' (may be NULL) is filled if it failed. */
enum download_state download_look(struct download *download, int64_t *out_received,
                                  struct error *err);
/* Waits until something changes, at most 'timeout_ms'. */
void downloads_wait(struct downloads *downloads, int timeout_ms);
void download_leave(struct download *download); /* NULL is fine */

/* One thread at a time works on a key (a layer that is being unpacked). False: somebody else does.
 */
bool downloads_take_turn(struct downloads *downloads, const char *key);
void downloads_end_turn(struct downloads *downloads, const char *key);

#endif
