/* The table of instructions, and what can be said about one without running it. */
#include "build/instruction.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "build/config.h"
#include "build/golang.h"
#include "build/healthcheck.h"

#include "base/banned.h"

#define MANY SIZE_MAX

/* clang-format off */
static const struct flag_rule no_flags[] = { {} };
static const struct flag_rule from_flags[] = { { "platform", FLAG_TEXT }, {} };
static const struct flag_rule include_flags[] = { { "from", FLAG_TEXT }, {} };
static const struct flag_rule add_flags[] = {
    { "chown",        FLAG_TEXT },
    { "chmod",        FLAG_TEXT },
    { "link",         FLAG_SWITCH },
    { "keep-git-dir", FLAG_SWITCH },
    { "checksum",     FLAG_TEXT },
    { "unpack",       FLAG_SWITCH },
    { "exclude",      FLAG_REPEATED },
    {},
};
static const struct flag_rule copy_flags[] = {
    { "from",    FLAG_TEXT },
    { "chown",   FLAG_TEXT },
    { "chmod",   FLAG_TEXT },
    { "link",    FLAG_SWITCH },
    { "parents", FLAG_SWITCH },
    { "exclude", FLAG_REPEATED },
    {},
};
static const struct flag_rule run_flags[] = {
    { "mount",    FLAG_REPEATED },
    { "network",  FLAG_TEXT },
    { "security", FLAG_TEXT },
    { "device",   FLAG_REPEATED, .is_refused = true },
    {},
};
static const struct flag_rule health_flags[] = {
    { "interval",       FLAG_TEXT },
    { "timeout",        FLAG_TEXT },
    { "start-period",   FLAG_TEXT },
    { "start-interval", FLAG_TEXT },
    { "retries",        FLAG_TEXT },
    {},
};

#define T(name) "" #name, INSTRUCTION_##name

static const struct instruction_kind kinds[] = {
    /* word          form          args      variables       heredocs flags    apply */
    { T(ADD),         FORM_LIST,    2, MANY, EXPAND_EACH,    true,  add_flags,    NULL                     },
    { T(ARG),         FORM_NAMES,   1, MANY, EXPAND_EACH,    false, no_flags,     NULL                     },
    { T(CMD),         FORM_COMMAND, 0, MANY, EXPAND_NOTHING, false, no_flags,     config_apply_cmd         },
    { T(COPY),        FORM_LIST,    2, MANY, EXPAND_EACH,    true,  copy_flags,   NULL                     },
    { T(ENTRYPOINT),  FORM_COMMAND, 0, MANY, EXPAND_NOTHING, false, no_flags,     config_apply_entrypoint  },
    { T(ENV),         FORM_PAIRS,   1, MANY, EXPAND_EACH,    false, no_flags,     config_apply_env         },
    { T(EXPOSE),      FORM_WORDS,   1, MANY, EXPAND_SPLIT,   false, no_flags,     config_apply_expose      },
    { T(FROM),        FORM_WORDS,   1, 3,    EXPAND_NOTHING, false, from_flags,   NULL                     },
    { T(HEALTHCHECK), FORM_HEALTH,  1, MANY, EXPAND_NOTHING, false, health_flags, config_apply_healthcheck },
    { T(INCLUDE),     FORM_WORDS,   1, MANY, EXPAND_NOTHING, false, include_flags, NULL                    },
    { T(LABEL),       FORM_PAIRS,   1, MANY, EXPAND_EACH,    false, no_flags,     config_apply_label       },
    { T(MAINTAINER),  FORM_TEXT,    1, 1,    EXPAND_NOTHING, false, no_flags,     config_apply_maintainer  },
    { T(ONBUILD),     FORM_TRIGGER, 1, MANY, EXPAND_NOTHING, true,  no_flags,     config_apply_onbuild     },
    { T(RUN),         FORM_COMMAND, 0, MANY, EXPAND_NOTHING, true,  run_flags,    NULL                     },
    { T(SHELL),       FORM_COMMAND, 1, MANY, EXPAND_NOTHING, false, no_flags,     config_apply_shell       },
    { T(STOPSIGNAL),  FORM_TEXT,    1, 1,    EXPAND_EACH,    false, no_flags,     config_apply_stopsignal  },
    { T(USER),        FORM_TEXT,    1, 1,    EXPAND_EACH,    false, no_flags,     config_apply_user        },
    { T(VOLUME),      FORM_LIST,    1, MANY, EXPAND_EACH,    false, no_flags,     config_apply_volume      },
    { T(WORKDIR),     FORM_TEXT,    1, 1,    EXPAND_EACH,    false, no_flags,     config_apply_workdir     },
};
/* clang-format on */

const struct instruction_kind *instruction_kind_find(const char *word)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcasecmp(kinds[i].word, word) == 0)
            return &kinds[i];
    return NULL;
}

void instruction_done(struct instruction *instruction)
{
    free(instruction->word);
    free(instruction->text);
    strv_done(&instruction->flags);
    strv_done(&instruction->arguments);
    for (size_t i = 0; i < instruction->heredoc_count; i++) {
        free(instruction->heredocs[i].name);
        free(instruction->heredocs[i].content);
    }
    free(instruction->heredocs);
    *instruction = (struct instruction){};
}

const char *instruction_flag(const struct instruction *instruction, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = instruction->flags.count; i-- > 0;) {
        const char *flag = instruction->flags.items[i];

        if (strncmp(flag, name, length) == 0 && flag[length] == '=')
            return flag + length + 1;
        if (strcmp(flag, name) == 0)
            return "true";
    }
    return NULL;
}

bool instruction_lacks_dash(const struct instruction *instruction)
{
    const char *text = instruction->arguments.count > 0 ? instruction->arguments.items[0] : "";
    size_t length = strcspn(text, "= \t");

    for (const struct flag_rule *rule = instruction->kind->flags; rule->name; rule++)
        if (text[0] == '-' && strlen(rule->name) == length - 1 &&
            strncmp(text + 1, rule->name, length - 1) == 0)
            return true;
    return false;
}

/* ---- "did you mean" ---- */

#define NAME_LIMIT 24

struct suggestion {
    const char *name;
    size_t distance;
};

static void suggest(struct suggestion *best, const char *word, const char *name)
{
    size_t found = text_distance(word, name);
    bool is_likelier = best->name && (*word & ~0x20) == *name && (*word & ~0x20) != *best->name;

    if (found < best->distance || (found == best->distance && is_likelier))
        *best = (struct suggestion){ name, found };
}

/* What may have happened when no word is near. */
static const char *guess(const struct instruction *instruction)
{
    const char *word = instruction->word;

    for (const char *c = word; *c; c++)
        if (*c & 0x80)
            return " (it has characters that are not ASCII)";
    if (instruction->line > 1 && ((*word >= 'a' && *word <= 'z') || strchr("&|-\"'$", *word)))
        return " (is a \\ missing at the end of the line before?)";
    return "";
}

/* ---- checks ---- */

static int check_word(const struct instruction *instruction, struct error *err)
{
    struct suggestion best = { NULL, 3 };
    char name[NAME_LIMIT + 1] = "";
    bool is_lower = true;

    if (instruction->kind && instruction->kind->type == INSTRUCTION_INCLUDE)
        return error_set(err, ERROR_INVALID,
                         "unknown instruction: %s (berth has it in files whose first line is "
                         "\"# syntax=berth/1\")",
                         instruction->word);
    if (instruction->kind)
        return 0;
    for (const char *c = instruction->word; *c; c++)
        is_lower &= !(*c >= 'A' && *c <= 'Z');
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (kinds[i].type != INSTRUCTION_INCLUDE)
            suggest(&best, instruction->word, kinds[i].word);
    for (size_t i = 0; best.name && best.name[i]; i++) {
        name[i] = (char)(is_lower ? best.name[i] | 0x20 : best.name[i]);
        name[i + 1] = 0;
    }
    if (!*name)
        return error_set(err, ERROR_INVALID, "unknown instruction: %s%s", instruction->word,
                         guess(instruction));
    return error_set(err, ERROR_INVALID, "unknown instruction: %s (did you mean %s?)",
                     instruction->word, name);
}

static int check_flag(const struct instruction *instruction, size_t index, struct error *err)
{
    const char *flag = instruction->flags.items[index];
    size_t length = strcspn(flag, "=");
    struct suggestion best = { NULL, 3 };
    CLEANUP(free) char *name = xstrndup(flag, length);
    const struct flag_rule *rule = instruction->kind->flags;

    while (rule->name && strcmp(rule->name, name) != 0)
        suggest(&best, name, rule++->name);
    if (!rule->name)
        return error_set(err, ERROR_INVALID, "unknown flag: --%s%s%s%s", name,
                         best.name ? " (did you mean " : "", best.name ? best.name : "",
                         best.name ? "?)" : "");
    for (size_t i = 0; i < index && rule->type != FLAG_REPEATED; i++)
        if (strcspn(instruction->flags.items[i], "=") == length &&
            strncmp(instruction->flags.items[i], name, length) == 0)
            return error_set(err, ERROR_INVALID, "duplicate flag specified: --%s", name);
    if (rule->type != FLAG_SWITCH)
        return flag[length] == 0
                   ? error_set(err, ERROR_INVALID, "missing a value on flag: --%s", name)
                   : 0;
    if (flag[length] && strcasecmp(flag + length + 1, "true") != 0 &&
        strcasecmp(flag + length + 1, "false") != 0)
        return error_set(err, ERROR_INVALID, "expecting boolean value for flag --%s, not: %s", name,
                         flag + length + 1);
    return 0;
}

static int check_count(const struct instruction *instruction, struct error *err)
{
    const struct instruction_kind *kind = instruction->kind;
    size_t count = instruction->arguments.count;

    if (kind->type == INSTRUCTION_FROM) {
        if (count == 1 || (count == 3 && strcasecmp(instruction->arguments.items[1], "as") == 0))
            return 0;
        return error_set(err, ERROR_INVALID, "FROM requires either one or three arguments%s",
                         instruction_lacks_dash(instruction) ? " (flags begin with two dashes)"
                                                             : "");
    }
    if (count >= kind->minimum && count <= kind->maximum)
        return 0;
    if (kind->minimum == 2 && instruction->heredoc_count == 0)
        return error_set(err, ERROR_INVALID,
                         "%s requires at least two arguments, but only one was provided. "
                         "Destination could not be determined",
                         kind->word);
    return error_set(err, ERROR_INVALID,
                     kind->maximum == 1 ? "%s requires exactly one argument"
                                        : "%s requires at least one argument",
                     kind->word);
}

/* [a-z][a-z0-9-_.]* after lower-casing */
static bool is_stage_name(const char *name)
{
    for (size_t i = 0; name[i]; i++) {
        char c = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);

        if (!(c >= 'a' && c <= 'z') && (i == 0 || !c || !strchr("0123456789-_.", c)))
            return false;
    }
    return *name != 0;
}

static int check_stage_name(const char *name, struct error *err)
{
    CLEANUP(str_done) struct str shown = {};
    CLEANUP(free) char *lower = xstrdup(name);

    if (is_stage_name(name))
        return 0;
    for (char *c = lower; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    go_add_quoted(&shown, lower);
    return error_set(err, ERROR_INVALID,
                     "invalid name for build stage: %s, name can't start with a number or contain "
                     "symbols",
                     shown.data);
}

static int check_trigger(const struct instruction *instruction, struct error *err)
{
    const char *word = instruction->arguments.items[0];

    if (strcasecmp(word, "ONBUILD") == 0)
        return error_set(err, ERROR_INVALID,
                         "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (strcasecmp(word, "FROM") == 0 || strcasecmp(word, "MAINTAINER") == 0)
        return error_set(err, ERROR_INVALID, "%s isn't allowed as an ONBUILD trigger",
                         instruction_kind_find(word)->word);
    return 0;
}

static int check_arguments(const struct instruction *instruction, struct error *err)
{
    const struct instruction_kind *kind = instruction->kind;
    const struct strv *arguments = &instruction->arguments;

    switch (kind->type) {
    case INSTRUCTION_FROM:
        return arguments->count == 3 ? check_stage_name(arguments->items[2], err) : 0;
    case INSTRUCTION_ONBUILD:
        return check_trigger(instruction, err);
    case INSTRUCTION_HEALTHCHECK:
        return healthcheck_check(instruction, err);
    case INSTRUCTION_SHELL:
        return instruction->is_json ? 0
                                    : error_set(err, ERROR_INVALID,
                                                "SHELL requires the arguments to be in JSON form");
    case INSTRUCTION_ENV:
    case INSTRUCTION_LABEL:
        for (size_t i = 0; i < arguments->count; i += 2)
            if (*arguments->items[i] == 0)
                return error_set(err, ERROR_INVALID, "%s names can not be blank", kind->word);
        return 0;
    case INSTRUCTION_ARG:
        for (size_t i = 0; i < arguments->count; i++)
            if (arguments->items[i][0] == '=')
                return error_set(err, ERROR_INVALID, "ARG names can not be blank");
        return 0;
    case INSTRUCTION_VOLUME:
        for (size_t i = 0; i < arguments->count; i++)
            if (*arguments->items[i] == 0)
                return error_set(err, ERROR_INVALID, "VOLUME specified can not be an empty string");
        return 0;
    default:
        return 0;
    }
}

int instruction_check(const struct instruction *instruction, struct error *err)
{
    int result = check_word(instruction, err);

    if (result == 0)
        result = check_count(instruction, err);
    for (size_t i = 0; result == 0 && i < instruction->flags.count; i++)
        result = check_flag(instruction, i, err);
    if (result == 0)
        result = check_arguments(instruction, err);
    if (result < 0)
        return error_context(err, "dockerfile parse error on line %d", instruction->line);
    return 0;
}

int instruction_check_support(const struct instruction *instruction, struct error *err)
{
    for (const struct flag_rule *rule = instruction->kind->flags; rule->name; rule++) {
        const char *value = instruction_flag(instruction, rule->name);

        if (!rule->is_refused || !value)
            continue;
        if (rule->type == FLAG_SWITCH && strcasecmp(value, "false") == 0)
            continue;
        return error_set(err, ERROR_UNSUPPORTED,
                         "the --%s option is not supported by this builder yet (line %d)",
                         rule->name, instruction->line);
    }
    return 0;
}
