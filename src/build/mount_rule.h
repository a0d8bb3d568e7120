/* RUN --mount: one flag as data. Pure: nothing is looked up. */
#ifndef BERTH_BUILD_MOUNT_RULE_H
#define BERTH_BUILD_MOUNT_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "build/expand.h"

enum mount_type { MOUNT_BIND, MOUNT_CACHE, MOUNT_TMPFS, MOUNT_SECRET, MOUNT_SSH };
enum mount_sharing { SHARING_SHARED, SHARING_PRIVATE, SHARING_LOCKED };

struct mount_rule {
    enum mount_type type;
    enum mount_sharing sharing;
    char *target; /* as written; NULL: secret and ssh without one */
    char *source, *from, *id, *environment_name;
    bool is_writable, is_required;
    bool is_mode_given;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t size_bytes; /* of a tmpfs, 0: the kernel's default */
};
void mount_rule_done(struct mount_rule *rule);
CLEANUP_VALUE(mount_rule_done, struct mount_rule)

/* A secret or an agent: what is there for the step only. */
bool mount_rule_is_hidden(const struct mount_rule *rule);

/* Reads "type=cache,target=/x,…" with variables in the values of target, source, from, id and the
 * numbers. INVALID. */
int mount_rule_read(const char *text, const struct expander *expander, struct mount_rule *out,
                    struct error *err);

#endif
