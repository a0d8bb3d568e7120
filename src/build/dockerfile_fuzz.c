/* Any bytes as a Dockerfile: parsed, checked, expanded and applied to an empty configuration; its
 * mounts, here-documents and Git sources read, its stages looked at for what is unwise. */
#include <stdint.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/check.h"
#include "build/config.h"
#include "build/heredoc.h"
#include "build/mount_rule.h"
#include "build/parse.h"
#include "git/git.h"
#include "spec/image.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool no_image(void *data UNUSED, const char *name UNUSED,
                     struct strv *out_environment UNUSED, struct platform *out_platform UNUSED)
{
    return true;
}

static void read_flags(const struct instruction *instruction)
{
    const struct expander expander = { '\\', 0, NULL };
    struct error err;

    for (size_t i = 0; i < instruction->flags.count; i++) {
        CLEANUP(mount_rule_done) struct mount_rule rule = {};

        if (text_starts(instruction->flags.items[i], "mount="))
            mount_rule_read(instruction->flags.items[i] + 6, &expander, &rule, &err);
    }
}

static void read_sources(const struct instruction *instruction)
{
    struct error err;
    size_t heredoc = 0;

    for (size_t i = 0; i < instruction->arguments.count; i++) {
        CLEANUP(git_source_done) struct git_source source = {};
        CLEANUP(str_done) struct str content = {};
        const struct heredoc *text = heredoc_of_argument(instruction,
                                                         instruction->arguments.items[i], &heredoc);

        if (text)
            heredoc_content(text, NULL, &content, &err);
        if (git_is_source(instruction->arguments.items[i]))
            git_source_read(instruction->arguments.items[i], &source, &err);
    }
}

static void look(const struct dockerfile *file, const char *text)
{
    CLEANUP(graph_done) struct build_graph graph = {};
    CLEANUP(build_args_done) struct build_args args = {};
    CLEANUP(check_findings_done) struct check_findings findings = {};
    struct error err;

    for (size_t i = 0; i < file->count; i++)
        if (instruction_check(&file->instructions[i], &err) < 0)
            return;
    build_args_init(&args, NULL, NULL);
    if (graph_make(file, &graph, &err) < 0)
        return;
    graph_resolve(&graph, graph.count - 1, &args, file->escape, &err);
    const struct check_subject subject = {
        .file = file, .text = text, .graph = &graph, .image = no_image
    };
    check_run(&subject, &findings, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    struct container_config config = {};
    char *author = NULL;
    bool is_cmd_set = false;
    struct error err;

    if (size > 64 * 1024 ||
        dockerfile_parse((const char *)data, size, "Dockerfile", &file, &err) < 0)
        return 0;
    for (size_t i = 0; i < file.count && i < 200; i++) {
        const struct instruction *instruction = &file.instructions[i];
        CLEANUP(strv_done) struct strv arguments = {}, command = {};

        read_flags(instruction);
        read_sources(instruction);
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
        config_command(&config, instruction, &command);
    }
    if (file.count < 500)
        look(&file, text);
    json_fields_done(container_config_fields, &config);
    free(author);
    return 0;
}
