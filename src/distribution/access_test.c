#include "distribution/access.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/macros.h"

#include "base/banned.h"

static const char rules_text[] =
    "{\"rules\":["
    "{\"users\":[\"anonymous\"],\"repositories\":[\"public/**\"],\"actions\":[\"pull\"]},"
    "{\"users\":[\"*\"],\"repositories\":[\"shared/*\"],\"actions\":[\"pull\",\"push\"]},"
    "{\"users\":[\"alice\",\"bob\"],\"repositories\":[\"team/app\"],\"actions\":[\"*\"]}]}";

static const struct {
    const char *user, *repository;
    enum action action;
    bool is_allowed;
} cases[] = {
    { NULL, "public/a/b", ACTION_PULL, true },     { "alice", "public/a", ACTION_PULL, true },
    { NULL, "public/a", ACTION_PUSH, false },      { NULL, "shared/a", ACTION_PULL, false },
    { "carol", "shared/a", ACTION_PUSH, true },    { "carol", "shared/a/b", ACTION_PUSH, false },
    { "carol", "shared/a", ACTION_DELETE, false }, { "bob", "team/app", ACTION_DELETE, true },
    { "carol", "team/app", ACTION_PULL, false },   { "bob", NULL, ACTION_CATALOG, true },
    { "carol", NULL, ACTION_CATALOG, false },      { "*", "team/app", ACTION_PULL, false },
};

Test(access, is_what_a_rule_allows)
{
    CLEANUP(access_rules_done) struct access_rules rules = {};
    struct error err = {};

    cr_assert_eq(access_rules_parse(rules_text, strlen(rules_text), &rules, &err), 0, "%s",
                 err.text);
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(access_is_allowed(&rules, cases[i].user, cases[i].repository, cases[i].action),
                     cases[i].is_allowed, "%s on %s", cases[i].user, cases[i].repository);
}

static const char *const wrong[] = {
    "",
    "{}",
    "{\"rules\":{}}",
    "{\"rules\":[1]}",
    "{\"rules\":[{}]}",
    "{\"rules\":[{\"users\":[],\"repositories\":[\"a\"],\"actions\":[\"pull\"]}]}",
    "{\"rules\":[{\"users\":[1],\"repositories\":[\"a\"],\"actions\":[\"pull\"]}]}",
    "{\"rules\":[{\"users\":[\"a\"],\"repositories\":[\"a\"],\"actions\":[\"fly\"]}]}",
    "{\"rules\":[{\"users\":[\"a\"],\"repositories\":[\"a\"],\"actions\":[\"pull\"],\"user\":1}]}",
};

Test(access, needs_whole_rules)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(access_rules_done) struct access_rules rules = {};
        struct error err = {};

        cr_expect_eq(access_rules_parse(wrong[i], strlen(wrong[i]), &rules, &err), -1, "%s",
                     wrong[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}
