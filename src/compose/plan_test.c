/* Plans as lists of lines: "<step> [after <steps>]", by their places in the list. */
#include "compose/plan.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/canonical.h"
#include "compose/field.h"
#include "compose/label.h"
#include "compose/load.h"

#include "base/banned.h"

/* A project without files, environment or engine. */
static void make_project(const char *text, struct project *out)
{
    CLEANUP(yaml_drop) struct yaml *documents = NULL;
    struct project_options options = { .no_env_resolution = true };
    struct loader loader = { .project = out,
                             .options = &options,
                             .environment = &out->environment };
    struct error err = {};

    out->name = xstrdup("p");
    out->separator = '-';
    cr_assert_eq(yaml_parse(text, strlen(text), "file", &documents, &err), 0, "%s: %s", text,
                 err.text);
    cr_assert_eq(field_apply(&field_file, documents->items[0], NULL, &err), 0, "%s", err.text);
    out->model = yaml_clone(documents->items[0]);
    cr_assert_eq(normalize(&loader, &err), 0, "%s", err.text);
    normalize_profiles(out, &options);
    cr_assert_eq(check_project(out, &err), 0, "%s", err.text);
    field_order(&field_file, out->model);
}

/* Every step's turn comes. */
static void check_ends(const struct plan *plan)
{
    CLEANUP(free) bool *done = xcalloc(plan->count + 1, sizeof(*done));
    size_t count = 0;

    for (bool is_moving = true; is_moving;) {
        is_moving = false;
        for (size_t i = 0; i < plan->count; i++) {
            bool is_ready = !done[i];

            for (size_t j = 0; j < plan->steps[i].after_count; j++)
                is_ready = is_ready && done[plan->steps[i].after[j]];
            if (!is_ready)
                continue;
            done[i] = is_moving = true;
            count++;
        }
    }
    cr_assert_eq(count, plan->count);
}

static char *plan_text(const struct plan *plan)
{
    struct str out = {};

    check_ends(plan);
    for (size_t i = 0; i < plan->count; i++) {
        CLEANUP(free) char *line = step_text(&plan->steps[i]);

        str_add(&out, line);
        for (size_t j = 0; j < plan->steps[i].after_count; j++) {
            cr_assert_lt(plan->steps[i].after[j], plan->count);
            str_add_format(&out, "%s%zu", j ? "," : " < ", plan->steps[i].after[j]);
        }
        str_add_char(&out, '\n');
    }
    return str_take(&out);
}

static const struct {
    const char *file, *steps;
} fresh[] = {
    { "services: {a: {image: x}}", "create network p_default\n"
                                   "create container p-a-1 < 0\n"
                                   "wait for all  < 0,1\n"
                                   "start container p-a-1 < 1,2\n" },
    { "services: {a: {image: x, scale: 2}}", "create network p_default\n"
                                             "create container p-a-1 < 0\n"
                                             "create container p-a-2 < 0\n"
                                             "wait for all  < 0,1,2\n"
                                             "start container p-a-1 < 1,3\n"
                                             "start container p-a-2 < 2,3\n" },
    { "services: {a: {image: x, scale: 0}}", "create network p_default\n"
                                             "wait for all  < 0\n" },
    { "services: {a: {image: x, network_mode: none, depends_on: [b]},"
      " b: {image: x, network_mode: none}}",
      "create container p-b-1\n"
      "create container p-a-1\n"
      "wait for all  < 0,1\n"
      "start container p-b-1 < 0,2\n"
      "start container p-a-1 < 1,2,3\n" },
    { "services: {a: {image: x, network_mode: none, depends_on: {b: {condition: service_healthy}}},"
      " b: {image: x, network_mode: none}}",
      "create container p-b-1\n"
      "create container p-a-1\n"
      "wait for all  < 0,1\n"
      "start container p-b-1 < 0,2\n"
      "start container p-a-1 < 1,2,5\n"
      "wait for b to be service_healthy < 3\n" },
    { "services: {a: {image: x, network_mode: none, volumes: ['vol:/v']}}\nvolumes: {vol: {}}",
      "create volume p_vol\n"
      "create container p-a-1 < 0\n"
      "wait for all  < 0,1\n"
      "start container p-a-1 < 1,2\n" },
    { "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {external: true}}",
      "create container p-a-1\n"
      "wait for all  < 0\n"
      "start container p-a-1 < 0,1\n" },
};

Test(plan_up, makes_what_is_not_there)
{
    for (size_t i = 0; i < COUNT(fresh); i++) {
        CLEANUP(project_done) struct project project = {};
        CLEANUP(plan_done) struct plan plan = {};
        CLEANUP(strv_done) struct strv warnings = {};
        struct actual nothing = {};
        struct plan_options options = {};

        make_project(fresh[i].file, &project);
        plan_up(&project, &nothing, &options, &plan, &warnings);
        CLEANUP(free) char *text = plan_text(&plan);
        cr_expect_str_eq(text, fresh[i].steps, "%s:\n%s", fresh[i].file, text);
        cr_expect_eq(warnings.count, 0);
    }
}

/* ---- beside what is there ---- */

static const char two_services[] =
    "services: {a: {image: x, network_mode: none, depends_on: {b: {condition: service_started,"
    " restart: true}}}, b: {image: x, network_mode: none}}";

enum { OPTION_FORCE = 1, OPTION_KEEP = 2, OPTION_ORPHANS = 4, OPTION_NO_START = 8 };

static const struct {
    const char *what;
    const char *a_state, *b_state; /* NULL: not there */
    bool a_differs, b_differs, has_orphan;
    int options;
    const char *steps;
    size_t warnings;
} later[] = {
    { "as it should be", "running", "running", false, false, false, 0,
      "keep container p-b-1\n"
      "keep container p-a-1\n"
      "wait for all  < 0,1\n",
      0 },
    { "stopped", "exited", "running", false, false, false, 0,
      "keep container p-b-1\n"
      "wait for all  < 0\n"
      "start container p-a-1 < 1\n",
      0 },
    { "half of it", NULL, "running", false, false, false, 0,
      "keep container p-b-1\n"
      "create container p-a-1\n"
      "wait for all  < 0,1\n"
      "start container p-a-1 < 1,2\n",
      0 },
    { "dependant differs", "running", "running", true, false, false, 0,
      "keep container p-b-1\n"
      "recreate container p-a-1\n"
      "wait for all  < 0,1\n"
      "start container p-a-1 < 1,2\n",
      0 },
    { "dependency differs", "running", "running", false, true, false, 0,
      "recreate container p-b-1\n"
      "keep container p-a-1\n"
      "wait for all  < 0,1\n"
      "start container p-b-1 < 0,2\n"
      "restart container p-a-1 < 1,2,3\n",
      0 },
    { "differs, but is kept", "running", "running", true, true, false, OPTION_KEEP,
      "keep container p-b-1\n"
      "keep container p-a-1\n"
      "wait for all  < 0,1\n",
      0 },
    { "forced", "running", "running", false, false, false, OPTION_FORCE,
      "recreate container p-b-1\n"
      "recreate container p-a-1\n"
      "wait for all  < 0,1\n"
      "start container p-b-1 < 0,2\n"
      "start container p-a-1 < 1,2,3\n",
      0 },
    { "not started", NULL, NULL, false, false, false, OPTION_NO_START,
      "create container p-b-1\n"
      "create container p-a-1\n",
      0 },
    { "orphan", "running", "running", false, false, true, 0,
      "keep container p-b-1\n"
      "keep container p-a-1\n"
      "wait for all  < 0,1\n",
      1 },
    { "orphan removed", "running", "running", false, false, true, OPTION_ORPHANS,
      "stop container p-o-1\n"
      "remove container p-o-1 < 0\n"
      "keep container p-b-1\n"
      "keep container p-a-1\n"
      "wait for all  < 0,1,2,3\n",
      0 },
};

struct engine {
    struct actual_container containers[3];
    char hashes[2][CONFIG_HASH_SIZE];
    struct actual actual;
};

static void add_container(struct engine *engine, const char *service, const char *state,
                          const char *hash, const char *dependencies)
{
    static const char *const ids[] = { "id0", "id1", "id2" };
    static const char *const names[] = { "p-a-1", "p-b-1", "p-o-1" };

    engine->containers[engine->actual.count] = (struct actual_container){
        .id = ids[engine->actual.count],
        .name = names[*service == 'o' ? 2 : *service - 'a'],
        .service = service,
        .hash = hash,
        .state = state,
        .dependencies = dependencies,
        .number = 1,
    };
    engine->actual.count++;
    engine->actual.containers = engine->containers;
}

Test(plan_up, changes_what_differs)
{
    for (size_t i = 0; i < COUNT(later); i++) {
        CLEANUP(project_done) struct project project = {};
        CLEANUP(plan_done) struct plan plan = {};
        CLEANUP(strv_done) struct strv warnings = {};
        struct engine engine = {};
        struct plan_options options = { .force_recreate = later[i].options & OPTION_FORCE,
                                        .no_recreate = later[i].options & OPTION_KEEP,
                                        .remove_orphans = later[i].options & OPTION_ORPHANS,
                                        .no_start = later[i].options & OPTION_NO_START };

        make_project(two_services, &project);
        canonical_service_hash(project_service(&project, "a"), NULL, NULL, engine.hashes[0]);
        canonical_service_hash(project_service(&project, "b"), NULL, NULL, engine.hashes[1]);
        if (later[i].a_state)
            add_container(&engine, "a", later[i].a_state,
                          later[i].a_differs ? "other" : engine.hashes[0],
                          "b:service_started:true");
        if (later[i].b_state)
            add_container(&engine, "b", later[i].b_state,
                          later[i].b_differs ? "other" : engine.hashes[1], "");
        if (later[i].has_orphan)
            add_container(&engine, "o", "running", "other", "");
        plan_up(&project, &engine.actual, &options, &plan, &warnings);
        CLEANUP(free) char *text = plan_text(&plan);
        cr_expect_str_eq(text, later[i].steps, "%s:\n%s", later[i].what, text);
        cr_expect_eq(warnings.count, later[i].warnings, "%s", later[i].what);
    }
}

/* What a run leaves that ends in the middle of a replacement. */
static const struct {
    const char *what;
    bool has_old;
    const char *state, *steps;
} halves[] = {
    { "the old one is there: the new one goes, and all begins anew", true, "created",
      "remove container 123_p-a-1\n"
      "recreate container p-a-1 < 0\n"
      "wait for all  < 0,1\n"
      "start container p-a-1 < 1,2\n" },
    { "only the new one is there: it gets its name", false, "created",
      "name container p-a-1\n"
      "wait for all  < 0\n"
      "start container p-a-1 < 0,1\n" },
    { "somebody started it", false, "running",
      "name container p-a-1\n"
      "keep container p-a-1 < 0\n"
      "wait for all  < 0,1\n" },
};

Test(plan_up, ends_what_was_begun)
{
    for (size_t i = 0; i < COUNT(halves); i++) {
        CLEANUP(project_done) struct project project = {};
        CLEANUP(plan_done) struct plan plan = {};
        CLEANUP(strv_done) struct strv warnings = {};
        struct engine engine = {};
        struct plan_options options = {};

        make_project("services: {a: {image: x, network_mode: none}}", &project);
        canonical_service_hash(project_service(&project, "a"), NULL, NULL, engine.hashes[0]);
        add_container(&engine, "a", halves[i].state, engine.hashes[0], "");
        engine.containers[0].name = "123_p-a-1";
        engine.containers[0].is_replacement = true;
        if (halves[i].has_old)
            add_container(&engine, "a", "running", "other", "");
        plan_up(&project, &engine.actual, &options, &plan, &warnings);
        CLEANUP(free) char *text = plan_text(&plan);
        cr_expect_str_eq(text, halves[i].steps, "%s:\n%s", halves[i].what, text);
    }
}

/* ---- down ---- */

static const struct {
    const char *what;
    struct plan_down_options options;
    bool has_orphan;
    const char *steps;
} downs[] = {
    { "dependants first",
      { .removes_networks = true },
      false,
      "stop container p-b-1 < 3\n"
      "remove container p-b-1 < 0\n"
      "stop container p-a-1\n"
      "remove container p-a-1 < 2\n"
      "remove network p_n < 1,3\n" },
    { "orphans stay",
      { .removes_networks = true },
      true,
      "stop container p-b-1 < 3\n"
      "remove container p-b-1 < 0\n"
      "stop container p-a-1\n"
      "remove container p-a-1 < 2\n"
      "remove network p_n < 1,3\n" },
    { "orphans too",
      { .remove_orphans = true },
      true,
      "stop container p-b-1 < 3\n"
      "remove container p-b-1 < 0\n"
      "stop container p-a-1\n"
      "remove container p-a-1 < 2\n"
      "stop container p-o-1\n"
      "remove container p-o-1 < 4\n" },
    { "with volumes",
      { .removes_networks = true, .volumes = true },
      false,
      "stop container p-b-1 < 3\n"
      "remove container p-b-1 < 0\n"
      "stop container p-a-1\n"
      "remove container p-a-1 < 2\n"
      "remove network p_n < 1,3\n"
      "remove volume p_n < 1,3\n" },
    { "local images",
      { .images = "local" },
      false,
      "stop container p-b-1 < 3\n"
      "remove container p-b-1 < 0\n"
      "stop container p-a-1\n"
      "remove container p-a-1 < 2\n"
      "remove image p-a:latest < 0,1,2,3\n" },
    { "all images",
      { .images = "all" },
      false,
      "stop container p-b-1 < 3\n"
      "remove container p-b-1 < 0\n"
      "stop container p-a-1\n"
      "remove container p-a-1 < 2\n"
      "remove image p-a:latest < 0,1,2,3\n"
      "remove image x:latest < 0,1,2,3\n" },
};

static const char resources[] = "[{\"Name\":\"p_n\",\"Labels\":{\"" LABEL_NETWORK
                                "\":\"n\",\"" LABEL_VOLUME "\":\"n\"}}]";

Test(plan_down, takes_all_away_in_order)
{
    for (size_t i = 0; i < COUNT(downs); i++) {
        CLEANUP(project_done) struct project project = {};
        CLEANUP(plan_done) struct plan plan = {};
        CLEANUP(json_free) struct json *list = NULL;
        struct engine engine = {};
        struct error err = {};

        make_project("services: {a: {build: ., network_mode: none, depends_on: [b]},"
                     " b: {image: x, network_mode: none}}",
                     &project);
        cr_assert_eq(json_parse(resources, strlen(resources), &list, &err), 0, "%s", err.text);
        add_container(&engine, "b", "running", "h", "");
        add_container(&engine, "a", "running", "h", "b:service_started:false");
        if (downs[i].has_orphan)
            add_container(&engine, "o", "running", "h", "");
        engine.actual.networks = engine.actual.volumes = list;
        plan_down(&project, &engine.actual, &downs[i].options, &plan);
        CLEANUP(free) char *text = plan_text(&plan);
        cr_expect_str_eq(text, downs[i].steps, "%s:\n%s", downs[i].what, text);
    }
}

/* ---- restart ---- */

static const char asking[] =
    "services: {a: {image: x, network_mode: none, depends_on: {b: {condition: service_healthy,"
    " restart: true}}}, b: {image: x, network_mode: none},"
    " o: {image: x, network_mode: none, depends_on: {a: {condition: service_started,"
    " restart: true}, b: {condition: service_started}}}}";

static const struct {
    const char *what, *file; /* NULL: only labels are known */
    const char *named;
    bool no_dependants;
    const char *steps;
} restarts[] = {
    { "in order", asking, NULL, false,
      "restart container p-o-1 < 1\n"
      "restart container p-a-1 < 3\n"
      "restart container p-b-1\n"
      "wait for b to be service_healthy < 2\n" },
    { "with those that ask for it", asking, "b", false,
      "restart container p-o-1 < 1\n"
      "restart container p-a-1 < 3\n"
      "restart container p-b-1\n"
      "wait for b to be service_healthy < 2\n" },
    { "dependencies are left alone", asking, "o", false, "restart container p-o-1\n" },
    { "dependants are left alone", asking, "b", true, "restart container p-b-1\n" },
    { "by labels", NULL, "b", false,
      "restart container p-o-1 < 1\n"
      "restart container p-a-1 < 3\n"
      "restart container p-b-1\n"
      "wait for b to be service_healthy < 2\n" },
    { "what is not in the file is left alone",
      "services: {b: {image: x, network_mode: none}, a: {image: x, network_mode: none, profiles: "
      "[p]}}",
      NULL, false, "restart container p-b-1\n" },
};

Test(plan_restart, goes_in_the_order_of_dependencies)
{
    for (size_t i = 0; i < COUNT(restarts); i++) {
        CLEANUP(project_done) struct project project = {};
        CLEANUP(plan_done) struct plan plan = {};
        CLEANUP(strv_done) struct strv named = {};
        struct engine engine = {};

        if (restarts[i].file)
            make_project(restarts[i].file, &project);
        if (restarts[i].named)
            strv_add(&named, restarts[i].named);
        add_container(&engine, "o", "running", "h",
                      "a:service_started:true,b:service_started:false");
        add_container(&engine, "a", "exited", "h", "b:service_healthy:true");
        add_container(&engine, "b", "running", "h", "");
        plan_restart(&project, &engine.actual, &named, restarts[i].no_dependants, &plan);
        CLEANUP(free) char *text = plan_text(&plan);
        cr_expect_str_eq(text, restarts[i].steps, "%s:\n%s", restarts[i].what, text);
    }
}
