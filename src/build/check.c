/* One function per rule or family of rules; each sees one instruction and what came before it. */
#include "build/check.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/args.h"
#include "build/expand.h"
#include "build/remote.h"
#include "spec/dockerignore.h"
#include "spec/reference.h"

#include "base/banned.h"

struct checker {
    const struct check_subject *subject;
    const struct dockerfile *file;
    const struct build_graph *graph;
    struct strv skipped, experiments; /* rules that do not speak, and those that do if asked */
    bool skips_all, has_all_experiments;
    struct check_findings *out;
    /* Of the stage that is looked at. */
    size_t stage;
    bool has_shell, has_absolute_workdir;
    const struct instruction *seen[INSTRUCTION_WORKDIR + 1]; /* the last one of a kind */
    struct strv globals;       /* names of ARGs in front of the first FROM */
    struct strv defaults;      /* NAME=value of those that have one by themselves… */
    bool has_defaults;         /* …if they could be expanded */
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

static void PRINTF(4, 5) report(struct checker *checker, const char *rule,
                                const struct instruction *at, const char *format, ...)
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
        report(checker, "RedundantTargetPlatform", from,
               "Setting platform to predefined %s in FROM is redundant as this is the default "
               "behavior",
               platform);
    else if (!strchr(platform, '$'))
        report(checker, "FromPlatformFlagConstDisallowed", from,
               "FROM --platform flag should not use constant value \"%s\"", platform);
}

static void check_stage_name(struct checker *checker, const struct instruction *from)
{
    const char *written = from->arguments.items[2], *as = from->arguments.items[1];
    const char *name = checker->graph->stages[checker->stage].name;

    if (has_upper(written))
        report(checker, "StageNameCasing", from, "Stage name '%s' should be lowercase", written);
    if (has_lower(from->word) != has_lower(as))
        report(checker, "FromAsCasing", from, "'%s' and '%s' keywords' casing do not match", as,
               from->word);
    if (strcmp(name, "scratch") == 0 || strcmp(name, "context") == 0)
        report(checker, "ReservedStageName", from,
               "Stage name should not use the same name as reserved stage \"%s\"", name);
    for (size_t i = 0; i < checker->stage; i++)
        if (text_equal(checker->graph->stages[i].name, name))
            report(checker, "DuplicateStageName", from,
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
        report(checker, "InvalidDefaultArgInFrom", from,
               "Default value for ARG %s results in empty or invalid base image name", written);
}

static void check_from(struct checker *checker, const struct instruction *from)
{
    CLEANUP(strv_done) struct strv names = {};

    list_variables(from->arguments.items[0], checker->file->escape, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (strv_contains(&checker->globals, names.items[i]) || is_platform_arg(names.items[i]))
            continue;
        CLEANUP(free) char *hint = suggest(names.items[i], "", &checker->globals);
        report(checker, "UndefinedArgInFrom", from, "FROM argument '%s' is not declared%s",
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
            report(checker, "UndefinedVar", instruction, "Usage of undefined variable '$%s'%s",
                   names.items[k], hint);
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

static void check_variables(struct checker *checker, const struct instruction *instruction)
{
    if (!checker->is_known[checker->stage])
        return;
    check_words(checker, instruction, &instruction->flags);
    if (instruction->kind->expansion == EXPAND_EACH) /* the ports of EXPOSE are left alone */
        check_words(checker, instruction, &instruction->arguments);
    check_documents(checker, instruction);
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

    if (checker->seen[type]) /* which counts no more */
        report(checker, "MultipleInstructionsDisallowed", checker->seen[type],
               "Multiple %s instructions should not be used in the same stage because only the "
               "last one will be used",
               instruction->kind->word);
    checker->seen[type] = instruction;
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

/* Only what is named itself: patterns and directories may mean what is left. */
static void check_ignored(struct checker *checker, const struct instruction *instruction)
{
    const struct dockerignore *ignored = checker->subject->ignored;
    const struct strv *arguments = &instruction->arguments;

    for (size_t i = 0; ignored && i + 1 < arguments->count; i++) {
        const char *source = arguments->items[i];
        CLEANUP(free) char *rooted = xasprintf("/%s", source);
        CLEANUP(free) char *path = path_clean(rooted);

        if (strchr(source, '$') || text_starts(source, "<<") || remote_is_url(source) ||
            git_is_source(source) || !dockerignore_excludes(ignored, path + 1))
            continue;
        report(checker, "CopyIgnoredFile", instruction,
               "Attempting to %s file \"%s\" that is excluded by .dockerignore",
               instruction->kind->type == INSTRUCTION_ADD ? "Add" : "Copy", source);
    }
}

/* The first word of the comment right in front of an instruction (blank lines do not count); NULL
 * if there is none. */
static char *comment_word(const char *text, int line)
{
    const char *comment = NULL;

    for (int i = 1; i < line && *text; i++) {
        size_t length = strcspn(text, "\n");
        const char *start = text + strspn(text, " \t");

        if (*start == '#')
            comment = start + 1 + strspn(start + 1, " \t");
        else if (start + strspn(start, "\r") < text + length)
            comment = NULL;
        text += length + (text[length] ? 1 : 0);
    }
    return comment ? xstrndup(comment, strcspn(comment, " \t\r\n")) : NULL;
}

static bool is_directive(const char *word)
{
    return text_starts(word, "check=") || text_starts(word, "escape=") ||
           text_starts(word, "syntax=");
}

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* Comments in front of ARG and FROM describe them in outlines: "# NAME what it is for". */
static void check_description(struct checker *checker, const struct instruction *instruction)
{
    const struct strv *arguments = &instruction->arguments;
    bool is_from = instruction->kind->type == INSTRUCTION_FROM;
    const char *text = instruction->file_text ?: checker->subject->text;
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = is_from ? 2 : 0; i < arguments->count; i++)
        strv_add_take(&names, xstrndup(arguments->items[i], strcspn(arguments->items[i], "=")));
    if (names.count == 0)
        return;
    if (is_from)
        lower(names.items[0]);
    CLEANUP(free) char *word = comment_word(text, instruction->line);
    if (!word || strv_contains(&names, word) || is_directive(word))
        return;
    report(checker, "InvalidDefinitionDescription", instruction,
           "Comment for %s should follow the format: `# %s <description>`", instruction->kind->word,
           names.count > 1 ? "<arg_key>" : names.items[0]);
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
        check_description(checker, instruction);
        break;
    case INSTRUCTION_ADD:
    case INSTRUCTION_COPY:
        if (!instruction_flag(instruction, "from"))
            check_ignored(checker, instruction);
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
        check_description(checker, instruction);
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

static void check_base_platform(struct checker *checker, const struct build_stage *stage,
                                const struct platform *found)
{
    const struct platform *wanted = checker->subject->platform;

    if (!wanted || stage->platform || text_is_empty(found->architecture) ||
        platform_match(wanted, found) > 0)
        return;
    CLEANUP(free) char *here = platform_format(found);
    CLEANUP(free) char *expected = platform_format(wanted);
    report(checker, "InvalidBaseImagePlatform", stage->from,
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
        note_variables(checker, &stage->steps[i]);
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
        report(&checker, "NoEmptyContinuation", &at, "Empty continuation line");
    }
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(*out->items), compare_lines);
    strv_done(&checker.skipped);
    strv_done(&checker.experiments);
    return result;
}
