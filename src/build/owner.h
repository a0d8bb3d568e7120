/* --chown and --chmod. */
#ifndef BERTH_BUILD_OWNER_H
#define BERTH_BUILD_OWNER_H

#include <sys/types.h>

#include "base/error.h"

/* "[user][:group]", names or numbers; names are looked up in etc/passwd and etc/group below
 * 'root_fd'. No user is root; without a group it is that of the user's line in etc/passwd, or the
 * one of the user's number. INVALID "can't find gid for group x: no such group: x". */
int owner_parse(const char *text, int root_fd, uid_t *out_uid, gid_t *out_gid, struct error *err);

/* Checks the text of --chmod: octal ("0644") or symbolic ("u+x,go=rX"). INVALID. */
int mode_check(const char *text, struct error *err);
/* The permission bits of a file of mode 'mode' (with its type) after a checked change. */
mode_t mode_apply(const char *text, mode_t mode);

#endif
