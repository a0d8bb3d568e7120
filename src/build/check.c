/* Goes through a file, stage by stage, and keeps what the rules have to say. */
#include "build/check_rules.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/args.h"

#include "base/banned.h"

void check_findings_done(struct check_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        free(findings->items[i].text);
    free(findings->items);
    *findings = (struct check_findings){};
}

/* Rules that speak only in files that ask for them. */
static bool is_experiment(const char *rule)
{
    return strcmp(rule, "CopyIgnoredFile") == 0 ||
           strcmp(rule, "InvalidDefinitionDescription") == 0;
}

static bool is_wanted(const struct checker *checker, const char *rule)
{
    return is_experiment(rule)
               ? checker->has_all_experiments || strv_contains(&checker->experiments, rule)
               : !checker->skips_all && !strv_contains(&checker->skipped, rule);
}

void check_report(struct checker *checker, const char *rule, const struct instruction *at,
                  const char *format, ...)
{
    struct check_findings *out = checker->out;
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    if (!is_wanted(checker, rule))
        return;
    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    if ((out->count & (out->count - 1)) == 0) /* full at each power of two */
        out->items = xrealloc(out->items, out->count ? 2 * out->count : 1, sizeof(*out->items));
    out->items[out->count++] = (struct check_finding){
        rule, at->line, at->file_name, at->file_text, str_take(&text),
    };
}

/* ---- the directive: "skip=A,B;error=true;experimental=all" ---- */

static int read_directive(struct checker *checker, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};

    if (!checker->file->check)
        return 0;
    strv_split(&parts, checker->file->check, ';');
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i] + strspn(parts.items[i], " \t");

        if (text_starts(part, "skip=")) {
            strv_done(&checker->skipped); /* the last list counts, as in BuildKit */
            strv_split(&checker->skipped, part + 5, ',');
            checker->skips_all = strv_contains(&checker->skipped, "all");
        } else if (text_starts(part, "experimental=")) {
            strv_done(&checker->experiments);
            strv_split(&checker->experiments, part + strlen("experimental="), ',');
            checker->has_all_experiments = strv_contains(&checker->experiments, "all");
        } else if (text_starts(part, "error=")) {
            checker->out->is_error = text_is_true(part + 6);
        } else if (*part) {
            return error_set(err, ERROR_INVALID,
                             "invalid check option \"%s\": skip=RULE,RULE, experimental=RULE,RULE "
                             "or error=true (line 1)",
                             part);
        }
    }
    return 0;
}

/* ---- going through ---- */

static void check_base_platform(struct checker *checker, const struct build_stage *stage,
                                const struct platform *found)
{
    const struct platform *wanted = checker->subject->platform;

    if (!wanted || stage->platform || text_is_empty(found->architecture) ||
        platform_match(wanted, found) > 0)
        return;
    CLEANUP(free) char *here = platform_format(found);
    CLEANUP(free) char *expected = platform_format(wanted);
    check_report(checker, "InvalidBaseImagePlatform", stage->from,
                 "Base image %s was pulled with platform \"%s\", expected \"%s\" for current build",
                 stage->base, here, expected);
}

/* false: nobody knows what the image has. */
static bool look_at_base(struct checker *checker, const struct build_stage *stage,
                         struct strv *environment)
{
    CLEANUP(platform_done) struct platform platform = {};

    if (strcmp(stage->base, "scratch") == 0)
        return true;
    if (!checker->subject->image(checker->subject->data, stage->base, environment, &platform))
        return false;
    check_base_platform(checker, stage, &platform);
    return true;
}

static void begin_stage(struct checker *checker, size_t index)
{
    checker->stage = index;
    checker->has_shell = false;
    checker->has_absolute_workdir = false;
    memset(checker->seen, 0, sizeof(checker->seen));

    const struct build_stage *stage = &checker->graph->stages[index];
    struct strv *environment = &checker->environments[index];
    if (!stage->base) /* not part of this build */
        return;
    strv_add(environment, "PATH=");
    if (stage->base_stage != NO_STAGE)
        strv_add_all(environment, &checker->environments[stage->base_stage]);
    checker->is_known[index] = stage->base_stage != NO_STAGE
                                   ? checker->is_known[stage->base_stage]
                                   : look_at_base(checker, stage, environment);
}

static void check_stage(struct checker *checker, size_t index)
{
    const struct build_stage *stage = &checker->graph->stages[index];

    begin_stage(checker, index);
    check_instruction(checker, stage->from);
    for (size_t i = 0; i < stage->step_count; i++) {
        check_instruction(checker, &stage->steps[i]);
        check_variables(checker, &stage->steps[i]);
        check_note_variables(checker, &stage->steps[i]);
    }
}

static int compare_lines(const void *a, const void *b)
{
    const struct check_finding *left = a, *right = b;

    return left->line != right->line ? left->line - right->line : strcmp(left->rule, right->rule);
}

/* ARGs in front of the first FROM. */
static void look_at_globals(struct checker *checker)
{
    CLEANUP(build_args_done) struct build_args args = {};
    bool is_read = true;

    build_args_init(&args, NULL, NULL);
    for (size_t i = 0; i < checker->graph->global_count; i++) {
        const struct instruction *instruction = &checker->file->instructions[i];
        struct error ignored;

        for (size_t k = 0; k < instruction->arguments.count; k++) {
            const char *text = instruction->arguments.items[k];

            strv_add_take(&checker->globals, xstrndup(text, strcspn(text, "=")));
        }
        check_description(checker, instruction);
        is_read &= build_args_declare_globals(&args, instruction, checker->file->escape,
                                              &ignored) == 0;
    }
    build_args_globals(&args, &checker->defaults);
    checker->has_defaults = is_read;
}

static void run(struct checker *checker)
{
    size_t count = checker->graph->count;

    checker->environments = xcalloc(count + 1, sizeof(struct strv));
    checker->is_known = xcalloc(count + 1, sizeof(bool));
    check_casing(checker);
    look_at_globals(checker);
    for (size_t i = 0; i < count; i++)
        check_stage(checker, i);
    for (size_t i = 0; i < count; i++)
        strv_done(&checker->environments[i]);
    free(checker->environments);
    free(checker->is_known);
    strv_done(&checker->globals);
    strv_done(&checker->defaults);
}

int check_run(const struct check_subject *subject, struct check_findings *out, struct error *err)
{
    const struct dockerfile *file = subject->file;
    struct checker checker = {
        .subject = subject, .file = file, .graph = subject->graph, .out = out
    };
    int result = read_directive(&checker, err);

    if (result == 0)
        run(&checker);
    for (size_t i = 0; result == 0 && i < file->empty_continuations.count; i++) {
        int64_t line = 0;

        parse_int64(file->empty_continuations.items[i], 0, INT32_MAX, &line, NULL);
        const struct instruction at = { .line = (int)line };
        check_report(&checker, "NoEmptyContinuation", &at, "Empty continuation line");
    }
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(*out->items), compare_lines);
    strv_done(&checker.skipped);
    strv_done(&checker.experiments);
    return result;
}
