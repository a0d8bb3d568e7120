/* Any bytes as a Dockerfile: parsed, checked, expanded and applied to an empty configuration. */
#include <stdint.h>

#include "build/config.h"
#include "build/parse.h"
#include "spec/image.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    struct container_config config = {};
    char *author = NULL;
    bool is_cmd_set = false;
    struct error err;

    if (size > 64 * 1024 ||
        dockerfile_parse((const char *)data, size, "Dockerfile", &file, &err) < 0)
        return 0;
    for (size_t i = 0; i < file.count && i < 200; i++) {
        const struct instruction *instruction = &file.instructions[i];
        CLEANUP(strv_done) struct strv arguments = {};

        if (instruction_check(instruction, &err) < 0 ||
            config_expand(instruction, &config.env, file.escape, &arguments, &err) < 0)
            continue;
        CLEANUP(config_change_done)
        struct config_change change = {
            .instruction = instruction,
            .arguments = &arguments,
            .config = &config,
            .author = &author,
            .is_cmd_set = &is_cmd_set,
        };
        if (instruction->kind->apply)
            instruction->kind->apply(&change, &err);
    }
    json_fields_done(container_config_fields, &config);
    free(author);
    return 0;
}
