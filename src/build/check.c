/* One function per rule or family of rules; each sees one instruction and what came before it. */
#include "build/check.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

struct checker {
    const struct dockerfile *file;
    const struct build_graph *graph;
    check_environment *environment;
    void *data;
    struct strv skipped;
    bool skips_all;
    struct check_findings *out;
    /* Of the stage that is looked at. */
    size_t stage;
    bool has_shell, has_absolute_workdir;
    bool is_seen[INSTRUCTION_WORKDIR + 1];
    struct strv globals;       /* names of ARGs in front of the first FROM */
    struct strv *environments; /* one per stage: what ENV and the base set */
    bool *is_known;            /* is that all? not if the base is unknown */
};

void check_findings_done(struct check_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        free(findings->items[i].text);
    free(findings->items);
    *findings = (struct check_findings){};
}

static void PRINTF(4, 5) report(struct checker *checker, const char *rule,
                                const struct instruction *at, const char *format, ...)
{
    struct check_findings *out = checker->out;
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    if (checker->skips_all || strv_contains(&checker->skipped, rule))
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

/* ---- the directive: "skip=A,B;error=true" ---- */

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
        } else if (text_starts(part, "error=")) {
            checker->out->is_error = text_is_true(part + 6);
        } else if (*part) {
            return error_set(err, ERROR_INVALID,
                             "invalid check option \"%s\": skip=RULE,RULE or error=true (line 1)",
                             part);
        }
    }
    return 0;
}

/* ---- casing ---- */

static bool has_upper(const char *text)
{
    for (; *text; text++)
        if (isupper((unsigned char)*text))
            return true;
    return false;
}

static bool has_lower(const char *text)
{
    for (; *text; text++)
        if (islower((unsigned char)*text))
            return true;
    return false;
}

static void check_casing(struct checker *checker)
{
    size_t upper = 0, lower = 0;

    for (size_t i = 0; i < checker->file->count; i++) {
        const char *word = checker->file->instructions[i].word;

        upper += !has_lower(word);
        lower += !has_upper(word);
    }
    bool wants_upper = upper >= lower;
    for (size_t i = 0; i < checker->file->count; i++) {
        const struct instruction *instruction = &checker->file->instructions[i];

        if (wants_upper ? has_lower(instruction->word) : has_upper(instruction->word))
            report(checker, "ConsistentInstructionCasing", instruction,
                   "Command '%s' should match the case of the command majority (%s)",
                   instruction->word, wants_upper ? "uppercase" : "lowercase");
    }
}

/* ---- FROM ---- */

/* The names of the variables in a text: "$A", "${A…". 'is_plain' tells which have no default. */
static void list_variables(const char *text, struct strv *out)
{
    for (const char *c = strchr(text, '$'); c; c = strchr(c + 1, '$')) {
        const char *name = c + 1 + (c[1] == '{');
        size_t length = 0;

        if (c > text && c[-1] == '\\')
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
        report(checker, "RedundantTargetPlatform", from,
               "Setting platform to predefined %s in FROM is redundant as this is the default",
               platform);
    else if (!strchr(platform, '$'))
        report(checker, "FromPlatformFlagConstDisallowed", from,
               "FROM --platform flag should not use constant value \"%s\"", platform);
}

static void check_stage_name(struct checker *checker, const struct instruction *from)
{
    const char *name = from->arguments.items[2], *as = from->arguments.items[1];

    if (has_upper(name))
        report(checker, "StageNameCasing", from, "Stage name '%s' should be lowercase", name);
    if (has_lower(from->word) != has_lower(as))
        report(checker, "FromAsCasing", from, "'%s' and '%s' keywords' casing do not match", as,
               from->word);
    if (strcasecmp(name, "scratch") == 0 || strcasecmp(name, "context") == 0)
        report(checker, "ReservedStageName", from,
               "Stage name should not use the same name as reserved stage \"%s\"", name);
    for (size_t i = 0; i < checker->stage; i++)
        if (checker->graph->stages[i].name && strcasecmp(checker->graph->stages[i].name, name) == 0)
            report(checker, "DuplicateStageName", from,
                   "Duplicate stage name \"%s\", stage names should be unique", name);
}

static void check_from(struct checker *checker, const struct instruction *from)
{
    CLEANUP(strv_done) struct strv names = {};

    list_variables(from->arguments.items[0], &names);
    for (size_t i = 0; i < names.count; i++)
        if (!strv_contains(&checker->globals, names.items[i]) && !is_platform_arg(names.items[i]))
            report(checker, "UndefinedArgInFrom", from, "FROM argument '%s' is not declared",
                   names.items[i]);
    check_platform(checker, from);
    if (from->arguments.count == 3)
        check_stage_name(checker, from);
}

/* ---- variables ---- */

static void check_variables(struct checker *checker, const struct instruction *instruction)
{
    if (!checker->is_known[checker->stage] || instruction->kind->expansion == EXPAND_NOTHING)
        return;
    for (size_t i = 0; i < instruction->arguments.count; i++) {
        CLEANUP(strv_done) struct strv names = {};

        if (instruction->arguments.items[i][0] == '\'')
            continue;
        list_variables(instruction->arguments.items[i], &names);
        for (size_t k = 0; k < names.count; k++)
            if (!strv_env_get(&checker->environments[checker->stage], names.items[k]))
                report(checker, "UndefinedVar", instruction, "Usage of undefined variable '$%s'",
                       names.items[k]);
    }
}

static void note_variables(struct checker *checker, const struct instruction *instruction)
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

/* ---- the rest ---- */

static bool is_secret_name(const char *name)
{
    static const char *const words[] = {
        "apikey",   "auth",  "credential", "credentials", "key",
        "password", "pword", "passwd",     "secret",      "token"
    };
    static const char *const harmless[] = { "public" };
    CLEANUP(strv_done) struct strv parts = {};
    bool is_secret = false;

    strv_split(&parts, name, '_');
    for (size_t i = 0; i < parts.count; i++) {
        for (size_t k = 0; k < COUNT(words); k++)
            is_secret |= strcasecmp(parts.items[i], words[k]) == 0;
        for (size_t k = 0; k < COUNT(harmless); k++)
            if (strcasecmp(parts.items[i], harmless[k]) == 0)
                return false;
    }
    return is_secret;
}

static void check_secrets(struct checker *checker, const struct instruction *instruction)
{
    bool is_arg = instruction->kind->type == INSTRUCTION_ARG;

    for (size_t i = 0; i < instruction->arguments.count; i += is_arg ? 1 : 2) {
        const char *text = instruction->arguments.items[i];
        CLEANUP(free) char *name = xstrndup(text, strcspn(text, "="));

        if (is_secret_name(name))
            report(checker, "SecretsUsedInArgOrEnv", instruction,
                   "Do not use ARG or ENV instructions for sensitive data (%s \"%s\")",
                   instruction->kind->word, name);
    }
}

/* "ENV key value": the first word behind the instruction has no '='. */
static void check_pairs(struct checker *checker, const struct instruction *instruction)
{
    const char *rest = instruction->text + strlen(instruction->word);
    size_t length;

    rest += strspn(rest, " \t");
    length = strcspn(rest, " \t");
    if (!memchr(rest, '=', length))
        report(checker, "LegacyKeyValueFormat", instruction,
               "\"%s key=value\" should be used instead of legacy \"%s key value\" format",
               instruction->kind->word, instruction->kind->word);
}

static void check_expose(struct checker *checker, const struct instruction *instruction)
{
    for (size_t i = 0; i < instruction->arguments.count; i++) {
        const char *port = instruction->arguments.items[i], *slash = strchr(port, '/');

        if (slash && has_upper(slash) && !strchr(port, '$'))
            report(checker, "ExposeProtoCasing", instruction,
                   "Defined protocol '%s' in EXPOSE instruction should be lowercase", port);
        if (strchr(port, ':') && !strchr(port, '$'))
            report(checker, "ExposeInvalidFormat", instruction,
                   "EXPOSE instruction should not define an IP address or host-port mapping, found "
                   "'%s'",
                   port);
    }
}

static void check_workdir(struct checker *checker, const struct instruction *instruction)
{
    const char *path = instruction->arguments.items[0];

    if (*path == '/' || *path == '$')
        checker->has_absolute_workdir = true;
    else if (!checker->has_absolute_workdir)
        report(checker, "WorkdirRelativePath", instruction,
               "Relative workdir \"%s\" can have unexpected results if the base image changes",
               path);
}

static void check_repeated(struct checker *checker, const struct instruction *instruction)
{
    enum instruction_type type = instruction->kind->type;

    if (checker->is_seen[type])
        report(checker, "MultipleInstructionsDisallowed", instruction,
               "Multiple %s instructions should not be used in the same stage because only the "
               "last one will be used",
               instruction->kind->word);
    checker->is_seen[type] = true;
}

static void check_command(struct checker *checker, const struct instruction *instruction)
{
    check_repeated(checker, instruction);
    if (!instruction->is_json && !checker->has_shell && instruction->arguments.count > 0)
        report(checker, "JSONArgsRecommended", instruction,
               "JSON arguments recommended for %s to prevent unintended behavior related to OS "
               "signals%s",
               instruction->kind->word,
               instruction->arguments.items[0][0] != '['
                   ? ""
                   : ": this is no JSON and runs in a shell (strings stand in double quotes, with "
                     "commas between)");
}

/* A rule of berth's own. */
static void check_dashes(struct checker *checker, const struct instruction *instruction)
{
    const char *text = instruction->arguments.count > 0 ? instruction->arguments.items[0] : "";

    if (instruction_lacks_dash(instruction))
        report(checker, "FlagWithOneDash", instruction,
               "'%.*s' is no flag of %s: flags begin with two dashes, as in -%.*s",
               (int)strcspn(text, " \t"), text, instruction->kind->word, (int)strcspn(text, " \t"),
               text);
}

static void check_instruction(struct checker *checker, const struct instruction *instruction)
{
    check_dashes(checker, instruction);
    switch (instruction->kind->type) {
    case INSTRUCTION_FROM:
        check_from(checker, instruction);
        break;
    case INSTRUCTION_MAINTAINER:
        report(checker, "MaintainerDeprecated", instruction,
               "Maintainer instruction is deprecated in favor of using label");
        break;
    case INSTRUCTION_SHELL:
        checker->has_shell = true;
        break;
    case INSTRUCTION_CMD:
    case INSTRUCTION_ENTRYPOINT:
        check_command(checker, instruction);
        break;
    case INSTRUCTION_HEALTHCHECK:
        check_repeated(checker, instruction);
        break;
    case INSTRUCTION_ENV:
        check_secrets(checker, instruction);
        check_pairs(checker, instruction);
        break;
    case INSTRUCTION_LABEL:
        check_pairs(checker, instruction);
        break;
    case INSTRUCTION_ARG:
        check_secrets(checker, instruction);
        break;
    case INSTRUCTION_EXPOSE:
        check_expose(checker, instruction);
        break;
    case INSTRUCTION_WORKDIR:
        check_workdir(checker, instruction);
        break;
    default:
        break;
    }
}

static void begin_stage(struct checker *checker, size_t index)
{
    checker->stage = index;
    checker->has_shell = false;
    checker->has_absolute_workdir = false;
    memset(checker->is_seen, 0, sizeof(checker->is_seen));

    const struct build_stage *stage = &checker->graph->stages[index];
    struct strv *environment = &checker->environments[index];
    if (!stage->base) /* not part of this build */
        return;
    strv_add(environment, "PATH=");
    if (stage->base_stage != NO_STAGE)
        strv_add_all(environment, &checker->environments[stage->base_stage]);
    checker->is_known[index] = stage->base_stage != NO_STAGE
                                   ? checker->is_known[stage->base_stage]
                                   : strcmp(stage->base, "scratch") == 0 ||
                                         checker->environment(checker->data, stage->base,
                                                              environment);
}

static void check_stage(struct checker *checker, size_t index)
{
    const struct build_stage *stage = &checker->graph->stages[index];

    begin_stage(checker, index);
    check_instruction(checker, stage->from);
    for (size_t i = 0; i < stage->step_count; i++) {
        check_instruction(checker, &stage->steps[i]);
        check_variables(checker, &stage->steps[i]);
        note_variables(checker, &stage->steps[i]);
    }
}

static int compare_lines(const void *a, const void *b)
{
    const struct check_finding *left = a, *right = b;

    return left->line != right->line ? left->line - right->line : strcmp(left->rule, right->rule);
}

static void run(struct checker *checker)
{
    const struct dockerfile *file = checker->file;
    size_t count = checker->graph->count;

    checker->environments = xcalloc(count + 1, sizeof(struct strv));
    checker->is_known = xcalloc(count + 1, sizeof(bool));
    check_casing(checker);
    for (size_t i = 0; i < checker->graph->global_count; i++)
        for (size_t k = 0; k < file->instructions[i].arguments.count; k++) {
            const char *text = file->instructions[i].arguments.items[k];

            strv_add_take(&checker->globals, xstrndup(text, strcspn(text, "=")));
        }
    for (size_t i = 0; i < count; i++)
        check_stage(checker, i);
    for (size_t i = 0; i < count; i++)
        strv_done(&checker->environments[i]);
    free(checker->environments);
    free(checker->is_known);
    strv_done(&checker->globals);
}

int check_run(const struct dockerfile *file, const struct build_graph *graph,
              check_environment *environment, void *data, struct check_findings *out,
              struct error *err)
{
    struct checker checker = {
        .file = file, .graph = graph, .environment = environment, .data = data, .out = out
    };
    int result = read_directive(&checker, err);

    if (result == 0)
        run(&checker);
    for (size_t i = 0; result == 0 && i < file->empty_continuations.count; i++) {
        int64_t line = 0;

        parse_int64(file->empty_continuations.items[i], 0, INT32_MAX, &line, NULL);
        const struct instruction at = { .line = (int)line };
        report(&checker, "NoEmptyContinuation", &at, "Empty continuation line");
    }
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(*out->items), compare_lines);
    strv_done(&checker.skipped);
    return result;
}
