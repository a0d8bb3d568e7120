/* Whoever lends a build its secrets and agents: a client that keeps a connection open for it. What
 * the build made for the client's outputs alone, and what it brought as a cache, stays as long as
 * that connection does.
 * Values are in memory only, and gone with the connection. A connection to an agent of the client's
 * is asked for over that connection, under a word that no other knows, and comes as one of its own.
 */
#ifndef BERTH_ENGINE_BUILD_LENDER_H
#define BERTH_ENGINE_BUILD_LENDER_H

#include "base/map.h"
#include "base/strv.h"
#include "build/secrets.h"
#include "engine/engine.h"

struct build_lender;
struct build_lenders;

struct build_lenders *build_lenders_new(void);
void build_lenders_free(struct build_lenders *lenders); /* when no lender is left; NULL is fine */

/* A lender of these things, under an id of its own: 'secrets' are texts in base64 by id (decoded
 * here), 'agents' are names. INVALID. */
int engine_build_lender_open(struct engine *engine, const struct map *secrets,
                             const struct strv *agents, struct build_lender **out,
                             struct error *err);
const char *build_lender_id(const struct build_lender *lender);
/* The client is gone: nothing is lent any more. Drops the reference that open gave. */
void engine_build_lender_close(struct engine *engine, struct build_lender *lender);

/* By id; the caller gets a reference. NOT_FOUND. */
int engine_build_lender_find(struct engine *engine, const char *id, struct build_lender **out,
                             struct error *err);
void build_lender_unref(struct build_lender *lender);
CLEANUP_POINTER(build_lender_unref, struct build_lender)

/* An image that is held (build_options.holds_image, engine_build_cache_read): it is let go of when
 * the lender closes, at once if it is closed. */
void build_lender_take_image(struct build_lender *lender, const char *image_id);

/* What the builder asks; borrows the lender. */
struct build_secrets build_lender_secrets(struct build_lender *lender);

/* ---- the connection's side ---- */

/* Readable when build_lender_next has something. */
int build_lender_wake_fd(const struct build_lender *lender);
/* The next connection that is wanted: 1, its agent (yours) and its word; or 0. */
int build_lender_next(struct build_lender *lender, char **out_agent, char out_word[65]);
/* The connection under this word: a socket (taken, also when it fails). NOT_FOUND if nobody waits
 * for it (any more). */
int engine_build_lender_bring(struct engine *engine, const char *word, int fd, struct error *err);

#endif
