/* The layers of one image that are not there yet, unpacked side by side by threads of their own.
 * Each becomes known only when the one below it is: what there is of an image is whole from the
 * base up, at any time. The caller looks on and tells the user. */
#ifndef BERTH_REGISTRY_STACK_H
#define BERTH_REGISTRY_STACK_H

#include "registry/install.h"

enum stack_state {
    STACK_WAITING, /* for a thread, or for its bytes */
    STACK_UNPACKING,
    STACK_DONE,
};

struct stack_plan {
    struct install *install;
    size_t first; /* layers below are held already */
    void *data;
    /* The blob of a layer; waits until it is in the store. Called by several threads at once. */
    const char *(*blob)(void *data, size_t index, struct error *err);
    /* So that two images that share a layer do not both unpack it: false while somebody else works
     * on the chain id. NULL: nobody does. */
    bool (*take_turn)(void *data, const char *chain_id);
    void (*end_turn)(void *data, const char *chain_id);
};

struct stack;
struct stack *stack_new(const struct stack_plan *plan);
/* Begins. What fails here fails all of it. */
int stack_start(struct stack *stack, struct error *err);
/* How far a layer is: bytes of its blob. */
enum stack_state stack_look(struct stack *stack, size_t index, int64_t *out_done,
                            int64_t *out_total);
/* Waits until something changes, at most 'timeout_ms'. 1: all layers are there and held; 0: not
 * yet; -1: one of them failed. */
int stack_wait(struct stack *stack, int timeout_ms, struct error *err);
/* True once nothing is to be gone on with: for those who wait in 'blob'. */
bool stack_is_over(struct stack *stack);
/* Stops what is under way and waits for the threads. */
void stack_free(struct stack *stack);
CLEANUP_POINTER(stack_free, struct stack)

#endif
