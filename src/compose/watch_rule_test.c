#include "compose/watch_rule.h"

#include <criterion/criterion.h>

#include "codec/yaml.h"

static struct project project_of(const char *text)
{
    struct project project = {};
    struct yaml *documents = NULL;
    struct error err = {};

    cr_assert_eq(yaml_parse(text, strlen(text), "f", &documents, &err), 0, "%s", err.text);
    project.model = yaml_clone(documents->items[0]);
    yaml_drop(documents);
    return project;
}

static const char text[] = "services:\n"
                           "  a:\n"
                           "    build: {context: /p}\n"
                           "    volumes: [{type: bind, source: /p/shown, target: /shown}]\n"
                           "    develop:\n"
                           "      watch:\n"
                           "        - {path: /p/src, action: sync, target: /app, ignore: "
                           "[node_modules, '*.log', '!keep.log']}\n"
                           "        - {path: /p/src, action: sync+restart, target: /only, include: "
                           "['**/*.py']}\n"
                           "        - {path: /p/one.conf, action: restart}\n"
                           "        - {path: /p/shown/x, action: sync, target: /x}\n"
                           "        - {path: /p/package.json, action: rebuild}\n"
                           "  b: {image: x}\n";

static const struct {
    const char *path;
    int matches; /* a bit for each rule */
} cases[] = {
    { "/p/src", 3 },
    { "/p/src/index.js", 1 },
    { "/p/src/deep/er/main.py", 3 },
    { "/p/src/node_modules/x.js", 0 },
    { "/p/src/node_modules", 0 },
    { "/p/src/my.log", 0 },
    { "/p/src/keep.log", 1 },
    { "/p/src/.index.js.swp", 0 },
    { "/p/src/.git/HEAD", 0 },
    { "/p/src/.gitignore", 1 },
    { "/p/srcs", 0 },
    { "/p/one.conf", 4 },
    { "/p/one.conf2", 0 },
    { "/p/package.json", 8 },
    { "/p", 0 },
};

Test(watch_rule, knows_what_each_rule_is_about)
{
    CLEANUP(project_done) struct project project = project_of(text);
    CLEANUP(watch_rules_done) struct watch_rules rules = {};
    CLEANUP(strv_done) struct strv warnings = {};
    struct strv none = {};
    struct error err = {};

    cr_assert_eq(watch_rules_read(&project, &none, &rules, &warnings, &err), 0, "%s", err.text);
    cr_assert_eq(rules.count, 4);
    cr_expect_eq(warnings.count, 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int matches = 0;

        for (size_t j = 0; j < rules.count; j++)
            matches |= watch_rule_matches(&rules.items[j], cases[i].path) << j;
        cr_expect_eq(matches, cases[i].matches, "%s: %d", cases[i].path, matches);
    }
    CLEANUP(free) char *target = watch_rule_target(&rules.items[0], "/p/src/a/b");
    cr_expect_str_eq(target, "/app/a/b");
    cr_expect_not(watch_rules_skip(&rules, "/p"));
    cr_expect_not(watch_rules_skip(&rules, "/p/src/deep"));
    cr_expect(watch_rules_skip(&rules, "/p/other"));
}

static const struct {
    const char *text, *words;
} wrong[] = {
    { "services: {a: {image: x}}", "none of the selected services says what to watch" },
    { "services: {a: {image: x, develop: {watch: [{path: /p, action: rebuild}]}}}",
      "it has no build section" },
    { "services: {a: {image: x, develop: {watch: [{path: /p, action: sync, target: /t, ignore: "
      "['[']}]}}}",
      "service \"a\": develop.watch" },
};

Test(watch_rule, refuses_what_cannot_be_watched)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(project_done) struct project project = project_of(wrong[i].text);
        CLEANUP(watch_rules_done) struct watch_rules rules = {};
        CLEANUP(strv_done) struct strv warnings = {};
        struct strv none = {};
        struct error err = {};

        cr_assert_eq(watch_rules_read(&project, &none, &rules, &warnings, &err), -1, "%s",
                     wrong[i].text);
        cr_expect(strstr(err.text, wrong[i].words), "%s", err.text);
    }
}
