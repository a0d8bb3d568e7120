/* Forcing a tree to disk. */
#ifndef BERTH_LINUX_TREE_SYNC_H
#define BERTH_LINUX_TREE_SYNC_H

#include "base/error.h"

/* All below 'root_fd', and the directory itself, is on disk when this returns: names, content and
 * attributes. The quickest way is to have the whole file system written, unless the host has much
 * else to write (docs/decisions/0043): then each file is waited for by itself. */
int tree_sync(int root_fd, struct error *err);

/* Each file by itself, several at a time: file systems write what came in together at once. What
 * vanishes meanwhile is passed over. */
int tree_sync_each(int root_fd, struct error *err);

#endif
