/* Stages. A stage needs its base and the sources of its COPY --from; both can only be stages above
 * it, so one walk from the target upwards marks everything. */
#include "build/graph.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/expand.h"
#include "build/golang.h"
#include "spec/image.h"

#include "base/banned.h"

static struct build_stage *add_stage(struct build_graph *graph, const struct instruction *from)
{
    graph->stages = xrealloc(graph->stages, graph->count + 1, sizeof(struct build_stage));

    struct build_stage *stage = &graph->stages[graph->count++];
    *stage = (struct build_stage){ .from = from, .steps = from + 1, .base_stage = NO_STAGE };
    stage->needs = xcalloc(graph->count, sizeof(bool));
    if (from->arguments.count == 3) {
        stage->name = xstrdup(from->arguments.items[2]);
        for (char *c = stage->name; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c |= 0x20;
    }
    return stage;
}

int graph_make(const struct dockerfile *file, struct build_graph *out, struct error *err)
{
    struct build_graph graph = {};
    struct build_stage *stage = NULL;

    for (size_t i = 0; i < file->count; i++) {
        const struct instruction *instruction = &file->instructions[i];

        if (instruction->kind->type == INSTRUCTION_FROM)
            stage = add_stage(&graph, instruction);
        else if (stage)
            stage->step_count++;
        else if (instruction->kind->type == INSTRUCTION_ARG)
            graph.global_count++;
        else
            break;
    }
    if (!stage)
        return error_set(err, ERROR_INVALID,
                         "no build stage in current context: a FROM has to come first (line %d)",
                         file->count > 0 ? file->instructions[0].line : 1);
    *out = graph;
    return 0;
}

void graph_done(struct build_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        free(graph->stages[i].name);
        free(graph->stages[i].base);
        free(graph->stages[i].platform);
        free(graph->stages[i].needs);
    }
    free(graph->stages);
    *graph = (struct build_graph){};
}

/* The last stage in front of 'before' with that name. */
static size_t find_name(const struct build_graph *graph, size_t before, const char *name)
{
    while (before-- > 0)
        if (graph->stages[before].name && strcasecmp(graph->stages[before].name, name) == 0)
            return before;
    return NO_STAGE;
}

#define NEAR_DISTANCE 2
#define NEAR_LENGTH   4 /* shorter names are all near each other */

void graph_suggest(const struct build_graph *graph, size_t before, const char *name,
                   struct error *err)
{
    const char *nearest = NULL;
    size_t least = NEAR_DISTANCE + 1;

    for (size_t i = 0; i < before; i++) {
        const char *stage = graph->stages[i].name;
        size_t distance = stage ? text_distance(stage, name) : least;

        if (distance < least && strlen(name) >= NEAR_LENGTH) {
            nearest = stage;
            least = distance;
        }
    }
    if (!nearest || err->kind == ERROR_CANCELLED)
        return;
    const struct error why = *err;
    error_set(err, why.kind, "%s (did you mean the stage %s?)", why.text, nearest);
}

int graph_find_target(const struct build_graph *graph, const char *target, size_t *out,
                      struct error *err)
{
    CLEANUP(str_done) struct str shown = {};
    int64_t number;

    *out = graph->count - 1;
    if (text_is_empty(target))
        return 0;
    *out = find_name(graph, graph->count, target);
    if (*out == NO_STAGE && parse_int64(target, 0, (int64_t)graph->count - 1, &number, NULL) == 0)
        *out = (size_t)number;
    if (*out != NO_STAGE)
        return 0;
    go_add_quoted(&shown, target);
    error_set(err, ERROR_INVALID, "target stage %s could not be found", shown.data);
    graph_suggest(graph, graph->count, target, err);
    return -1;
}

int graph_find_source(const struct build_graph *graph, size_t before, const char *name, size_t *out,
                      struct error *err)
{
    int64_t number;

    *out = NO_STAGE;
    if (graph->contexts && map_has(graph->contexts, name))
        return 0;
    *out = find_name(graph, before, name);
    if (*out != NO_STAGE || parse_int64(name, INT32_MIN, INT32_MAX, &number, NULL) < 0)
        return 0;
    if (number == (int64_t)before)
        return error_set(err, ERROR_INVALID,
                         "invalid from flag value %s: refers to current build stage", name);
    if (number < 0 || number > (int64_t)before)
        return error_set(err, ERROR_INVALID, "invalid from flag value %s: index out of bounds",
                         name);
    *out = (size_t)number;
    return 0;
}

int graph_read_platform(const char *text, struct platform *out, struct error *err)
{
    CLEANUP(platform_done) struct platform platform = {};

    if (text_is_empty(text) || strcasecmp(text, "local") == 0) {
        platform_native(out);
        return 0;
    }
    if (platform_parse(text, &platform, err) < 0)
        return -1;
    if (strcmp(platform.os, "linux") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "building for platform %s is not supported: images are made for Linux",
                         text);
    *out = platform;
    platform = (struct platform){};
    return 0;
}

/* FROM --platform; nothing, also after expansion, is the build's. */
static int resolve_platform(struct build_stage *stage, const struct expander *expander,
                            struct error *err)
{
    const char *flag = instruction_flag(stage->from, "platform");
    CLEANUP(str_done) struct str text = {};
    CLEANUP(platform_done) struct platform platform = {};

    free(TAKE(stage->platform));
    if (!flag)
        return 0;
    if (expand_word(expander, flag, &text, err) < 0)
        return -1;
    if (text.length == 0)
        return 0;
    if (graph_read_platform(text.data, &platform, err) < 0)
        return -1;
    stage->platform = platform_format(&platform);
    return 0;
}

static int resolve_from(struct build_graph *graph, size_t index, const struct expander *expander,
                        struct error *err)
{
    struct build_stage *stage = &graph->stages[index];
    CLEANUP(str_done) struct str base = {};
    const char *written = stage->from->arguments.items[0];

    if (expand_word(expander, written, &base, err) < 0)
        return -1;
    if (base.length == 0)
        return error_set(err, ERROR_INVALID, "base name (%s) should not be blank", written);
    if (resolve_platform(stage, expander, err) < 0)
        return -1;
    free(stage->base);
    stage->base = str_take(&base);
    stage->base_stage = NO_STAGE;
    if (!graph->contexts || !map_has(graph->contexts, stage->base))
        stage->base_stage = find_name(graph, index, stage->base);
    return 0;
}

static int mark(struct build_graph *graph, size_t index, const char *name, struct error *err)
{
    size_t source;

    if (strchr(name, '$'))
        return error_set(err, ERROR_INVALID,
                         "variable expansion is not supported for --from, define a new stage "
                         "with FROM using ARG from global scope as a workaround");
    if (graph_find_source(graph, index, name, &source, err) < 0)
        return -1;
    if (source != NO_STAGE) {
        graph->stages[source].is_needed = true;
        graph->stages[index].needs[source] = true;
    }
    return 0;
}

/* The "from=" in the value of --mount. */
static int mark_mount(struct build_graph *graph, size_t index, const char *flag, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {};

    strv_split(&fields, flag, ',');
    for (size_t i = 0; i < fields.count; i++)
        if (strncasecmp(fields.items[i], "from=", 5) == 0 &&
            mark(graph, index, fields.items[i] + 5, err) < 0)
            return -1;
    return 0;
}

int graph_mark(struct build_graph *graph, size_t index, const struct instruction *instruction,
               struct error *err)
{
    const char *name = instruction_flag(instruction, "from");

    if (name && mark(graph, index, name, err) < 0)
        return -1;
    for (size_t i = 0; i < instruction->flags.count; i++)
        if (text_starts(instruction->flags.items[i], "mount=") &&
            mark_mount(graph, index, instruction->flags.items[i] + 6, err) < 0)
            return -1;
    return 0;
}

static int mark_sources(struct build_graph *graph, size_t index, struct error *err)
{
    const struct build_stage *stage = &graph->stages[index];

    for (size_t i = 0; i < stage->step_count; i++)
        if (graph_mark(graph, index, &stage->steps[i], err) < 0) {
            graph->failed_at = &stage->steps[i];
            return -1;
        }
    return 0;
}

int graph_resolve(struct build_graph *graph, size_t target, const struct build_args *args,
                  char escape, struct error *err)
{
    CLEANUP(strv_done) struct strv environment = {};
    const struct expander expander = { escape, 0, &environment };

    build_args_globals(args, &environment);
    graph->stages[target].is_needed = true;
    for (size_t i = target + 1; i-- > 0;) {
        struct build_stage *stage = &graph->stages[i];

        if (!stage->is_needed)
            continue;
        graph->failed_at = stage->from;
        if (resolve_from(graph, i, &expander, err) < 0 || mark_sources(graph, i, err) < 0)
            return -1;
        graph->failed_at = NULL;
        if (stage->base_stage != NO_STAGE) {
            graph->stages[stage->base_stage].is_needed = true;
            stage->needs[stage->base_stage] = true;
        }
    }
    return 0;
}
