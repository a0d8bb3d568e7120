/* See the header. */
#include "compose/paths.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

char *paths_absolute(const char *path, const char *directory)
{
    const char *home = getenv("HOME");
    CLEANUP(free) char *joined = NULL;

    if (path[0] == '/')
        return xstrdup(path); /* as Docker's compose has it: it is part of the hash */
    if (path[0] == '~' && (!path[1] || path[1] == '/'))
        joined = xasprintf("%s%s", home ? home : "/root", path + 1);
    else
        joined = path_join(directory, path);
    return path_clean(joined);
}

static void resolve(struct yaml *node, const char *directory)
{
    if (!node || node->kind != YAML_TEXT)
        return;
    char *absolute = paths_absolute(node->text, directory);
    free(node->text);
    node->text = absolute;
}

static bool is_remote(const char *text)
{
    return strstr(text, "://") || text_starts(text, "git@") || text_starts(text, "github.com/") ||
           text_starts(text, "service:");
}

static void resolve_local(struct yaml *node, const char *directory)
{
    if (node && node->kind == YAML_TEXT && !is_remote(node->text))
        resolve(node, directory);
}

static void resolve_members(struct yaml *list, const char *key, const char *directory)
{
    for (size_t i = 0; i < yaml_count(list); i++)
        resolve(yaml_get(list->items[i], key), directory);
}

/* "id=path" */
static void resolve_ssh(struct yaml *list, const char *directory)
{
    for (size_t i = 0; i < yaml_count(list); i++) {
        const char *text = yaml_text(list->items[i]), *equals = text ? strchr(text, '=') : NULL;

        if (!equals)
            continue;
        CLEANUP(free) char *path = paths_absolute(equals + 1, directory);
        CLEANUP(free) char *whole = xasprintf("%.*s=%s", (int)(equals - text), text, path);
        yaml_replace(list->items[i], yaml_new_text(whole));
    }
}

static void resolve_service(struct yaml *service, const char *directory)
{
    struct yaml *build = yaml_get(service, "build"), *volumes = yaml_get(service, "volumes");
    struct yaml *contexts = yaml_get(build, "additional_contexts");
    struct yaml *labels = yaml_get(service, "label_file");

    if (build && build->kind == YAML_DICT && !yaml_get(build, "context"))
        yaml_set(build, "context", yaml_new_text("."));
    resolve_local(yaml_get(build, "context"), directory);
    if (build && build->kind == YAML_DICT)
        resolve_ssh(yaml_get(build, "ssh"), directory);
    for (size_t i = 0; i < yaml_count(contexts); i++)
        resolve_local(contexts->items[i], directory);
    for (size_t i = 0; i < yaml_count(labels); i++)
        resolve(labels->items[i], directory);
    for (size_t i = 0; i < yaml_count(volumes); i++)
        if (text_equal(yaml_text(yaml_get(volumes->items[i], "type")), "bind"))
            resolve(yaml_get(volumes->items[i], "source"), directory);
    resolve_members(yaml_get(service, "env_file"), "path", directory);
    resolve_members(yaml_get_path(service, "develop", "watch"), "path", directory);
    resolve_local(yaml_get_path(service, "extends", "file"), directory);
}

/* A bind by driver options: its device is a path of ours. */
static void resolve_volume(struct yaml *volume, const char *directory)
{
    struct yaml *options = yaml_get(volume, "driver_opts"), *device = yaml_get(options, "device");
    const char *o = yaml_text(yaml_get(options, "o"));

    if (o && strstr(o, "bind") && device && strchr("./~", yaml_text(device)[0]))
        resolve(device, directory);
}

void paths_resolve(struct yaml *file, const char *directory)
{
    struct yaml *services = yaml_get(file, "services"), *volumes = yaml_get(file, "volumes");
    struct yaml *secrets = yaml_get(file, "secrets"), *configs = yaml_get(file, "configs");

    for (size_t i = 0; i < yaml_count(services); i++)
        resolve_service(services->items[i], directory);
    for (size_t i = 0; i < yaml_count(volumes); i++)
        resolve_volume(volumes->items[i], directory);
    resolve_members(secrets, "file", directory);
    resolve_members(configs, "file", directory);
}
