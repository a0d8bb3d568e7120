/* The build cache: what a step on top of an image gave. One row per step, found by a key that
 * covers the image below, the instruction and all that goes into it; the layer itself is the
 * store's, kept alive as long as its row is there. Safe to use from any thread. */
#ifndef BERTH_BUILD_CACHE_H
#define BERTH_BUILD_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"
#include "codec/sha256.h"
#include "record/database.h"

int cache_migrate(struct database *database, struct error *err);

/* ---- keys ---- */

/* A key is the digest of a row of texts. */
struct cache_key;
struct cache_key *cache_key_new(void);
void cache_key_add(struct cache_key *key, const char *text); /* NULL is "" */
void cache_key_add_list(struct cache_key *key, const struct strv *list);
void cache_key_finish(struct cache_key *key, char out[DIGEST_SIZE]);
void cache_key_free(struct cache_key *key);
CLEANUP_POINTER(cache_key_free, struct cache_key)

/* ---- rows ---- */

/* What a step adds to the image below. */
struct cache_entry {
    char state_id[DIGEST_SIZE]; /* names all that the image is after the step */
    char chain_id[DIGEST_SIZE]; /* top layer after it, "" if there are none */
    char diff_id[DIGEST_SIZE];  /* of the layer that it made, "" for none */
    char *created_by, *author;  /* as the history has them; author may be NULL */
    int64_t made_ns;            /* when, as the history says */
};
void cache_entry_done(struct cache_entry *entry);
CLEANUP_VALUE(cache_entry_done, struct cache_entry)

/* 1 and the entry, or 0. */
int cache_find(struct database *database, const char *key, struct cache_entry *out,
               struct error *err);
/* Replaces what the key had. 'size_bytes' is that of the layer which the step made (0: none). */
int cache_put(struct database *database, const char *key, const struct cache_entry *entry,
              int64_t size_bytes, struct error *err);
/* Says that these keys were used now. */
int cache_touch(struct database *database, const struct strv *keys, struct error *err);

bool cache_uses_layer(struct database *database, const char *chain_id);

/* Forgets entries, those unused the longest first, until the layers of the rest take no more than
 * 'limit_bytes'. Adds the keys that went to 'out_keys' (may be NULL), and their bytes to
 * 'out_bytes'. Entries whose layer 'keep' answers true for stay ('keep' may be NULL). */
int cache_trim(struct database *database, int64_t limit_bytes,
               bool (*keep)(void *data, const char *chain_id), void *data, struct strv *out_keys,
               int64_t *out_bytes, struct error *err);

#endif
