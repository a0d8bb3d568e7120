/* Files in files. The list of instructions is written anew, depth first. */
#include "build/include.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/build.h"
#include "build/context.h"

#include "base/banned.h"

struct includer {
    struct dockerfile *file;
    const struct include_roots *roots;
    struct dockerfile result; /* only its instructions count */
    struct strv open;         /* files that are being read: those around the place */
    struct strv in_stage;     /* files that the stage has already */
    const struct instruction **at;
};

static bool is_enabled(const struct dockerfile *file)
{
    return file->syntax && strncmp(file->syntax, "berth/1", 7) == 0 &&
           (file->syntax[7] == 0 || strchr(" \t", file->syntax[7]));
}

static struct instruction *add(struct dockerfile *result)
{
    if ((result->count & (result->count - 1)) == 0) /* full at each power of two */
        result->instructions = xrealloc(result->instructions, result->count ? 2 * result->count : 1,
                                        sizeof(struct instruction));
    result->instructions[result->count] = (struct instruction){};
    return &result->instructions[result->count++];
}

/* ARG NAME=value for each word behind the path. */
static int add_arguments(struct includer *includer, const struct instruction *include,
                         struct error *err)
{
    for (size_t i = 1; i < include->arguments.count; i++) {
        CLEANUP(free) char *line = xasprintf("ARG %s", include->arguments.items[i]);
        struct instruction *argument;

        if (!strchr(include->arguments.items[i], '='))
            return error_set(err, ERROR_INVALID, "INCLUDE takes NAME=value behind the path, not %s",
                             include->arguments.items[i]);
        argument = add(&includer->result);
        if (dockerfile_parse_line(line, includer->file->escape, argument, err) < 0)
            return -1;
        argument->line = include->line;
        argument->last_line = include->last_line;
        argument->file_name = include->file_name;
        argument->file_text = include->file_text;
    }
    return 0;
}

static int find_root(struct includer *includer, const struct instruction *include, int *out_fd,
                     struct error *err)
{
    const char *from = instruction_flag(include, "from");
    const struct build_context *context;

    *out_fd = includer->roots->context_fd;
    if (!from)
        return 0;
    context = includer->roots->contexts ? map_get(includer->roots->contexts, from) : NULL;
    if (!context || context->fd < 0)
        return error_set(err, ERROR_INVALID,
                         "INCLUDE --from=%s: there is no build context of this name with files",
                         from);
    *out_fd = context->fd;
    return 0;
}

static int take_all(struct includer *includer, struct dockerfile *file, struct error *err);

static int check_place(struct includer *includer, const char *name, struct error *err)
{
    if (strv_contains(&includer->open, name))
        return error_set(err, ERROR_INVALID, "%s includes itself", name);
    if (includer->open.count >= INCLUDE_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "INCLUDE is nested more than %d deep",
                         INCLUDE_DEPTH_LIMIT);
    if (strv_contains(&includer->in_stage, name))
        return error_set(err, ERROR_INVALID, "%s is included in this stage already", name);
    return 0;
}

static void mark_file(struct dockerfile *file, const char *name, const char *text)
{
    for (size_t i = 0; i < file->count; i++) {
        file->instructions[i].file_name = name;
        file->instructions[i].file_text = text;
    }
}

static int include_one(struct includer *includer, const struct instruction *include,
                       struct error *err)
{
    CLEANUP(dockerfile_done) struct dockerfile file = {};
    CLEANUP(str_done) struct str text = {};
    const char *path = include->arguments.items[0], *from = instruction_flag(include, "from");
    CLEANUP(free) char *name = xasprintf("%s%s%s", from ? from : "", from ? ":" : "", path);
    int fd, line;

    if (strchr(path, '$'))
        return error_set(err, ERROR_INVALID, "INCLUDE takes no variables in its path: %s", path);
    if (check_place(includer, name, err) < 0 || find_root(includer, include, &fd, err) < 0 ||
        context_read_file(fd, path, &text, err) < 0 || add_arguments(includer, include, err) < 0 ||
        dockerfile_parse_at(str_text(&text), text.length, name, &file, &line, err) < 0)
        return -1;
    if (file.escape != includer->file->escape)
        return error_set(err, ERROR_INVALID, "%s has another escape character", name);
    strv_add(&includer->file->included_names, name);
    strv_add_take(&includer->file->included_texts, str_take(&text));
    mark_file(&file, includer->file->included_names.items[includer->file->included_names.count - 1],
              includer->file->included_texts.items[includer->file->included_texts.count - 1]);
    strv_add(&includer->in_stage, name);
    strv_add(&includer->open, name);
    if (take_all(includer, &file, err) < 0)
        return -1;
    strv_remove(&includer->open, includer->open.count - 1);
    return 0;
}

/* Moves the instructions to the result. */
static int take_all(struct includer *includer, struct dockerfile *file, struct error *err)
{
    for (size_t i = 0; i < file->count; i++) {
        struct instruction *instruction = &file->instructions[i];

        if (includer->result.count >= DOCKERFILE_COUNT_LIMIT)
            return error_set(err, ERROR_INVALID, "more than %d instructions",
                             DOCKERFILE_COUNT_LIMIT);
        if (!instruction->kind || instruction->kind->type != INSTRUCTION_INCLUDE) {
            if (instruction->kind && instruction->kind->type == INSTRUCTION_FROM)
                strv_done(&includer->in_stage);
            *add(&includer->result) = *instruction;
            *instruction = (struct instruction){};
            continue;
        }
        if (instruction->arguments.count == 0)
            return error_set(err, ERROR_INVALID, "INCLUDE requires at least one argument (line %d)",
                             instruction->line);
        if (include_one(includer, instruction, err) < 0) {
            /* The innermost place is the one to show; it must outlive what is freed here. */
            if (!*includer->at) {
                struct instruction *kept = add(&includer->result);

                *kept = *instruction;
                *instruction = (struct instruction){};
                *includer->at = kept;
            }
            return -1;
        }
    }
    return 0;
}

int include_all(struct dockerfile *file, const struct include_roots *roots,
                const struct instruction **out_at, struct error *err)
{
    struct includer includer = { .file = file, .roots = roots, .at = out_at };

    if (!is_enabled(file))
        return 0;
    int result = take_all(&includer, file, err);
    /* Also after a failure: what is told of is in the result. */
    for (size_t i = 0; i < file->count; i++)
        instruction_done(&file->instructions[i]);
    free(file->instructions);
    file->instructions = includer.result.instructions;
    file->count = includer.result.count;
    strv_done(&includer.open);
    strv_done(&includer.in_stage);
    return result;
}
