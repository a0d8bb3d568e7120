/* images --tree: names, and below them what an index has for each platform. */
#ifndef BERTH_CLI_IMAGE_TREE_H
#define BERTH_CLI_IMAGE_TREE_H

#include "base/error.h"
#include "base/strv.h"
#include "client/client.h"

/* Prints the images that fit. 'is_all': images without a name too. */
int image_tree_print(struct client *client, const struct strv *filters, bool is_all,
                     struct error *err);

#endif
