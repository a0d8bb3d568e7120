/* Where stages begin, and what variables they have. */
#include "build/check_rules.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/expand.h"
#include "spec/reference.h"

#include "base/banned.h"

/* ---- FROM ---- */

/* The names of the variables in a text: "$A", "${A}", but not those with a word for their absence.
 */
static void list_variables(const char *text, char escape, struct strv *out)
{
    for (const char *c = strchr(text, '$'); c; c = strchr(c + 1, '$')) {
        const char *name = c + 1 + (c[1] == '{');
        size_t length = 0;

        if (c > text && c[-1] == escape)
            continue;
        while (isalnum((unsigned char)name[length]) || name[length] == '_')
            length++;
        if (length > 0 && (c[1] != '{' || name[length] == '}'))
            strv_add_take(out, xstrndup(name, length));
    }
}

static bool is_platform_arg(const char *name)
{
    static const char *const names[] = { "TARGETPLATFORM", "TARGETOS",      "TARGETARCH",
                                         "TARGETVARIANT",  "BUILDPLATFORM", "BUILDOS",
                                         "BUILDARCH",      "BUILDVARIANT",  "TARGETSTAGE" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void check_platform(struct checker *checker, const struct instruction *from)
{
    const char *platform = instruction_flag(from, "platform");

    if (!platform)
        return;
    if (strcmp(platform, "$TARGETPLATFORM") == 0 || strcmp(platform, "${TARGETPLATFORM}") == 0)
        check_report(
            checker, "RedundantTargetPlatform", from,
            "Setting platform to predefined %s in FROM is redundant as this is the default "
            "behavior",
            platform);
    else if (!strchr(platform, '$'))
        check_report(checker, "FromPlatformFlagConstDisallowed", from,
                     "FROM --platform flag should not use constant value \"%s\"", platform);
}

static void check_stage_name(struct checker *checker, const struct instruction *from)
{
    const char *written = from->arguments.items[2], *as = from->arguments.items[1];
    const char *name = checker->graph->stages[checker->stage].name;

    if (text_has_upper(written))
        check_report(checker, "StageNameCasing", from, "Stage name '%s' should be lowercase",
                     written);
    if (text_has_lower(from->word) != text_has_lower(as))
        check_report(checker, "FromAsCasing", from, "'%s' and '%s' keywords' casing do not match",
                     as, from->word);
    if (strcmp(name, "scratch") == 0 || strcmp(name, "context") == 0)
        check_report(checker, "ReservedStageName", from,
                     "Stage name should not use the same name as reserved stage \"%s\"", name);
    for (size_t i = 0; i < checker->stage; i++)
        if (text_equal(checker->graph->stages[i].name, name))
            check_report(checker, "DuplicateStageName", from,
                         "Duplicate stage name \"%s\", stage names should be unique", name);
}

/* The one of 'names' (NAME or NAME=value) that may be meant, as " (did you mean X?)" with 'sign' in
 * front; or "". */
static char *suggest(const char *name, const char *sign, const struct strv *names)
{
    size_t least = MIN(strlen(name) / 2, 2) + 1;
    char *near = NULL;

    for (size_t i = 0; i < names->count; i++) {
        char *other = xstrndup(names->items[i], strcspn(names->items[i], "="));
        size_t distance = text_distance(name, other);

        if (distance >= least) {
            free(other);
            continue;
        }
        free(near);
        near = other;
        least = distance;
    }
    char *text = near ? xasprintf(" (did you mean %s%s?)", sign, near) : xstrdup("");
    free(near);
    return text;
}

/* What the base is called if the caller gives no arguments. */
static void check_default_base(struct checker *checker, const struct instruction *from)
{
    const char *written = from->arguments.items[0];
    const struct expander expander = { checker->file->escape, 0, &checker->defaults };
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(str_done) struct str base = {};
    struct error ignored;

    if (!checker->has_defaults || !strchr(written, '$') ||
        expand_word(&expander, written, &base, &ignored) < 0)
        return;
    if (reference_parse(str_text(&base), &reference, &ignored) < 0)
        check_report(checker, "InvalidDefaultArgInFrom", from,
                     "Default value for ARG %s results in empty or invalid base image name",
                     written);
}

void check_from(struct checker *checker, const struct instruction *from)
{
    CLEANUP(strv_done) struct strv names = {};

    list_variables(from->arguments.items[0], checker->file->escape, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (strv_contains(&checker->globals, names.items[i]) || is_platform_arg(names.items[i]))
            continue;
        CLEANUP(free) char *hint = suggest(names.items[i], "", &checker->globals);
        check_report(checker, "UndefinedArgInFrom", from, "FROM argument '%s' is not declared%s",
                     names.items[i], hint);
    }
    check_default_base(checker, from);
    check_platform(checker, from);
    if (from->arguments.count == 3)
        check_stage_name(checker, from);
}

/* ---- variables ---- */

static void check_words(struct checker *checker, const struct instruction *instruction,
                        const struct strv *words)
{
    const struct strv *environment = &checker->environments[checker->stage];

    for (size_t i = 0; i < words->count; i++) {
        CLEANUP(strv_done) struct strv names = {};

        if (words->items[i][0] == '\'')
            continue;
        list_variables(words->items[i], checker->file->escape, &names);
        for (size_t k = 0; k < names.count; k++) {
            if (strv_env_get(environment, names.items[k]))
                continue;
            CLEANUP(free) char *hint = suggest(names.items[k], "$", environment);
            check_report(checker, "UndefinedVar", instruction,
                         "Usage of undefined variable '$%s'%s", names.items[k], hint);
        }
    }
}

/* The files that are in the Dockerfile itself. Those of RUN are the shell's business. */
static void check_documents(struct checker *checker, const struct instruction *instruction)
{
    CLEANUP(strv_done) struct strv texts = {};

    for (size_t i = 0; i < instruction->heredoc_count; i++)
        if (instruction->heredocs[i].expand)
            strv_add(&texts, instruction->heredocs[i].content ?: "");
    if (instruction->kind->expansion == EXPAND_EACH)
        check_words(checker, instruction, &texts);
}

void check_variables(struct checker *checker, const struct instruction *instruction)
{
    if (!checker->is_known[checker->stage])
        return;
    check_words(checker, instruction, &instruction->flags);
    if (instruction->kind->expansion == EXPAND_EACH) /* the ports of EXPOSE are left alone */
        check_words(checker, instruction, &instruction->arguments);
    check_documents(checker, instruction);
}

void check_note_variables(struct checker *checker, const struct instruction *instruction)
{
    const struct strv *arguments = &instruction->arguments;

    if (instruction->kind->type == INSTRUCTION_ENV)
        for (size_t i = 0; i + 1 < arguments->count; i += 2)
            strv_env_set(&checker->environments[checker->stage], arguments->items[i], "");
    for (size_t i = 0; instruction->kind->type == INSTRUCTION_ARG && i < arguments->count; i++) {
        CLEANUP(free)
        char *name = xstrndup(arguments->items[i], strcspn(arguments->items[i], "="));

        strv_env_set(&checker->environments[checker->stage], name, "");
    }
}
