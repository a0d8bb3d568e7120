/* What `develop.watch` wants done when a file changes: pure data, nothing is watched here. */
#ifndef BERTH_COMPOSE_WATCH_RULE_H
#define BERTH_COMPOSE_WATCH_RULE_H

#include "base/error.h"
#include "compose/project.h"

enum watch_action {
    WATCH_REBUILD,
    WATCH_RESTART,
    WATCH_SYNC,
    WATCH_SYNC_RESTART,
    WATCH_SYNC_EXEC,
};

struct watch_rule {
    const char *service; /* borrowed from the project, like 'trigger' */
    const struct yaml *trigger;
    enum watch_action action;
    char *path;         /* absolute and clean: a file, or a directory with all below it */
    const char *target; /* its place in the container; NULL for actions that copy nothing */
    struct dockerignore *ignored, *included; /* included NULL: everything */
};

struct watch_rules {
    struct watch_rule *items;
    size_t count;
};
void watch_rules_done(struct watch_rules *rules);
CLEANUP_VALUE(watch_rules_done, struct watch_rules)

/* The rules of the services (none named: of all that have some). INVALID for a rebuild without a
 * build section, for patterns that are wrong, and if there is nothing to watch. Paths that a bind
 * mount shows in the container anyway are left out, and said in 'out_warnings'. */
int watch_rules_read(const struct project *project, const struct strv *services,
                     struct watch_rules *out, struct strv *out_warnings, struct error *err);

/* Is this path (absolute, clean) one that the rule is about? Files of editors, .git, and what
 * `ignore` and the build context's .dockerignore exclude are none. */
bool watch_rule_matches(const struct watch_rule *rule, const char *path);

/* Can nothing below this directory matter to any rule? */
bool watch_rules_skip(const struct watch_rules *rules, const char *directory);

/* The place in the container of a path that matches. Yours. */
char *watch_rule_target(const struct watch_rule *rule, const char *path);

#endif
