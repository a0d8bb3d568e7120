/* Dockerfile lines applied to a configuration: import and commit. */
#include <string.h>

#include "base/memory.h"
#include "build/build.h"
#include "build/config.h"
#include "build/parse.h"

#include "base/banned.h"

static int apply(const struct instruction *instruction, struct container_config *config,
                 bool *is_cmd_set, char escape, struct error *err)
{
    CLEANUP(strv_done) struct strv arguments = {};
    CLEANUP(free) char *author = NULL;
    CLEANUP(config_change_done)
    struct config_change change = {
        .instruction = instruction,
        .arguments = &arguments,
        .config = config,
        .author = &author,
        .is_cmd_set = is_cmd_set,
    };

    if (config_expand(instruction, &config->env, escape, &arguments, err) < 0)
        return -1;
    return instruction->kind->apply(&change, err);
}

static bool is_allowed(const struct instruction *instruction)
{
    const struct instruction_kind *kind = instruction->kind;

    return kind && kind->apply && kind->type != INSTRUCTION_MAINTAINER &&
           kind->type != INSTRUCTION_SHELL;
}

int build_apply_changes(const struct strv *changes, struct container_config *config,
                        struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(free) char *text = strv_join(changes, "\n");
    bool is_cmd_set = false;

    if (changes->count == 0)
        return 0;
    if (dockerfile_parse(text, strlen(text), NULL, &file, err) < 0)
        return -1;
    for (size_t i = 0; i < file.count; i++)
        if (!is_allowed(&file.instructions[i]))
            return error_set(err, ERROR_INVALID, "%s is not a valid change command",
                             file.instructions[i].word);
    for (size_t i = 0; i < file.count; i++)
        if (instruction_check(&file.instructions[i], err) < 0)
            return -1;
    for (size_t i = 0; i < file.count; i++)
        if (apply(&file.instructions[i], config, &is_cmd_set, file.escape, err) < 0)
            return -1;
    return 0;
}
