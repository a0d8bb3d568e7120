/* Patterns are those of .dockerignore files, relative to the path that is watched. */
#include "compose/watch_rule.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/spot.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define IGNORE_LIMIT ((size_t)1 << 20)

/* What editors and git leave for a moment. */
static const char ephemeral[] = "**/.git\n"
                                "**/*~\n"
                                "**/.*.swp\n"
                                "**/.*.swo\n"
                                "**/.*.swx\n"
                                "**/.*.swpx\n"
                                "**/4913\n"
                                "**/.#*\n"
                                "**/#*#\n"
                                "**/.idea\n"
                                "**/*___jb_tmp___\n"
                                "**/*___jb_old___\n"
                                "**/*.kate-swp\n"
                                "**/.goutputstream-*\n";

void watch_rules_done(struct watch_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        dockerignore_free(rules->items[i].ignored);
        dockerignore_free(rules->items[i].included);
        free(rules->items[i].path);
    }
    free(rules->items);
    *rules = (struct watch_rules){};
}

/* ---- paths ---- */

/* "" for the path itself, "a/b" for one below it, NULL for others. */
static const char *below(const char *root, const char *path)
{
    size_t length = strlen(root);

    if (strcmp(root, "/") == 0)
        return path + 1;
    if (strncmp(path, root, length) != 0 || (path[length] && path[length] != '/'))
        return NULL;
    return path[length] ? path + length + 1 : path + length;
}

bool watch_rule_matches(const struct watch_rule *rule, const char *path)
{
    const char *relative = below(rule->path, path);

    if (!relative)
        return false;
    if (!*relative)
        return true; /* the watched file itself, whatever it is called */
    if (dockerignore_excludes(rule->ignored, relative))
        return false;
    return !rule->included || dockerignore_excludes(rule->included, relative);
}

bool watch_rules_skip(const struct watch_rules *rules, const char *directory)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct watch_rule *rule = &rules->items[i];
        const char *relative = below(rule->path, directory);

        if (below(directory, rule->path))
            return false; /* on the way to it, or the top of it */
        if (relative && (!dockerignore_excludes(rule->ignored, relative) ||
                         dockerignore_has_exceptions(rule->ignored)))
            return false;
    }
    return true;
}

char *watch_rule_target(const struct watch_rule *rule, const char *path)
{
    const char *relative = below(rule->path, path);

    return *relative ? path_join(rule->target, relative) : path_clean(rule->target);
}

/* ---- reading ---- */

static const struct {
    const char *word;
    enum watch_action action;
} actions[] = {
    { "rebuild", WATCH_REBUILD },
    { "restart", WATCH_RESTART },
    { "sync", WATCH_SYNC },
    { "sync+exec", WATCH_SYNC_EXEC },
    { "sync+restart", WATCH_SYNC_RESTART },
};

static void add_lines(struct str *out, const struct yaml *patterns)
{
    for (size_t i = 0; i < yaml_count(patterns); i++)
        str_add_format(out, "%s\n", yaml_text(patterns->items[i]));
}

/* .dockerignore speaks of the build context; its lines count for a rule that begins there. */
static int add_context_ignores(struct str *out, const struct yaml *service, const char *path,
                               struct error *err)
{
    const char *context = yaml_text(yaml_get_path(service, "build", "context"));
    struct error unread = {};
    CLEANUP(free) char *clean = context && context[0] == '/' ? path_clean(context) : NULL;
    if (!clean || strcmp(clean, path) != 0)
        return 0;
    CLEANUP(free) char *file = path_join(context, ".dockerignore");
    if (file_read(file, IGNORE_LIMIT, out, &unread) < 0 && unread.kind != ERROR_NOT_FOUND) {
        *err = unread;
        return -1;
    }
    str_add_char(out, '\n');
    return 0;
}

static int read_patterns(struct watch_rule *rule, const struct yaml *service, struct error *err)
{
    const struct yaml *include = yaml_get(rule->trigger, "include");
    CLEANUP(str_done) struct str ignored = {}, included = {};

    if (add_context_ignores(&ignored, service, rule->path, err) < 0)
        return -1;
    add_lines(&ignored, yaml_get(rule->trigger, "ignore"));
    str_add(&ignored, ephemeral);
    add_lines(&included, include);
    if (dockerignore_parse(str_text(&ignored), &rule->ignored, err) < 0)
        return -1;
    return yaml_count(include) ? dockerignore_parse(str_text(&included), &rule->included, err) : 0;
}

/* A bind mount shows changes by itself. */
static bool is_mounted(const struct yaml *service, const char *path)
{
    const struct yaml *mounts = yaml_get(service, "volumes");

    for (size_t i = 0; i < yaml_count(mounts); i++) {
        const char *source = yaml_text(yaml_get(mounts->items[i], "source"));

        if (!source || !text_equal(yaml_text(yaml_get(mounts->items[i], "type")), "bind"))
            continue;
        CLEANUP(free) char *clean = path_clean(source);
        if (below(clean, path))
            return true;
    }
    return false;
}

static int read_rule(const char *name, const struct yaml *service, const struct yaml *trigger,
                     struct watch_rules *out, struct strv *warnings, struct error *err)
{
    struct watch_rule rule = { .service = name,
                               .trigger = trigger,
                               .target = yaml_text(yaml_get(trigger, "target")) };
    const char *word = yaml_text(yaml_get(trigger, "action"));

    for (size_t i = 0; i < COUNT(actions); i++)
        if (text_equal(word, actions[i].word))
            rule.action = actions[i].action;
    if (rule.action == WATCH_REBUILD && yaml_is_null(yaml_get(service, "build"))) {
        error_set(err, ERROR_INVALID,
                  "can't watch service \"%s\" with action rebuild: it has no build section", name);
        return spot_place(NULL, trigger, NULL, err);
    }
    CLEANUP(free) char *path = path_clean(yaml_text(yaml_get(trigger, "path")));
    if (rule.action != WATCH_REBUILD && is_mounted(service, path)) {
        strv_add_format(warnings,
                        "path '%s' is shown by a bind mount of service \"%s\" as well; it is not "
                        "watched",
                        path, name);
        return 0;
    }
    rule.path = TAKE(path);
    int result = read_patterns(&rule, service, err);
    out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
    out->items[out->count++] = rule;
    return result < 0 ? error_context(err, "service \"%s\": develop.watch", name) : 0;
}

int watch_rules_read(const struct project *project, const struct strv *services,
                     struct watch_rules *out, struct strv *out_warnings, struct error *err)
{
    const struct yaml *all = yaml_get(project->model, "services");
    CLEANUP(watch_rules_done) struct watch_rules rules = {};
    bool has_section = false;

    for (size_t i = 0; i < yaml_count(all); i++) {
        const struct yaml *triggers = yaml_get_path(all->items[i], "develop", "watch");

        if (services->count && !strv_contains(services, all->keys[i]))
            continue;
        has_section |= yaml_count(triggers) > 0;
        for (size_t j = 0; j < yaml_count(triggers); j++)
            if (read_rule(all->keys[i], all->items[i], triggers->items[j], &rules, out_warnings,
                          err) < 0)
                return -1;
    }
    if (!has_section)
        return error_set(err, ERROR_INVALID,
                         "none of the selected services says what to watch: give one a `develop` "
                         "section with `watch`");
    *out = rules;
    rules = (struct watch_rules){};
    return 0;
}
