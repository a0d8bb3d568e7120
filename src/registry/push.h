/* What the files of a push share: an image on its way to one repository. */
#ifndef BERTH_REGISTRY_PUSH_H
#define BERTH_REGISTRY_PUSH_H

#include <stdatomic.h>

#include "registry/attest.h"
#include "registry/internal.h"
#include "store/store.h"

enum { LAYER_ID_LENGTH = 12 };

enum layer_form {
    LAYER_BLOB,   /* kept: sent as it is */
    LAYER_PLAIN,  /* written anew from its files */
    LAYER_GZIP,   /* compressed anew */
    LAYER_REMOTE, /* only the registry can have it */
};

struct push_layer {
    char id[LAYER_ID_LENGTH + 1]; /* as users see it */
    char chain_id[DIGEST_TEXT_SIZE], diff_id[DIGEST_TEXT_SIZE];
    enum layer_form form;
    bool has_digest; /* before it is made */
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;
};

struct push {
    struct registry *registry;
    const struct reference *reference;
    const struct image *image;
    const struct strv *sources;
    const struct registry_watcher *watcher;
    struct session *session;
    struct push_layer *layers;
    size_t count;
    struct str manifest; /* that it came with; empty: one is made */
    char *manifest_type;
    struct attestations attestations; /* that go along */
    struct json_writer *index;        /* that lists the image among others; NULL: it is alone */
    struct mutex lock;
    size_t next GUARDED_BY(lock); /* layer to be taken by a thread */
    struct error failure GUARDED_BY(lock);
    atomic_bool is_over;       /* one failed: the others stop */
    atomic_bool lacks_a_layer; /* that the manifest names, and nobody has any more */
    struct push_result *result;
};

/* ---- deciding (push_plan.c) ---- */

/* Fills in the layers' names. */
void push_name_layers(struct push *push);
/* Plans to send the manifest that the image came with. False: it came with none. */
bool push_plan_original(struct push *push);
/* Plans to make a manifest. */
int push_plan_own(struct push *push, struct error *err);

/* ---- doing (push_layer.c) ---- */

/* Sends what the registry lacks, several side by side. After it all layers have digests and sizes.
 */
int push_layers(struct push *push, struct error *err);
void push_tell(struct push *push, const struct push_layer *layer, const char *status);
bool push_is_cancelled(struct push *push);

#endif
