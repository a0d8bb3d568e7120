/* Sources of COPY, ADD and bind mounts. What has a wildcard or a variable counts as the directory
 * in front of it. */
#include "build/context_needs.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/remote.h"

#include "base/banned.h"

/* Characters that make a source mean more than itself; quotes and escapes among them. */
#define SPECIAL "*?[]\\$`'\"{}"

struct needs {
    const struct context_manifest *manifest;
    struct strv *paths;
};

/* Is a link the path itself, or on its way, or (for a pattern) right where the pattern looks? */
static bool meets_link(const struct needs *needs, const char *path, bool is_pattern)
{
    const struct context_manifest *manifest = needs->manifest;
    size_t length = strlen(path);

    for (size_t i = 0; i < manifest->count; i++) {
        const struct context_entry *entry = &manifest->entries[i];
        size_t own = strlen(entry->path);

        if (entry->type != CONTEXT_LINK)
            continue;
        if (strncmp(path, entry->path, own) == 0 && (path[own] == 0 || path[own] == '/'))
            return true;
        if (is_pattern && (length == 0 ||
                           (strncmp(entry->path, path, length) == 0 && entry->path[length] == '/')))
            return true;
    }
    return false;
}

static void add_source(struct needs *needs, const char *source)
{
    size_t plain = strcspn(source, SPECIAL);
    bool is_pattern = source[plain] != 0;
    CLEANUP(free) char *front = xstrndup(source, plain);
    char *slash = strrchr(front, '/');

    if (is_pattern)
        front[slash ? slash - front : 0] = 0;
    CLEANUP(free) char *rooted = xasprintf("/%s", front);
    CLEANUP(free) char *path = path_clean(rooted);
    const char *relative = path + 1;

    strv_add(needs->paths, meets_link(needs, relative, is_pattern) ? "" : relative);
}

static bool is_heredoc(const struct instruction *instruction, const char *argument)
{
    return instruction->heredoc_count > 0 && strstr(argument, "<<");
}

static void add_copy(struct needs *needs, const struct instruction *instruction)
{
    bool is_add = instruction->kind->type == INSTRUCTION_ADD;

    if (instruction_flag(instruction, "from"))
        return;
    for (size_t i = 0; i + 1 < instruction->arguments.count; i++) {
        const char *source = instruction->arguments.items[i];

        if (!is_heredoc(instruction, source) &&
            !(is_add && (remote_is_url(source) || git_is_source(source))))
            add_source(needs, source);
    }
}

static void add_mount(struct needs *needs, const char *text)
{
    CLEANUP(strv_done) struct strv fields = {};
    const char *source = "";

    strv_split(&fields, text, ',');
    for (size_t i = 0; i < fields.count; i++) {
        const char *field = fields.items[i];

        if (strncasecmp(field, "from=", 5) == 0 ||
            (strncasecmp(field, "type=", 5) == 0 && strcmp(field + 5, "bind") != 0))
            return;
        if (strncasecmp(field, "source=", 7) == 0)
            source = field + 7;
        else if (strncasecmp(field, "src=", 4) == 0)
            source = field + 4;
    }
    add_source(needs, source);
}

static void add_mounts(struct needs *needs, const struct instruction *instruction)
{
    for (size_t i = 0; i < instruction->flags.count; i++)
        if (text_starts(instruction->flags.items[i], "mount="))
            add_mount(needs, instruction->flags.items[i] + strlen("mount="));
}

/* Is it the name of a stage in front of this one? */
static bool is_stage(const struct dockerfile *file, size_t before, const char *name)
{
    for (size_t i = 0; i < before; i++) {
        const struct instruction *from = &file->instructions[i];

        if (from->kind && from->kind->type == INSTRUCTION_FROM && from->arguments.count == 3 &&
            strcasecmp(from->arguments.items[2], name) == 0)
            return true;
    }
    return false;
}

static bool may_trigger(const struct dockerfile *file, size_t index,
                        bool (*has_triggers)(void *data, const char *image), void *data)
{
    const struct instruction *from = &file->instructions[index];
    const char *base = from->arguments.count > 0 ? from->arguments.items[0] : "";

    if (strcmp(base, "scratch") == 0 || is_stage(file, index, base))
        return false;
    return strpbrk(base, SPECIAL) || has_triggers(data, base);
}

void context_needs(const struct dockerfile *file, const struct context_manifest *manifest,
                   bool (*has_triggers)(void *data, const char *image), void *data,
                   struct strv *out)
{
    struct needs needs = { manifest, out };

    for (size_t i = 0; i < file->count; i++) {
        const struct instruction *instruction = &file->instructions[i];

        switch (instruction->kind ? instruction->kind->type : INSTRUCTION_INCLUDE) {
        case INSTRUCTION_ADD:
        case INSTRUCTION_COPY:
            add_copy(&needs, instruction);
            break;
        case INSTRUCTION_RUN:
            add_mounts(&needs, instruction);
            break;
        case INSTRUCTION_FROM:
            if (may_trigger(file, i, has_triggers, data))
                strv_add(out, "");
            break;
        case INSTRUCTION_INCLUDE:
        case INSTRUCTION_ONBUILD:
            strv_add(out, "");
            break;
        default:
            break;
        }
    }
}
