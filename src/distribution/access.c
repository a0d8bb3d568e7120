/* Rules only ever add: their order does not matter. */
#include "distribution/access.h"

#include <string.h>

#include "base/memory.h"
#include "codec/json.h"
#include "distribution/name.h"

#include "base/banned.h"

enum { RULE_LIMIT = 10000 };

static const struct {
    const char *word;
    unsigned int bits;
} words[] = {
    { "pull", 1U << ACTION_PULL },
    { "push", 1U << ACTION_PUSH },
    { "delete", 1U << ACTION_DELETE },
    { "catalog", 1U << ACTION_CATALOG },
    { "*", 1U << ACTION_PULL | 1U << ACTION_PUSH | 1U << ACTION_DELETE | 1U << ACTION_CATALOG },
};

unsigned int action_bits(const char *word)
{
    for (size_t i = 0; word && i < COUNT(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].bits;
    return 0;
}

static int read_texts(const struct json *rule, const char *name, struct strv *out,
                      struct error *err)
{
    const struct json *list = json_get(rule, name);

    if (json_type(list) != JSON_LIST || json_count(list) == 0)
        return error_set(err, ERROR_INVALID, "a rule needs a list of \"%s\"", name);
    for (size_t i = 0; i < json_count(list); i++) {
        const char *text = json_text(json_at(list, i));

        if (!text)
            return error_set(err, ERROR_INVALID, "\"%s\" must be texts", name);
        strv_add(out, text);
    }
    return 0;
}

/* A misspelt member would quietly allow more or less than was meant. */
static int check_members(const struct json *rule, struct error *err)
{
    JSON_EACH (rule, key)
        if (strcmp(key, "users") != 0 && strcmp(key, "repositories") != 0 &&
            strcmp(key, "actions") != 0)
            return error_set(err, ERROR_INVALID, "a rule has no \"%.100s\"", key);
    return 0;
}

static int read_rule(const struct json *value, struct access_rule *out, struct error *err)
{
    CLEANUP(strv_done) struct strv actions = {};

    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "a rule must be an object");
    if (check_members(value, err) < 0 || read_texts(value, "users", &out->users, err) < 0 ||
        read_texts(value, "repositories", &out->repositories, err) < 0 ||
        read_texts(value, "actions", &actions, err) < 0)
        return -1;
    for (size_t i = 0; i < actions.count; i++) {
        unsigned int bits = action_bits(actions.items[i]);

        if (!bits)
            return error_set(err, ERROR_INVALID, "unknown action \"%s\"", actions.items[i]);
        out->actions |= bits;
    }
    return 0;
}

int access_rules_parse(const char *text, size_t size, struct access_rules *out, struct error *err)
{
    CLEANUP(access_rules_done) struct access_rules rules = {};
    CLEANUP(json_free) struct json *root = NULL;

    if (json_parse(text, size, &root, err) < 0)
        return -1;
    const struct json *list = json_get(root, "rules");
    if (json_type(list) != JSON_LIST || json_count(list) > RULE_LIMIT)
        return error_set(err, ERROR_INVALID, "\"rules\" must be a list of at most %d",
                         (int)RULE_LIMIT);
    rules.items = xcalloc(json_count(list) + 1, sizeof(*rules.items));
    for (size_t i = 0; i < json_count(list); i++) {
        rules.count++;
        if (read_rule(json_at(list, i), &rules.items[i], err) < 0)
            return error_context(err, "rule %zu", i + 1);
    }
    *out = rules;
    rules = (struct access_rules){};
    return 0;
}

void access_rules_done(struct access_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        strv_done(&rules->items[i].users);
        strv_done(&rules->items[i].repositories);
    }
    free(rules->items);
    *rules = (struct access_rules){};
}

static bool is_about_user(const struct access_rule *rule, const char *user)
{
    if (strv_contains(&rule->users, "anonymous"))
        return true;
    return user && (strv_contains(&rule->users, "*") || strv_contains(&rule->users, user));
}

static bool is_about_repository(const struct access_rule *rule, const char *repository)
{
    for (size_t i = 0; repository && i < rule->repositories.count; i++)
        if (name_matches(rule->repositories.items[i], repository))
            return true;
    return !repository;
}

bool access_is_allowed(const struct access_rules *rules, const char *user, const char *repository,
                       enum action action)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct access_rule *rule = &rules->items[i];

        if (rule->actions & 1U << action && is_about_user(rule, user) &&
            is_about_repository(rule, repository))
            return true;
    }
    return false;
}
