/* One function per rule or family of rules; each sees one instruction and what came before it. */
#include "build/check_rules.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/remote.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

/* ---- casing ---- */

void check_casing(struct checker *checker)
{
    size_t upper = 0, lower = 0;

    for (size_t i = 0; i < checker->file->count; i++) {
        const char *word = checker->file->instructions[i].word;

        upper += !text_has_lower(word);
        lower += !text_has_upper(word);
    }
    bool wants_upper = upper >= lower;
    for (size_t i = 0; i < checker->file->count; i++) {
        const struct instruction *instruction = &checker->file->instructions[i];

        if (wants_upper ? text_has_lower(instruction->word) : text_has_upper(instruction->word))
            check_report(checker, "ConsistentInstructionCasing", instruction,
                         "Command '%s' should match the case of the command majority (%s)",
                         instruction->word, wants_upper ? "uppercase" : "lowercase");
    }
}

/* ---- one instruction ---- */

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
            check_report(checker, "SecretsUsedInArgOrEnv", instruction,
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
        check_report(checker, "LegacyKeyValueFormat", instruction,
                     "\"%s key=value\" should be used instead of legacy \"%s key value\" format",
                     instruction->kind->word, instruction->kind->word);
}

static void check_expose(struct checker *checker, const struct instruction *instruction)
{
    for (size_t i = 0; i < instruction->arguments.count; i++) {
        const char *port = instruction->arguments.items[i], *slash = strchr(port, '/');

        if (slash && text_has_upper(slash) && !strchr(port, '$'))
            check_report(checker, "ExposeProtoCasing", instruction,
                         "Defined protocol '%s' in EXPOSE instruction should be lowercase", port);
        if (strchr(port, ':') && !strchr(port, '$'))
            check_report(
                checker, "ExposeInvalidFormat", instruction,
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
        check_report(
            checker, "WorkdirRelativePath", instruction,
            "Relative workdir \"%s\" can have unexpected results if the base image changes", path);
}

static void check_repeated(struct checker *checker, const struct instruction *instruction)
{
    enum instruction_type type = instruction->kind->type;

    if (checker->seen[type]) /* which counts no more */
        check_report(
            checker, "MultipleInstructionsDisallowed", checker->seen[type],
            "Multiple %s instructions should not be used in the same stage because only the "
            "last one will be used",
            instruction->kind->word);
    checker->seen[type] = instruction;
}

static void check_command(struct checker *checker, const struct instruction *instruction)
{
    check_repeated(checker, instruction);
    if (!instruction->is_json && !checker->has_shell && instruction->arguments.count > 0)
        check_report(
            checker, "JSONArgsRecommended", instruction,
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
        check_report(checker, "CopyIgnoredFile", instruction,
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

/* Comments in front of ARG and FROM describe them in outlines: "# NAME what it is for". */
void check_description(struct checker *checker, const struct instruction *instruction)
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
        text_lower(names.items[0]);
    CLEANUP(free) char *word = comment_word(text, instruction->line);
    if (!word || strv_contains(&names, word) || is_directive(word))
        return;
    check_report(checker, "InvalidDefinitionDescription", instruction,
                 "Comment for %s should follow the format: `# %s <description>`",
                 instruction->kind->word, names.count > 1 ? "<arg_key>" : names.items[0]);
}

/* A rule of berth's own. */
static void check_dashes(struct checker *checker, const struct instruction *instruction)
{
    const char *text = instruction->arguments.count > 0 ? instruction->arguments.items[0] : "";

    if (instruction_lacks_dash(instruction))
        check_report(checker, "FlagWithOneDash", instruction,
                     "'%.*s' is no flag of %s: flags begin with two dashes, as in -%.*s",
                     (int)strcspn(text, " \t"), text, instruction->kind->word,
                     (int)strcspn(text, " \t"), text);
}

void check_instruction(struct checker *checker, const struct instruction *instruction)
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
        check_report(checker, "MaintainerDeprecated", instruction,
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
