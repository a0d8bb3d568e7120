/* Stages, targets and what they need; build arguments. */
#include "build/graph.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

/* Needed stages as "index:base" with '<' in front of a base that is a stage. */
static char *show(const struct build_graph *graph)
{
    struct str out = {};

    for (size_t i = 0; i < graph->count; i++)
        if (graph->stages[i].is_needed)
            str_add_format(&out, "%zu:%s%s ", i, graph->stages[i].base_stage == NO_STAGE ? "" : "<",
                           graph->stages[i].base);
    return str_take(&out);
}

static int make(const char *text, const char *target, struct dockerfile *file,
                struct build_graph *graph, struct error *err)
{
    CLEANUP(build_args_done) struct build_args args = {};
    size_t index;

    build_args_init(&args, NULL, NULL);
    if (dockerfile_parse(text, strlen(text), "D", file, err) < 0 ||
        graph_make(file, graph, err) < 0 || graph_find_target(graph, target, &index, err) < 0)
        return -1;
    for (size_t i = 0; i < graph->global_count; i++)
        build_args_declare_global(&args, file->instructions[i].arguments.items[0]);
    return graph_resolve(graph, index, &args, file->escape, err);
}

static const struct {
    const char *text, *target, *needed;
} graphs[] = {
    { "FROM a", NULL, "0:a " },
    { "FROM a AS x\nFROM b AS y\nFROM c\n", NULL, "2:c " },
    { "FROM a AS x\nFROM b AS y\nFROM c\n", "y", "1:b " },
    { "FROM a AS x\nFROM b AS y\nFROM c\n", "X", "0:a " },
    { "FROM a AS x\nFROM b AS y\nFROM c\n", "1", "1:b " },
    { "FROM a AS x\nFROM x AS y\nFROM y\n", NULL, "0:a 1:<x 2:<y " },
    { "FROM a AS X\nFROM b\nFROM c\nCOPY --from=x / /\n", NULL, "0:a 2:c " },
    { "FROM a\nFROM b\nFROM c\nCOPY --from=1 / /\n", NULL, "1:b 2:c " },
    { "FROM a AS x\nFROM b AS y\nCOPY --from=x / /\nFROM scratch\nCOPY --from=y / /\n", NULL,
      "0:a 1:b 2:scratch " },
    { "FROM a\nCOPY --from=image / /\n", NULL, "0:a " },
    { "FROM a AS x\nFROM x AS x\nFROM x\n", NULL, "0:a 1:<x 2:<x " },
    { "ARG V=1\nARG N=b\nFROM $N:${V}\n", NULL, "0:b:1 " },
    { "FROM --platform=$BUILDPLATFORM a\n", NULL, "0:a " },
};

Test(graph, finds_what_a_target_needs)
{
    for (size_t i = 0; i < COUNT(graphs); i++) {
        CLEANUP(dockerfile_done) struct dockerfile file = {};
        CLEANUP(graph_done) struct build_graph graph = {};
        struct error err = {};

        cr_assert_eq(make(graphs[i].text, graphs[i].target, &file, &graph, &err), 0, "%s: %s",
                     graphs[i].text, err.text);
        CLEANUP(free) char *needed = show(&graph);
        cr_expect_str_eq(needed, graphs[i].needed, "%s: %s", graphs[i].text, needed);
    }
}

static const struct {
    const char *text, *target, *message;
} failures[] = {
    { "ARG x\n", NULL, "no build stage in current context: a FROM has to come first (line 1)" },
    { "\nRUN x\n", NULL, "no build stage in current context: a FROM has to come first (line 2)" },
    { "FROM a AS build\n", "biuld",
      "target stage \"biuld\" could not be found (did you mean the stage build?)" },
    { "FROM a\n", "zz", "target stage \"zz\" could not be found" },
    { "FROM a\n", "1", "target stage \"1\" could not be found" },
    { "FROM $X\n", NULL, "base name ($X) should not be blank" },
    { "FROM a\nCOPY --from=0 / /\n", NULL,
      "invalid from flag value 0: refers to current build stage" },
    { "FROM a\nCOPY --from=7 / /\n", NULL, "invalid from flag value 7: index out of bounds" },
    { "FROM --platform=plan9/z80 a\n", NULL, NULL },
};

Test(graph, says_what_is_wrong)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        CLEANUP(dockerfile_done) struct dockerfile file = {};
        CLEANUP(graph_done) struct build_graph graph = {};
        struct error err = {};

        cr_expect_eq(make(failures[i].text, failures[i].target, &file, &graph, &err), -1, "%s",
                     failures[i].text);
        if (failures[i].message)
            cr_expect_str_eq(err.text, failures[i].message);
    }
}

Test(args, follow_the_order_of_precedence)
{
    CLEANUP(map_done) struct map given = {};
    CLEANUP(build_args_done) struct build_args args = {}, stage = {}, child = {};
    CLEANUP(strv_done)
    struct strv environment = {}, visible = {}, all = {}, unused = {}, names = {};

    map_set_text(&given, "X", "given");
    map_set_text(&given, "ZZ", "unused");
    map_set_text(&given, "http_proxy", "p");
    map_set_text(&given, "E", "given");
    build_args_init(&args, &given, NULL);
    build_args_declare_global(&args, "G=global");
    build_args_declare_global(&args, "H=global");
    build_args_begin_stage(&stage, &args);
    build_args_begin_stage(&child, &args);
    build_args_declare(&stage, "X=default");
    build_args_declare(&stage, "D=default");
    build_args_declare(&stage, "N");
    build_args_declare(&stage, "G");
    build_args_declare(&stage, "E");
    strv_add(&environment, "E=environment");

    build_args_visible(&stage, &environment, true, &visible);
    CLEANUP(free) char *joined = strv_join(&visible, " ");
    cr_expect_str_eq(joined, "D=default E=given G=global X=given");
    build_args_visible(&stage, &environment, false, &all);
    CLEANUP(free) char *joined_all = strv_join(&all, " ");
    cr_expect_str_eq(joined_all, "D=default E=given G=global X=given http_proxy=p");
    build_args_hide(&stage, "E");
    build_args_declare(&stage, "D");
    build_args_inherit(&child, &stage);
    CLEANUP(strv_done) struct strv below = {};
    build_args_visible(&child, &environment, true, &below);
    CLEANUP(free) char *inherited = strv_join(&below, " ");
    cr_expect_str_eq(inherited, "D=default G=global X=given");

    strv_split(&names, "X,D,E", ',');
    build_args_unused(&args, &names, &unused);
    CLEANUP(free) char *joined_unused = strv_join(&unused, " ");
    cr_expect_str_eq(joined_unused, "ZZ");
}
