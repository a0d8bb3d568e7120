/* Paths taken apart, and the cases of a copy. */
#include "cli/copy_plan.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

void copy_plan_done(struct copy_plan *plan)
{
    free(plan->directory);
    free(plan->old_name);
    free(plan->new_name);
    *plan = (struct copy_plan){};
}

static bool ends_in_slash(const char *path)
{
    return *path && path[strlen(path) - 1] == '/';
}

char *copy_path_base(const char *path)
{
    size_t end = strlen(path);

    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    if (end == 0)
        return xstrdup(".");
    return start == end ? xstrdup("/") : xstrndup(path + start, end - start);
}

bool copy_path_is_dot(const char *path)
{
    CLEANUP(free) char *base = copy_path_base(path);

    return strcmp(base, ".") == 0;
}

bool copy_path_asserts_directory(const char *path)
{
    return ends_in_slash(path) || copy_path_is_dot(path);
}

void copy_path_split(const char *path, char **out_directory, char **out_base)
{
    CLEANUP(free) char *clean = path_clean(path);
    const char *slash = strrchr(clean, '/');

    if (copy_path_is_dot(path)) {
        *out_directory = xstrdup(clean);
        *out_base = xstrdup(".");
        return;
    }
    *out_directory = !slash           ? xstrdup(".")
                     : slash == clean ? xstrdup("/")
                                      : xstrndup(clean, (size_t)(slash - clean));
    *out_base = copy_path_base(clean);
}

int copy_plan_make(const struct copy_end *source, const struct copy_end *target,
                   struct copy_plan *out, struct error *err)
{
    CLEANUP(free) char *source_directory = NULL, *source_base = NULL;
    struct copy_plan plan = {};

    copy_path_split(source->path, &source_directory, &source_base);
    if (target->exists && target->is_directory) {
        *out = (struct copy_plan){ .directory = xstrdup(target->path),
                                   .old_name = TAKE(source_base),
                                   .new_name = xstrdup(source->shown_name) };
        return 0;
    }
    if (target->exists && source->is_directory)
        return error_set(err, ERROR_INVALID, "cannot copy directory");
    if (!target->exists && !source->is_directory && copy_path_asserts_directory(target->path))
        return error_set(err, ERROR_INVALID, "no such directory");
    copy_path_split(target->path, &plan.directory, &plan.new_name);
    plan.old_name = TAKE(source_base);
    *out = plan;
    return 0;
}

char *copy_argument_container(const char *argument, const char **out_path)
{
    const char *colon = strchr(argument, ':');

    *out_path = argument;
    if (argument[0] == '/' || argument[0] == '.' || !colon || colon == argument)
        return NULL;
    *out_path = colon + 1;
    return xstrndup(argument, (size_t)(colon - argument));
}

char *copy_path_through_link(const char *path, const char *target, char **out_shown_name)
{
    CLEANUP(free) char *name = copy_path_base(path);
    const char *dot = copy_path_is_dot(path) && !copy_path_is_dot(target) ? "/." : "";
    CLEANUP(free) char *dotted = xasprintf("%s%s", target, dot);
    char *result = xasprintf("%s%s", dotted,
                             ends_in_slash(path) && !ends_in_slash(dotted) ? "/" : "");
    CLEANUP(free) char *target_name = copy_path_base(result);

    *out_shown_name = strcmp(name, target_name) == 0 ? NULL : TAKE(name);
    return result;
}
