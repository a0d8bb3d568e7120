/* Who a process of a container is, by the container's own /etc/passwd and /etc/group. */
#ifndef BERTH_RUNTIME_USER_H
#define BERTH_RUNTIME_USER_H

#include <sys/types.h>

#include "base/error.h"
#include "spec/runtime_config.h"

struct user_identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* the first is 'gid' itself when the files were asked */
    size_t group_count;
    char *home; /* never NULL after success */
};

/* Looks up 'user' in the texts of the two files (NULL or "": absent). With a username
 * ("user[:group]", numbers too; "" is root) Docker's rules hold: a name must be in passwd; its
 * supplementary groups come from group unless a group was named; additional_groups are added.
 * Without one uid, gid and additional_gids are taken as they are, and passwd says only where home
 * is. INVALID: "unable to find user x: no matching entries in passwd file" and the like. */
int user_resolve(const struct runtime_user *user, const char *passwd, const char *group,
                 struct user_identity *out, struct error *err);

/* The same with the files below a root directory, which may be missing. */
int user_look_up(int root_fd, const struct runtime_user *user, struct user_identity *out,
                 struct error *err);

void user_identity_done(struct user_identity *identity);
CLEANUP_VALUE(user_identity_done, struct user_identity)

#endif
