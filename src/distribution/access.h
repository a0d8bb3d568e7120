/* Who may do what in which repository: rules of a file, each of which allows something. Pure. */
#ifndef BERTH_DISTRIBUTION_ACCESS_H
#define BERTH_DISTRIBUTION_ACCESS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strv.h"

enum action { ACTION_NONE, ACTION_PULL, ACTION_PUSH, ACTION_DELETE, ACTION_CATALOG };

/* "pull", "push", "delete", "catalog", "*" as a set of bits (1 << action); 0 for other words and
 * NULL. */
unsigned int action_bits(const char *word);

struct access_rule {
    struct strv users;        /* names; "*": all who are known; "anonymous": everybody */
    struct strv repositories; /* patterns of name_matches */
    unsigned int actions;
};

struct access_rules {
    struct access_rule *items;
    size_t count;
};

/* {"rules":[{"users":[…],"repositories":[…],"actions":[…]}]} */
int access_rules_parse(const char *text, size_t size, struct access_rules *out, struct error *err);
void access_rules_done(struct access_rules *rules);
CLEANUP_VALUE(access_rules_done, struct access_rules)

/* 'user' NULL: not known. The catalog is of no repository: NULL. */
bool access_is_allowed(const struct access_rules *rules, const char *user, const char *repository,
                       enum action action);

#endif
